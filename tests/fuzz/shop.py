"""A client of the shop, for what has to be there before anything can be tried."""

import secrets

import requests

PASSWORD = secrets.token_urlsafe(18)
"""Of all accounts that are made here."""


class Shop:
    """The shop at a URL."""

    def __init__(self, url: str) -> None:
        self.url = url

    def send(self, method: str, path: str, body: dict, token: str | None = None, **headers: str) -> dict:
        """What the shop answers. Everything but a success is an error here."""
        if token:
            headers["Authorization"] = f"Bearer {token}"
        answer = requests.request(method, self.url + path, json=body, headers=headers, timeout=40)
        if not answer.ok:
            raise SystemExit(f"fuzz: {method} {path} was answered with {answer.status_code}: {answer.text}")
        return answer.json()

    def post(self, path: str, body: dict, token: str | None = None, **headers: str) -> dict:
        return self.send("POST", path, body, token, **headers)

    def sign_in(self, username: str, password: str) -> str:
        """An access token of a new session."""
        return self.post("/v1/auth/login", {"username": username, "password": password})["access_token"]

    def account(self, kind: str, token: str | None = None) -> dict:
        """A new account among `customers`, or by an admin's token among `admins`."""
        username = f"fuzz-{secrets.token_hex(6)}"
        account = {"username": username, "email": f"{username}@example.com", "password": PASSWORD}
        return self.post(f"/v1/{kind}", account, token)

    def new_customer(self) -> str:
        """An access token of a customer whom nobody else uses."""
        return self.sign_in(self.account("customers")["username"], PASSWORD)
