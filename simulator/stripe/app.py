"""Stripe's protocol over an `Account`: routes, pages, keys, and the failures that a test asks for."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Literal

from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from simulator.server import HOST, Uvicorn, bind, configure
from simulator.stripe.account import SEARCH_LAG_SECONDS, Account, HalfDoneError, Object, RefusedError
from simulator.stripe.forms import read_form
from simulator.stripe.idempotency import Keys

TEST_KEY = "sk_test_demo"
"""The key of the demo's account. It opens nothing but a stand-in on loopback."""

Failure = Literal[
    "kill before", "kill during", "kill after", "lost before", "lost after", "late", "500", "half", "429", "409", "402"
]
"""What goes wrong with a request.

`kill …`: the client is killed (`Stripe.kill`) before the work, while it is done, or before the answer. `lost …`: the
connection breaks there. `late`: the answer takes half a second, and the key is in use so long. `500`: nothing is done.
`half`: half of it is done, all of it where there are no halves, and the answer is a 500.
"""

_START_SECONDS = 30
_LATE_SECONDS = 0.5


class BrokenError(Exception):
    """No answer: the connection breaks."""


@dataclass
class Asked:
    """A request as it came."""

    number: int
    method: str
    path: str
    parameters: dict[str, Any]
    key: str | None
    replayed: bool = False
    has_killed: bool = False


@dataclass
class Stripe:
    """A stand-in: its account, its keys, what was asked, and what is to go wrong."""

    account: Account = field(default_factory=Account)
    api_key: str = TEST_KEY
    keys: Keys = field(default_factory=Keys)
    asked: list[Asked] = field(default_factory=list)
    failures: Callable[[Asked], Failure | None] = lambda asked: None
    kill: Callable[[], None] = lambda: None
    hold: Callable[[], None] = lambda: None
    """Called while the work of a killed client's request goes on, and its key is in use: returns when it is done."""
    versions: set[str] = field(default_factory=set)
    """Each `Stripe-Version` that was asked for."""
    base: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def forget_keys(self) -> None:
        """Let more than a day go by for the keys, and not for anything else."""
        with self._lock:
            self.keys.saved.clear()

    @property
    def writes(self) -> list[Asked]:
        """What was asked to be changed and was not a replay."""
        return [each for each in self.asked if each.method != "GET" and not each.replayed]

    def answer(
        self, method: str, path: str, text: str, headers: Mapping[str, str]
    ) -> tuple[int, Object, dict[str, str]]:
        """Carry a request out. Raises `BrokenError` if there is no answer."""
        if headers.get("authorization") != f"Bearer {self.api_key}":
            raise RefusedError("Invalid API Key provided", status=401)
        with self._lock:
            asked = Asked(len(self.asked) + 1, method, path, read_form(text), headers.get("idempotency-key"))
            self.asked.append(asked)
            self.versions.add(headers.get("stripe-version", ""))
            failure = self.failures(asked)
        if failure in ("429", "409", "402"):
            raise _refusal(failure)
        if failure in ("kill before", "lost before"):
            self._break(asked, failure)
        if method != "POST" or not asked.key:
            with self._lock:
                answer = 200, deepcopy(self._carry_out(asked))
        else:
            answer = self._once(asked, asked.key, failure)
        if failure in ("kill after", "kill during", "lost after"):
            self._break(asked, failure)
        return *answer, {"Idempotent-Replayed": "true"} if asked.replayed else {}

    def _once(self, asked: Asked, key: str, failure: Failure | None) -> tuple[int, Object]:
        """Carry a request with a key out, or replay it."""
        with self._lock:
            before = self.keys.begin(key, (asked.method, asked.path, json.dumps(asked.parameters)), self.account.now())
        if before is not None:
            asked.replayed = True
            return before
        if failure == "late":
            time.sleep(_LATE_SECONDS)
        if failure == "kill during":
            asked.has_killed = True
            self.kill()
            self.hold()
        refusal: RefusedError | None = None
        with self._lock:
            self.account.is_half_done = lambda: failure == "half"
            try:
                if failure == "500":
                    raise HalfDoneError
                answer = 200, deepcopy(self._carry_out(asked))
                if failure == "half":
                    raise HalfDoneError
            except HalfDoneError:
                answer = 500, {"error": {"type": "api_error", "message": "Something went wrong on our side."}}
            except RefusedError as error:
                refusal, answer = error, (error.status, error.body)
            self.keys.end(key, answer if refusal is None or refusal.is_saved else None)
        return answer

    def _break(self, asked: Asked, failure: Failure) -> None:
        # Only once: the client may be another one by now.
        if failure.startswith("kill") and not asked.has_killed:
            self.kill()
        raise BrokenError

    def _carry_out(self, asked: Asked) -> Object:
        """Find the route and follow it."""
        for method, pattern, work in _ROUTES:
            found = re.fullmatch(pattern, asked.path)
            if found and method == asked.method:
                return work(self.account, asked.parameters, *found.groups())
        raise RefusedError(f"Unrecognized request URL ({asked.method}: {asked.path})", status=404)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer over ASGI."""
        request = Request(scope, receive)
        text = (await request.body()).decode() if request.method == "POST" else request.url.query
        try:
            answered = await run_sync(self.answer, request.method, request.url.path, text, request.headers)
            status, body, headers = answered
        except RefusedError as error:
            status, body, headers = error.status, error.body, _headers_of(error)
        except BrokenError:
            # uvicorn's own connection: ASGI has no word for a connection that breaks.
            receive.__self__.transport.abort()  # type: ignore[attr-defined]
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        if status == 500:
            headers = {**headers, "Stripe-Should-Retry": "false"}
        await JSONResponse(body, status, headers)(scope, receive, send)


def _refusal(failure: Failure) -> RefusedError:
    if failure == "429":
        return RefusedError("Too many requests", status=429, code="rate_limit", is_saved=False)
    if failure == "409":
        return RefusedError(
            "In use", status=409, kind="idempotency_error", code="idempotency_key_in_use", is_saved=False
        )
    return RefusedError("Your card was declined.", status=402, kind="card_error", code="card_declined")


def _headers_of(refusal: RefusedError) -> dict[str, str]:
    return {"Retry-After": "1"} if refusal.status == 429 else {}


# --- Routes ---------------------------------------------------------------------------------------------------------


def _page(objects: Sequence[Object], given: Mapping[str, Any], url: str) -> Object:
    """A page of a list, newest first, as given."""
    limit = int(given.get("limit", 10))
    if not 1 <= limit <= 100:
        raise RefusedError("limit: from 1 to 100", param="limit", is_saved=False)
    start = 0
    if after := given.get("starting_after"):
        ids = [each["id"] for each in objects]
        if after not in ids:
            raise RefusedError(f"No such object: '{after}'", param="starting_after", code="resource_missing")
        start = ids.index(after) + 1
    shown = objects[start : start + limit]
    return {"object": "list", "url": url, "has_more": start + limit < len(objects), "data": list(shown)}


def _listed(objects: Sequence[Object], given: Mapping[str, Any], fields: Sequence[str], url: str) -> Object:
    """A page of the objects that have the values asked for, newest first."""
    bounds = given.get("created") or {}
    chosen = [
        each
        for each in reversed(objects)
        if all(each.get(name) == given[name] for name in fields if name in given)
        and int(bounds.get("gte", 0)) <= each["created"] <= int(bounds.get("lte", 1 << 60))
    ]
    return _page(chosen, given, url)


def _invoices(account: Account, given: Mapping[str, Any]) -> Object:
    shown = [account.shown(each) for each in account.invoices.values()]
    return _listed(shown, given, ("customer", "status"), "/v1/invoices")


def _search(account: Account, given: Mapping[str, Any]) -> Object:
    found = re.fullmatch(r"metadata\[['\"](\w+)['\"]\]:\s*['\"](.*)['\"]", given.get("query", ""))
    if not found:
        raise RefusedError("We were unable to parse your search query", param="query", is_saved=False)
    name, value = found.groups()
    chosen = [
        account.shown(each)
        for each in account.invoices.values()
        if each["metadata"].get(name) == value and each["created"] <= account.now() - SEARCH_LAG_SECONDS
    ]
    return {"object": "search_result", "url": "/v1/invoices/search", "has_more": False, "data": chosen}


def _lines(account: Account, given: Mapping[str, Any], invoice_id: str) -> Object:
    account.invoice(invoice_id)
    return _page(account.lines[invoice_id], given, f"/v1/invoices/{invoice_id}/lines")


def _balances(account: Account, given: Mapping[str, Any], customer_id: str) -> Object:
    account.customer(customer_id)
    made = account.balance_transactions.get(customer_id, [])
    return _listed(made, given, (), f"/v1/customers/{customer_id}/balance_transactions")


Work = Callable[..., Object]

_ROUTES: list[tuple[str, str, Work]] = [
    ("POST", "/v1/customers", lambda account, given: account.create_customer(given)),
    (
        "GET",
        "/v1/customers",
        lambda account, given: _listed([*account.customers.values()], given, ("email",), "/v1/customers"),
    ),
    ("GET", "/v1/customers/([^/]+)", lambda account, given, key: account.customer(key)),
    ("GET", "/v1/customers/([^/]+)/balance_transactions", _balances),
    (
        "POST",
        "/v1/customers/([^/]+)/balance_transactions",
        lambda account, given, key: account.create_balance_transaction(key, given),
    ),
    ("POST", "/v1/invoices", lambda account, given: account.create_invoice(given)),
    ("GET", "/v1/invoices", _invoices),
    ("GET", "/v1/invoices/search", _search),
    ("GET", "/v1/invoices/([^/]+)", lambda account, given, key: account.shown(account.invoice(key))),
    ("DELETE", "/v1/invoices/([^/]+)", lambda account, given, key: account.delete_invoice(key)),
    ("GET", "/v1/invoices/([^/]+)/lines", _lines),
    ("POST", "/v1/invoices/([^/]+)/add_lines", lambda account, given, key: account.add_lines(key, given)),
    ("POST", "/v1/invoices/([^/]+)/finalize", lambda account, given, key: account.finalize(key, given)),
    ("POST", "/v1/invoices/([^/]+)/void", lambda account, given, key: account.void_invoice(key)),
    (
        "GET",
        "/v1/invoice_payments",
        lambda account, given: _listed(account.payments, given, ("invoice",), "/v1/invoice_payments"),
    ),
    (
        "GET",
        "/v1/refunds",
        lambda account, given: _listed(account.refunds, given, ("payment_intent", "charge"), "/v1/refunds"),
    ),
    (
        "GET",
        "/v1/disputes",
        lambda account, given: _listed(account.disputes, given, ("payment_intent", "charge"), "/v1/disputes"),
    ),
]


@contextmanager
def serve_stripe(stripe: Stripe | None = None) -> Iterator[Stripe]:
    """Serve a stand-in on a free port of loopback while the block lasts; `base` is its address."""
    stripe = stripe or Stripe()
    ready = threading.Event()
    server = Uvicorn(configure(Starlette(routes=[Mount("/", app=stripe)])), on_ready=ready.set)
    with bind() as listener:
        stripe.base = f"http://{HOST}:{listener.getsockname()[1]}"
        thread = threading.Thread(target=server.run, args=([listener],), name="stripe", daemon=True)
        thread.start()
        if not ready.wait(_START_SECONDS):
            raise RuntimeError("the stand-in for Stripe did not start")
        try:
            yield stripe
        finally:
            server.should_exit = server.force_exit = True
            thread.join(_START_SECONDS)
