"""What Schemathesis cannot know of this shop: one kind of body, who asks, and which ids there are.

FUZZ_AS says who asks (anonymous, customer or admin), and FUZZ_SHOP names the file that fill.py has printed. Tokens are in
that file, since arguments of processes can be read by every user of the machine.
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
    """A row a line. The tool has no format of its own for this."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    rows = value if isinstance(value, list) else [value]
    return "\n".join(json.dumps(row) for row in rows).encode()


# Who asks.

ENDS_SESSIONS = ("end_session", "patch_profile", "delete_profile")
"""Operations that would end the session of all further requests: they get another one, and a new one when it has ended."""

spare_token = None


def sign_in_anew() -> str:
    """A session that may end: of a customer whom nobody else needs, or one more of the superuser."""
    shop = Shop(FILLED["url"])
    return shop.new_customer() if AS == "customer" else shop.sign_in("admin", FILLED["password"])


def ends_sessions(case) -> bool:
    return case.operation.definition.raw["operationId"] in ENDS_SESSIONS


if AS != "anonymous":
    usual = f"Bearer {FILLED['tokens'][AS]}"

    @schemathesis.auth(refresh_interval=None)
    class SignedIn:
        """Who asks, unless the tool tries what happens without."""

        def get(self, _case, _context):
            return usual

        def set(self, case, authorization, _context):
            case.headers["Authorization"] = authorization

    # Not by the class above: the tool asks it for many requests before it sends the first.
    @schemathesis.hook("before_call")
    def in_a_session_that_may_end(_context, case, _kwargs):
        global spare_token
        if ends_sessions(case) and case.headers.get("Authorization") == usual:
            spare_token = spare_token or sign_in_anew()
            case.headers["Authorization"] = f"Bearer {spare_token}"

    @schemathesis.hook("after_call")
    def notice_its_end(_context, case, response):
        global spare_token
        sent = response.request.headers.get("Authorization")
        if sent == f"Bearer {spare_token}" and (response.status_code < 300 or response.status_code == 401):
            spare_token = None


# Idempotency keys: the tool likes to send the same one again, and with another body that is refused.

KEY = re.compile(r'("?)([!#-~]{1,200})"?')
sent_keys = itertools.count()


@schemathesis.hook("before_call")
def with_a_key_of_its_own(_context, case, _kwargs):
    key = KEY.fullmatch(str(case.headers.get("Idempotency-Key", "")))
    number = next(sent_keys)
    if key and number % 8 != 0:
        case.headers["Idempotency-Key"] = f"{key[1]}{key[2]}-{number}{key[1]}"


# Which ids there are.


def real(kind, value):
    """A real id in place of a made-up one, always the same for the same; of eight, one stays. What is no id stays as well."""
    if not isinstance(value, str) or not UUID.fullmatch(value):
        return value
    chosen = zlib.crc32(value.encode())
    pool = POOLS[kind]
    return value if chosen % 8 == 0 else pool[chosen // 8 % len(pool)]


def with_real_ids(values, kinds):
    """`values` with those ids exchanged whose names are in `kinds`."""
    if not isinstance(values, dict):
        return values
    return {name: real(kinds[name], value) if name in kinds else value for name, value in values.items()}


NAMED = {"cart_id": "carts_to_order", "customer_id": "customers", "product_id": "products"}


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    kind = context.operation.path.split("/")[2]
    return with_real_ids(path_parameters, NAMED | ({"id": kind} if kind in POOLS else {}))


@schemathesis.hook
def map_query(_context, query):
    return with_real_ids(query, NAMED)


@schemathesis.hook
def map_body(_context, body):
    body = with_real_ids(body, NAMED)
    if isinstance(body, dict) and isinstance(body.get("items"), list):
        body["items"] = [with_real_ids(item, NAMED) for item in body["items"]]
    return body
