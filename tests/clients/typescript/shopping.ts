// Signs in, lists products, fills a cart, orders it and changes a product, with the generated client.
// SHOP_URL and ADMIN_PASSWORD say where the shop is and who its admin is.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import createClient from "openapi-fetch";
import type { components, paths } from "./catalog.js";

type Order = components["schemas"]["Order"];

const baseUrl = process.env.SHOP_URL ?? "";
const anonymous = createClient<paths>({ baseUrl });

/** The body of a successful response. */
function successful<T>(result: { data?: T; error?: unknown; response: Response }): T {
  assert(result.response.ok && result.data !== undefined, `${result.response.status}: ${JSON.stringify(result.error)}`);
  return result.data;
}

async function signIn(username: string, password: string) {
  const tokens = successful(await anonymous.POST("/v1/auth/login", { body: { username, password } }));
  return createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${tokens.access_token}` } });
}

const admin = await signIn("admin", process.env.ADMIN_PASSWORD ?? "");
const customerInput = {
  username: `ts-${randomUUID()}`,
  email: `ts-${randomUUID()}@example.com`,
  password: "correct horse battery staple",
};
successful(await anonymous.POST("/v1/customers", { body: customerInput }));
const customer = await signIn(customerInput.username, customerInput.password);

// A product, which the list then has.
const sku = `TS-${randomUUID()}`;
const created = successful(
  await admin.POST("/v1/products", {
    body: { sku, name: "Bar table", brand: sku, price: { amount: "265.00", currency: "EUR" }, quantity: 5 },
    params: { header: { "Idempotency-Key": randomUUID() } },
  }),
);
const page = successful(await anonymous.GET("/v1/products", { params: { query: { brand: sku, sort: "-created_at", limit: 10 } } }));
assert.deepEqual(page.items.map((product) => [product.id, product.sku, product.quantity]), [[created.id, sku, 5]]);

// A cart, and an order of all that is in it.
const cart = successful(await customer.POST("/v1/carts", { body: {} }));
const filled = successful(
  await customer.PUT("/v1/carts/{id}/items/{product_id}", {
    params: { path: { id: cart.id, product_id: created.id } },
    body: { quantity: 2 },
  }),
);
assert.equal(filled.total.amount, "530.00");
const order: Order = successful(
  await customer.POST("/v1/orders", {
    params: { header: { "Idempotency-Key": randomUUID() } },
    body: { cart_id: cart.id },
  }),
);
assert.deepEqual(order.items.map((line) => [line.product_id, line.quantity, line.line_total.amount]), [[created.id, 2, "530.00"]]);
const orders = successful(await customer.GET("/v1/orders"));
assert.deepEqual(orders.items.map((item) => item.id), [order.id]);

// A patch of the version that was read; the same entity tag is then out of date.
const read = await anonymous.GET("/v1/products/{id}", { params: { path: { id: created.id } } });
const etag = read.response.headers.get("etag") ?? "";
const patch = (amount: string) =>
  admin.PATCH("/v1/products/{id}", {
    params: { path: { id: created.id }, header: { "If-Match": etag } },
    headers: { "Content-Type": "application/merge-patch+json" },
    body: { price: { amount } },
  });
assert.equal(successful(await patch("249.00")).price.amount, "249.00");
const late = await patch("239.00");
assert.equal(late.response.status, 412);
assert.equal(late.error?.type, "https://catalog.rs/problems/precondition-failed");
