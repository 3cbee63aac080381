"""A client of the shop, to create test data."""

import secrets

import requests

PASSWORD = secrets.token_urlsafe(18)
"""Password of all accounts."""


class Shop:
    """The shop at a URL."""

    def __init__(self, url: str) -> None:
        self.url = url

    def send(self, method: str, path: str, body: dict, token: str | None = None, **headers: str) -> dict:
        """Returns the body of a successful response. Other responses end the program."""
        if token:
            headers["Authorization"] = f"Bearer {token}"
        response = requests.request(method, self.url + path, json=body, headers=headers, timeout=40)
        if not response.ok:
            raise SystemExit(f"fuzz: {method} {path} failed with {response.status_code}: {response.text}")
        return response.json()

    def post(self, path: str, body: dict, token: str | None = None, **headers: str) -> dict:
        return self.send("POST", path, body, token, **headers)

    def sign_in(self, username: str, password: str) -> str:
        """Returns an access token of a new session."""
        return self.post("/v1/auth/login", {"username": username, "password": password})["access_token"]

    def account(self, kind: str, token: str | None = None) -> dict:
        """Creates an account among `customers`, or with an admin's token among `admins`."""
        username = f"fuzz-{secrets.token_hex(6)}"
        account = {"username": username, "email": f"{username}@example.com", "password": PASSWORD}
        return self.post(f"/v1/{kind}", account, token)

    def new_customer(self) -> str:
        """Returns an access token of a new customer."""
        return self.sign_in(self.account("customers")["username"], PASSWORD)
