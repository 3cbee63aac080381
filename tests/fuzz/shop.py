"""A client that prepares the shop for Schemathesis."""

import secrets

import requests

PASSWORD = secrets.token_urlsafe(18)
"""The password of all accounts that this module creates."""


class Shop:
    """The shop at a URL."""

    def __init__(self, url: str) -> None:
        self.url = url

    def send(self, method: str, path: str, body: dict, token: str | None = None, **headers: str) -> dict:
        """Sends a request and returns the body of the response. Exits if the status is not 2xx."""
        if token:
            headers["Authorization"] = f"Bearer {token}"
        response = requests.request(method, self.url + path, json=body, headers=headers, timeout=40)
        if not response.ok:
            raise SystemExit(f"fuzz: {method} {path} returned {response.status_code}: {response.text}")
        return response.json()

    def post(self, path: str, body: dict, token: str | None = None, **headers: str) -> dict:
        return self.send("POST", path, body, token, **headers)

    def sign_in(self, username: str, password: str) -> str:
        """Signs in and returns the access token."""
        return self.post("/v1/auth/login", {"username": username, "password": password})["access_token"]

    def account(self, kind: str, token: str | None = None) -> dict:
        """Creates an account. `kind` is `customers`, or `admins` with the token of an admin."""
        username = f"fuzz-{secrets.token_hex(6)}"
        account = {"username": username, "email": f"{username}@example.com", "password": PASSWORD}
        return self.post(f"/v1/{kind}", account, token)

    def new_customer(self) -> str:
        """Creates a customer and returns an access token."""
        return self.sign_in(self.account("customers")["username"], PASSWORD)
