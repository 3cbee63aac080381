"""Hooks for Schemathesis: NDJSON bodies, authentication, idempotency keys, and existing ids.

FUZZ_AS is the principal (anonymous, customer or admin), and FUZZ_SHOP the output file of fill.py. Tokens are in that file,
because every user of the machine can read arguments of processes.
"""

import itertools
import json
import os
import re
import zlib
from pathlib import Path

import schemathesis
from shop import Shop

AS = os.environ["FUZZ_AS"]
FILLED = json.loads(Path(os.environ["FUZZ_SHOP"]).read_text())
POOLS = FILLED["pools"]
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@schemathesis.serializer("application/x-ndjson", "application/ndjson", "application/jsonl")
def ndjson(_context, value):
    """Serialises NDJSON, which Schemathesis doesn't support."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    rows = value if isinstance(value, list) else [value]
    return "\n".join(json.dumps(row) for row in rows).encode()


# Authentication.

ENDS_SESSIONS = ("logout", "patch_profile", "delete_profile")
"""Operations that end their session. They use a spare session, which is replaced when it has ended."""

spare_token = None


def start_spare_session() -> str:
    """Returns the token of a session that may end: of a new customer, or another one of the superuser."""
    shop = Shop(FILLED["url"])
    return shop.new_customer() if AS == "customer" else shop.sign_in("admin", FILLED["password"])


def ends_sessions(case) -> bool:
    return case.operation.definition.raw["operationId"] in ENDS_SESSIONS


if AS != "anonymous":
    usual = f"Bearer {FILLED['tokens'][AS]}"

    @schemathesis.auth(refresh_interval=None)
    class Authentication:
        """Adds the token, except to requests that test its absence."""

        def get(self, _case, _context):
            return usual

        def set(self, case, authorization, _context):
            case.headers["Authorization"] = authorization

    # Not in the class above, which Schemathesis calls for many requests before it sends the first.
    @schemathesis.hook("before_call")
    def use_spare_session(_context, case, _kwargs):
        global spare_token
        if ends_sessions(case) and case.headers.get("Authorization") == usual:
            spare_token = spare_token or start_spare_session()
            case.headers["Authorization"] = f"Bearer {spare_token}"

    @schemathesis.hook("after_call")
    def drop_ended_session(_context, case, response):
        global spare_token
        sent = response.request.headers.get("Authorization")
        if sent == f"Bearer {spare_token}" and (response.status_code < 300 or response.status_code == 401):
            spare_token = None


# Idempotency keys: Schemathesis repeats keys with other bodies, which the API rejects.

KEY = re.compile(r'("?)([!#-~]{1,200})"?')
sent_keys = itertools.count()


@schemathesis.hook("before_call")
def make_key_unique(_context, case, _kwargs):
    key = KEY.fullmatch(str(case.headers.get("Idempotency-Key", "")))
    number = next(sent_keys)
    if key and number % 8 != 0:
        case.headers["Idempotency-Key"] = f"{key[1]}{key[2]}-{number}{key[1]}"


# Existing ids.


def replace_id(kind, value):
    """Replaces seven of eight generated ids by existing ones, deterministically. Other values are not changed."""
    if not isinstance(value, str) or not UUID.fullmatch(value):
        return value
    chosen = zlib.crc32(value.encode())
    pool = POOLS[kind]
    return value if chosen % 8 == 0 else pool[chosen // 8 % len(pool)]


def replace_ids(values, kinds):
    """Replaces the ids whose names are in `kinds`."""
    if not isinstance(values, dict):
        return values
    return {name: replace_id(kinds[name], value) if name in kinds else value for name, value in values.items()}


NAMED = {"cart_id": "carts_to_order", "customer_id": "customers", "product_id": "products"}


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    kind = context.operation.path.split("/")[2]
    return replace_ids(path_parameters, NAMED | ({"id": kind} if kind in POOLS else {}))


@schemathesis.hook
def map_query(_context, query):
    return replace_ids(query, NAMED)


@schemathesis.hook
def map_body(_context, body):
    body = replace_ids(body, NAMED)
    if isinstance(body, dict) and isinstance(body.get("items"), list):
        body["items"] = [replace_ids(item, NAMED) for item in body["items"]]
    return body
