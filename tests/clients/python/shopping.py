"""Signs in, lists products, fills a cart, orders it and changes a product, with the generated client.

SHOP_URL and ADMIN_PASSWORD say where the shop is and who its admin is.
"""

import os
from typing import Any, TypeVar
from uuid import uuid4

from catalog_client import AuthenticatedClient, Client
from catalog_client.api.auth import create_session
from catalog_client.api.carts import create_cart, put_cart_item
from catalog_client.api.customers import register_customer
from catalog_client.api.orders import list_orders, place_order
from catalog_client.api.products import create_product, list_products, patch_product, read_product
from catalog_client.models import (
    Cart,
    CartInput,
    CartItemInput,
    Credentials,
    Customer,
    CustomerInput,
    ListProductsSort,
    Money,
    Order,
    OrderInputWithCartId,
    OrderPage,
    Problem,
    Product,
    ProductInput,
    ProductPage,
    ProductPatch,
    ProductPatchPrice,
    TokenPair,
)
from catalog_client.types import Response

URL = os.environ["SHOP_URL"]
T = TypeVar("T")


def parsed(response: Response[Any], kind: type[T]) -> T:
    """The body of a response, which is of this type."""
    assert isinstance(response.parsed, kind), f"{response.status_code}: {response.content!r}"
    return response.parsed


def sign_in(username: str, password: str) -> AuthenticatedClient:
    body = Credentials(username=username, password=password)
    tokens = parsed(create_session.sync_detailed(client=anonymous, body=body), TokenPair)
    return AuthenticatedClient(base_url=URL, token=tokens.access_token)


anonymous = Client(base_url=URL)
admin = sign_in("admin", os.environ["ADMIN_PASSWORD"])
name = f"py-{uuid4()}"
password = "correct horse battery staple"
new_customer = CustomerInput(username=name, email=f"{name}@example.com", password=password)
parsed(register_customer.sync_detailed(client=anonymous, body=new_customer), Customer)
customer = sign_in(name, password)

# A product, which the list then has. Its readers sign in here: the generator has no operations with an optional token.
new_product = ProductInput(sku=name, name="Bar table", brand=name, price=Money(amount="265.00", currency="EUR"), quantity=5)
created = parsed(create_product.sync_detailed(client=admin, body=new_product, idempotency_key=str(uuid4())), Product)
listed = list_products.sync_detailed(client=customer, brand=name, sort=ListProductsSort.VALUE_1, limit=10)
page = parsed(listed, ProductPage)
assert [(item.id, item.sku, item.quantity) for item in page.items] == [(created.id, name, 5)], page

# A cart, and an order of all that is in it.
cart = parsed(create_cart.sync_detailed(client=customer, body=CartInput()), Cart)
put = put_cart_item.sync_detailed(cart.id, created.id, client=customer, body=CartItemInput(quantity=2))
assert parsed(put, Cart).total.amount == "530.00", put
placed = place_order.sync_detailed(client=customer, body=OrderInputWithCartId(cart_id=cart.id), idempotency_key=str(uuid4()))
order = parsed(placed, Order)
assert [(line.product_id, line.quantity, line.line_total.amount) for line in order.items] == [(created.id, 2, "530.00")], order
assert [item.id for item in parsed(list_orders.sync_detailed(client=customer), OrderPage).items] == [order.id]

# A patch of the version that was read; the same entity tag is then out of date.
etag = read_product.sync_detailed(created.id, client=customer).headers["etag"]


def patch(amount: str) -> Response[Any]:
    change = ProductPatch(price=ProductPatchPrice(amount=amount))
    return patch_product.sync_detailed(created.id, client=admin, body=change, if_match=etag)


assert parsed(patch("249.00"), Product).price.amount == "249.00"
late = patch("239.00")
assert late.status_code == 412 and parsed(late, Problem).type_.endswith("/precondition-failed"), late
