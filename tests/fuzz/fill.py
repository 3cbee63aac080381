"""fill.py URL PASSWORD_FILE: creates accounts, products, carts and orders, and prints tokens and ids as JSON.

Generated ids don't exist: without these, hardly any request would get beyond a 404.
"""

import json
import secrets
import sys
from pathlib import Path

from shop import Shop

# The last one is the highest allowed price, so that sums exceed it.
PRICES = ["10.00"] * 8 + ["0.01", "999999999.99"]
CARTS = 5  # of each kind: a customer has ten at most
ORDERS = 40


def fill(shop: Shop, password: str) -> dict:
    """Returns tokens, and pools of ids by the names of their paths."""
    admin = shop.sign_in("admin", password)
    customer = shop.new_customer()

    def product(amount: str) -> str:
        sku = f"fuzz-{secrets.token_hex(6)}"
        price = {"amount": amount, "currency": "EUR"}
        return shop.post("/v1/products", {"sku": sku, "name": sku, "price": price, "quantity": 900_000_000}, admin)["id"]

    def order(product_id: str) -> str:
        items = [{"product_id": product_id, "quantity": 2}]
        return shop.post("/v1/orders", {"items": items}, customer, **{"Idempotency-Key": secrets.token_hex(16)})["id"]

    def cart(product_id: str) -> str:
        cart_id = shop.post("/v1/carts", {}, customer)["id"]
        shop.send("PUT", f"/v1/carts/{cart_id}/items/{product_id}", {"quantity": 2}, customer)
        return cart_id

    products = [product(amount) for amount in PRICES]
    return {
        "url": shop.url,
        "password": password,
        "tokens": {"customer": customer, "admin": admin},
        "pools": {
            "products": products,
            "carts": [cart(products[-n]) for n in range(1, CARTS + 1)],
            "carts_to_order": [cart(products[-n]) for n in range(1, CARTS + 1)],  # ordering deletes the cart
            "orders": [order(products[n % len(products)]) for n in range(ORDERS)],
            "customers": [shop.account("customers")["id"] for _ in range(4)],
            "admins": [shop.account("admins", admin)["id"] for _ in range(4)],
        },
    }


if __name__ == "__main__":
    url, password_file = sys.argv[1:]
    print(json.dumps(fill(Shop(url), Path(password_file).read_text().strip())))
