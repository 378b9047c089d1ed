"""The vendor's HTTP protocol over a `Tenant`: routes, authentication, error and list envelopes, in every variant.

What the vendor's documentation leaves open, or its own clients disagree on, is a field of `Options`. Requests pass one
small ASGI layer (`_Front`) that numbers and logs them, asks for the key, and gives the `fault` hook its chance to
answer instead; then come Starlette's routes.
"""

from __future__ import annotations

import hmac
import itertools
import random
import re
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal, get_args
from urllib.parse import quote, unquote

import anyio
import msgspec
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from simulator import usage_reports
from simulator.account import Account, AccountOptions, AccountRoute
from simulator.limiter import Limit as RateLimit
from simulator.limiter import Limiter, limit_headers, refusal_body
from simulator.metering import (
    MICROSECONDS_PER_HOUR,
    Attribution,
    GroupBy,
    Rollup,
    nano_text,
    roll_up,
    whole_cents,
)
from simulator.offsets import slice_of
from simulator.quotas import (
    QuotaDeleted,
    QuotaOptions,
    QuotaPlace,
    QuotaShape,
    QuotaWrites,
    limits_after_put,
    quota_answer,
)
from simulator.rows import Sandbox, Session, read_time, to_iso
from simulator.tenant import Limit, Tenant, Window
from simulator.usage_reports import (
    UsageCustom,
    UsageGroups,
    UsageLines,
    UsageParameters,
    UsagePeriod,
    UsagePeriodText,
    UsageShape,
)

API = "/api/v1"
"""Where the vendor's routes live."""

CONTROL = "/_simulator"
"""Where this simulator's own routes live: they let time pass for a server in another process."""

DEFAULT_API_KEY = "msk_demo"
"""The key of the demo's tenant. It opens nothing but a simulator on loopback."""

DEFAULT_PAGE_SIZE = 20
KEPT_REQUESTS = 10_000

Envelope = Literal["page", "meta", "cursor", "offset"]
CursorType = Literal["string", "integer"]
RowsKey = Literal["data", "sessions", "items", "bare"]
CostField = Literal["credit_cost", "credits_used", "both"]
Rounding = Literal["cents"]
EmptyList = Literal["list", "null"]
PastEnd = Literal["empty", "404", "last"]
More = Literal["nothing", "has_more", "next", "next_page", "total_pages"]
Counted = Literal["rows", "total"]

Fault = Callable[[Request, int], Awaitable[Response | None]]
"""Given a request to the API and its number (from 1), answers in the server's place, or returns None."""

_HOURS_REMEMBERED = 24
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_COST = re.compile(rb'"credit_cost":([^,}]+)')


@dataclass(frozen=True, kw_only=True)
class Options(QuotaOptions):
    """Which of the vendor's possible behaviours the server shows. Raises `ValueError` for an unknown one."""

    api_key: str = DEFAULT_API_KEY
    """The only key that is let in."""
    envelope: Envelope = "page"
    """How lists page: documented `page`, the Go client's `meta`, the TypeScript client's `cursor`, or by `offset`."""
    cursor_type: CursorType = "string"
    """Whether `next_cursor` is an opaque string or an integer."""
    rows_key: RowsKey = "data"
    """Where a list's rows stand; `bare` answers the rows alone, so paging ends with an empty page."""
    cost_field: CostField = "credit_cost"
    """The name, or both names, of the cost in generated rows. Rows given by a test are served as they are."""
    max_page_size: int = 100
    """The cap on rows in a page, whatever is asked for."""
    has_page_size: bool = True
    """Whether the envelopes `page`, `meta` and `offset` name the size of the page."""
    has_total: bool = True
    """Whether these envelopes name the number of rows."""
    total_stops_at: int | None = None
    """The number of rows at which the total stops counting; None for one that is true."""
    more: More = "nothing"
    """How the envelope says outright whether there is more."""
    more_by: Counted = "rows"
    """Whether it says so by the rows there are, or by the total, which may have stopped counting."""
    past_end: PastEnd = "empty"
    """The answer to a page behind the last one: a list without rows, 404, or the last page again."""
    empty_list: EmptyList = "list"
    """How a list without rows is written, the rollup's too: `[]`, or null as Go does."""
    window: Window = "start"
    """What `since` and `until` select sessions by (see `Tenant.select`)."""
    vendor_attribution: Attribution = "split"
    """How rollup and summary count a session that crosses the period's end."""
    usage_shape: UsageShape = "results"
    """The shape of `GET /usage`."""
    usage_parameters: UsageParameters = "any"
    """Whether `GET /usage` takes parameters that its shape does not document."""
    usage_groups: UsageGroups = "list"
    """How many values of `groupBy` it takes."""
    usage_custom: UsageCustom = "taken"
    """What it makes of `period=custom`."""
    usage_period: UsagePeriod = "asked"
    """The period that it answers for."""
    usage_period_text: UsagePeriodText = "instants"
    """How it writes that period."""
    usage_lines: UsageLines = "whole"
    """Whether it lists each line once."""
    rollup_wrapped: bool = False
    """Whether rollup and summary stand inside `data`."""
    rollup_rounding: Rounding | None = None
    """Credits in rollup and summary: to the nano-credit (None), or in whole cents, half up."""
    shuffle_seed: int | None = None
    """Permutes the rows of lists, the same way for the same seed and rows; None lists them newest first."""
    shuffle_keys: bool = False
    """Permutes the keys of rows from one request to the next. Rows given as text are left alone."""
    account: AccountOptions = field(default_factory=AccountOptions)
    """How the platform's own account is shown (`simulator.account`)."""
    latency_ms: int = 0
    """How long each answer of the API is held back, in milliseconds."""
    rate_limit: RateLimit | None = None
    """How many requests are let pass; None for all. `app.state.limiter` counts those that are refused."""

    def __post_init__(self) -> None:
        """Refuse values that no branch would know."""
        for name, kind in _CHOICES.items():
            if getattr(self, name) not in get_args(kind):
                raise ValueError(f"{name} must be one of {', '.join(get_args(kind))}: not {getattr(self, name)!r}")
        if self.rollup_rounding not in (None, *get_args(Rounding)):
            raise ValueError(f"rollup_rounding must be None or cents: not {self.rollup_rounding!r}")
        if self.max_page_size < 1 or self.latency_ms < 0:
            raise ValueError("max_page_size must be at least 1 and latency_ms at least 0")
        if self.total_stops_at is not None and self.total_stops_at < 1:
            raise ValueError("total_stops_at must be at least 1")

    def rounded(self, nano: int) -> int:
        """Nano-credits as rollup and summary show them."""
        return whole_cents(nano) * 10**9 if self.rollup_rounding == "cents" else nano


_CHOICES = {
    "envelope": Envelope,
    "cursor_type": CursorType,
    "rows_key": RowsKey,
    "cost_field": CostField,
    "window": Window,
    "vendor_attribution": Attribution,
    "quota_shape": QuotaShape,
    "quota_place": QuotaPlace,
    "quota_writes": QuotaWrites,
    "quota_deleted": QuotaDeleted,
    "more": More,
    "more_by": Counted,
    "past_end": PastEnd,
    "empty_list": EmptyList,
    **usage_reports.CHOICES,
}


class ApiError(Exception):
    """An answer in the vendor's error envelope."""

    def __init__(self, status: int, code: str, message: str) -> None:
        """Carry the HTTP status, the vendor's machine-readable code, and a message for people."""
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def create_app(tenant: Tenant, options: Options | None = None, fault: Fault | None = None) -> Starlette:
    """Build the ASGI application that serves `tenant`.

    `app.state.requests` holds the latest requests to the API as `(method, path, query)`: the path percent-encoded as
    it came, the query as a dict of texts. `fault` may answer in the server's place (see `Fault`); what it raises or
    returns is the client's to see, and it may change the tenant while a client pages.
    """
    options = options or Options()
    api = _Api(tenant, options)
    app = Starlette(
        routes=[
            Route(f"{API}/usage/sessions", api.sessions),
            Route(f"{API}/usage/summary", api.summary),
            Route(f"{API}/usage", api.rollup),
            Route(f"{API}/quotas/external/{{user}}", api.get_quota, methods=["GET"]),
            Route(f"{API}/quotas/external/{{user}}", api.write_quota, methods=["PUT", "DELETE"]),
            Route(f"{API}/sandboxes", api.sandboxes),
            Route(f"{API}/credits/transactions", api.account("transactions")),
            Route(f"{API}/credits/balance", api.account("balance")),
            Route(f"{API}/billing/invoices", api.account("invoices")),
            Route(f"{API}/billing/overview", api.account("overview")),
            Route(f"{CONTROL}/state", api.state),
            Route(f"{CONTROL}/{{action}}", api.control, methods=["POST"]),
        ],
        exception_handlers={
            ApiError: _on_api_error,
            usage_reports.QueryError: _on_query_error,
            HTTPException: _on_http_error,
            Exception: _on_crash,
        },
    )
    app.router.redirect_slashes = False
    app.state.requests = deque(maxlen=KEPT_REQUESTS)
    app.state.limiter = Limiter(options.rate_limit) if options.rate_limit else None
    app.add_middleware(_Front, options=options, fault=fault, requests=app.state.requests, limiter=app.state.limiter)
    return app


class _Front:
    """What happens to every request before its route: number, log, latency, rate limit, fault, key."""

    def __init__(
        self,
        app: ASGIApp,
        options: Options,
        fault: Fault | None,
        requests: deque[tuple[str, str, dict[str, str]]],
        limiter: Limiter | None,
    ) -> None:
        self._app, self._options, self._fault, self._requests = app, options, fault, requests
        self._limiter = limiter
        self._ids = itertools.count(1)
        self._numbers = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Routes match the path as it was sent: in the decoded one `a%2Fb` and `a/b` are the same.
        path = (scope.get("raw_path") or quote(scope["path"]).encode()).decode("latin-1")
        scope["path"], scope["request_id"] = path, f"req_{next(self._ids):08d}"
        identity = scope["request_id"].encode()

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", []))
                if not any(name.lower() == b"x-request-id" for name, _ in headers):
                    headers.append((b"x-request-id", identity))
                headers += scope.get("rate_limit_headers", [])
                message = {**message, "headers": headers}
            await send(message)

        request = Request(scope, receive)
        if request.method != "GET":
            body = await request.body()

            async def receive() -> Message:  # again: `fault` may read the body, and a route has to
                return {"type": "http.request", "body": body, "more_body": False}

        answer = await self._before(request, path)
        await (answer or self._app)(scope, receive, send_with_id)

    async def _before(self, request: Request, path: str) -> Response | None:
        """Log the request; the answer that keeps it from its route, or None."""
        if not path.startswith(CONTROL):
            number = next(self._numbers)
            self._requests.append((request.method, path, dict(request.query_params)))
            if self._options.latency_ms:
                await anyio.sleep(self._options.latency_ms / 1000)
            if self._limiter is not None and (refusal := self._limit(request, self._limiter)) is not None:
                return refusal
            answer = await self._fault(request, number) if self._fault else None
            if answer is not None:
                return answer
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(key.encode(), self._options.api_key.encode()):
            return _error(request, 401, "unauthorized", "The API key is missing or not valid.")
        return None

    def _limit(self, request: Request, limiter: Limiter) -> Response | None:
        """Count the request against the rate limit; the refusal, or None. Both answers report the limit."""
        verdict = limiter.take(time.monotonic())
        told = limit_headers(limiter.limit, verdict, datetime.now(UTC))
        request.scope["rate_limit_headers"] = [(name.encode(), value.encode()) for name, value in told.items()]
        if verdict.is_allowed:
            return None
        return Response(
            refusal_body(limiter.limit, verdict, request.scope["request_id"]), 429, media_type="application/json"
        )


class _Api:
    """The routes of one tenant."""

    def __init__(self, tenant: Tenant, options: Options) -> None:
        self._tenant, self._options = tenant, options
        self._account = Account(tenant, options.account)
        self._answered: dict[str, tuple[int, tuple[str, str, bytes], Response]] = {}

    # Lists

    async def sessions(self, request: Request) -> Response:
        """Answer `GET /usage/sessions`."""
        query, tenant, options = request.query_params, self._tenant, self._options
        since, until = _time(request, "since"), _time(request, "until")
        computer = query.get("computer_id")

        def select() -> Sequence[Session]:
            rows: list[Session] = tenant.select(options.window, since, until)
            if computer is not None:
                rows = [row for row in rows if row.computer == computer]
            return self._shuffled(rows)

        # The selection is kept between pages, so the pages of a large one cost no more than those of a small one.
        rows = tenant.remember(("sessions", since, until, computer, options.window, options.shuffle_seed), select)
        return self._list(request, rows, options.rows_key)

    async def sandboxes(self, request: Request) -> Response:
        """Answer `GET /sandboxes`, filtered by any of the query's fields that rows have."""
        rows = self._tenant.sandboxes
        for name in ("external_user_id", "external_workspace_id", "external_project_id", "state"):
            wanted = request.query_params.get(name)
            if wanted is not None:
                rows = [row for row in rows if row.fields.get(name) == wanted]
        # `sessions` is no name for sandboxes: clients look for these under `data` or `items`.
        key: RowsKey = "data" if self._options.rows_key == "sessions" else self._options.rows_key
        return self._list(request, self._shuffled(rows), key)

    def _shuffled(self, rows: Sequence[Any]) -> Sequence[Any]:
        """Rows in the order that the options ask for."""
        if self._options.shuffle_seed is None:
            return rows
        return random.Random(self._options.shuffle_seed).sample(rows, len(rows))

    def _list(self, request: Request, rows: Sequence[Session | Sandbox], key: RowsKey) -> Response:
        """One page of rows in the envelope of the options."""
        options, total = self._options, len(rows)
        if options.envelope == "offset":
            return self._offset_list(request, rows, key)
        size = min(_whole(request, ("page_size", "limit", "per_page"), DEFAULT_PAGE_SIZE), options.max_page_size)
        page = _whole(request, ("page",), 1)
        offset = (page - 1) * size
        if options.envelope == "cursor" and "cursor" in request.query_params:
            offset = self._read_cursor(request.query_params["cursor"])
        if options.past_end == "404" and offset >= max(total, 1):
            raise ApiError(404, "not_found", "Invalid page.")
        if options.past_end == "last":
            offset = min(offset, max(total - 1, 0) // size * size)
        body = b"[%b]" % b",".join(self._texts(request, rows[offset : offset + size]))
        if key == "bare":
            return _json(body)
        following, counted = offset + size, min(total, options.total_stops_at or total)
        if options.envelope == "cursor":
            around: dict[str, object] = {"next_cursor": self._write_cursor(following) if following < total else None}
        else:
            of_page = {"page": page}
            if options.has_page_size:
                of_page["page_size" if options.envelope == "page" else "per_page"] = size
            if options.has_total:
                of_page["total"] = counted
            around = {options.envelope: of_page}
        if options.more != "nothing":
            around[options.more] = self._more(
                request, page, size, following, counted if options.more_by == "total" else total
            )
        if options.empty_list == "null" and body == b"[]":
            body = b"null"
        return _json(b'{"%b":%b,%b' % (key.encode(), body, _ENCODER.encode(around)[1:]))

    def _offset_list(self, request: Request, rows: Sequence[Session | Sandbox], key: RowsKey) -> Response:
        """The rows that `limit` and `offset` ask for."""
        options, total = self._options, len(rows)
        try:
            asked = slice_of(request.query_params, DEFAULT_PAGE_SIZE, options.max_page_size)
        except ValueError as error:
            raise ApiError(422, "invalid_offset", str(error)) from None
        if options.past_end == "404" and asked.offset >= max(total, 1):
            raise ApiError(404, "not_found", "Invalid offset.")
        body = b"[%b]" % b",".join(self._texts(request, rows[asked.offset : asked.following()]))
        if key == "bare":
            return _json(body)
        counted = min(total, options.total_stops_at or total)
        around = asked.envelope(counted, has_size=options.has_page_size, has_total=options.has_total)
        has_more = asked.following() < (counted if options.more_by == "total" else total)
        if options.more == "has_more":
            around["has_more"] = has_more
        elif options.more == "next":
            around["next"] = asked.next_link(request.scope["path"]) if has_more else None
        if options.empty_list == "null" and body == b"[]":
            body = b"null"
        members = _ENCODER.encode(around)[1:-1]
        return _json(b'{"%b":%b%b}' % (key.encode(), body, b"," + members if members else b""))

    def _more(self, request: Request, page: int, size: int, following: int, counted: int) -> object:
        """What the envelope says outright of whether there is more."""
        has_more = following < counted
        if self._options.more == "has_more":
            return has_more
        if self._options.more == "total_pages":
            return -(-counted // size)
        if self._options.more == "next":
            return f"{request.scope['path']}?page={page + 1}" if has_more else None
        return page + 1 if has_more else None

    def _texts(self, request: Request, rows: Sequence[Session | Sandbox]) -> list[bytes]:
        """The rows' texts, with the cost's name and the order of keys that the options ask for."""
        cost, number = self._options.cost_field, request.scope["request_id"]
        texts = []
        for row in rows:
            text = row.text
            # Quotes inside a JSON string are escaped, so in the generator's compact texts only the key matches.
            if row.kind == "generated" and cost == "credits_used":
                text = text.replace(b'"credit_cost":', b'"credits_used":')
            elif row.kind == "generated" and cost == "both":
                text = _COST.sub(rb'"credit_cost":\1,"credits_used":\1', text)
            if self._options.shuffle_keys and row.kind != "text":
                fields = list(msgspec.json.decode(text, type=dict[str, msgspec.Raw]).items())
                random.Random(f"{number} {text!r}").shuffle(fields)
                text = _ENCODER.encode(dict(fields))
            texts.append(text)
        return texts

    def _write_cursor(self, offset: int) -> int | str:
        return offset if self._options.cursor_type == "integer" else f"c_{offset:x}"

    def _read_cursor(self, cursor: str) -> int:
        """Where a cursor points to. A cursor is a position, so rows that arrive meanwhile push others past it."""
        pattern, base = (
            (r"([0-9]{1,15})", 10) if self._options.cursor_type == "integer" else (r"c_([0-9a-f]{1,12})", 16)
        )
        match = re.fullmatch(pattern, cursor)
        if match is None:
            raise ApiError(422, "invalid_cursor", "cursor is not one that this API gave.")
        return int(match[1], base)

    # Usage

    async def rollup(self, request: Request) -> Response:
        """Answer `GET /usage`, in the shape of the options."""
        options, query, tenant = self._options, request.query_params, self._tenant
        question = usage_reports.read_question(query, options, tenant.now_microseconds)
        groups, by_user = question.groups, ("external_user_id",)
        if options.usage_shape == "data":
            rollup = await self._rolled_up(question.since, question.until, groups)
            return self._wrapped(usage_reports.data_answer(question, rollup, options))
        rollup = await self._rolled_up(question.since, question.until, groups[0])
        storage = tenant.storage_nano_gb if groups == by_user else {}
        wanted = query.get("external_user_id")
        return self._wrapped(usage_reports.rollup_answer(question, rollup, storage, wanted, options))

    async def summary(self, request: Request) -> Response:
        """Answer `GET /usage/summary`: the tenant's totals. Without a period, of the month so far."""
        if "period_start" in request.query_params or "period_end" in request.query_params:
            since, until = usage_reports.between(request.query_params, "period_start", "period_end")
        else:
            since, until = usage_reports.month_so_far(self._tenant.now_microseconds)
        rollup = await self._rolled_up(since, until, "external_user_id")
        seconds = sum(rollup.sandbox_seconds.values()) + sum(rollup.computer_seconds.values())
        return self._wrapped(
            {
                "period_start": to_iso(since),
                "period_end": to_iso(until),
                "compute_hours": _nano_number(seconds * 10**9 // 3600),
                "storage_gb": _nano_number(sum(self._tenant.storage_nano_gb.values())),
                # What this warehouse does not read is there, as it is in the vendor's answer, and derived from use.
                "bandwidth_gb": _nano_number(seconds * 10**4),
                "ai_tokens": seconds * 7,
                "total_credits": _nano_number(self._options.rounded(sum(rollup.nano.values()))),
            }
        )

    async def _rolled_up(self, since: int, until: int, group_by: GroupBy | tuple[GroupBy, ...]) -> Rollup:
        """The rollup of a period, kept until the tenant changes. In a thread: other requests go on meanwhile."""
        compute = partial(roll_up, self._tenant, since, until, self._options.vendor_attribution, group_by)
        key = ("rollup", since, until, self._options.vendor_attribution, group_by)
        return await run_sync(self._tenant.remember, key, compute)

    def _wrapped(self, answer: dict[str, object]) -> Response:
        return _json(_ENCODER.encode({"data": answer} if self._options.rollup_wrapped else answer))

    # Quotas

    async def get_quota(self, request: Request) -> Response:
        """Answer `GET /quotas/external/{user}`."""
        user = _user(request)
        limits = self._tenant.quota(user)
        if limits is None:
            raise ApiError(404, "not_found", "This user has no quota.")
        return self._quota(user, limits)

    async def write_quota(self, request: Request) -> Response:
        """Answer `PUT` and `DELETE` of a quota; a write with a remembered `Idempotency-Key` is answered again."""
        key, now = request.headers.get("idempotency-key"), self._tenant.now_microseconds
        body = await request.body()
        asked = (request.method, request.scope["path"], body)
        if key is not None and key in self._answered:
            when, before, response = self._answered[key]
            if now - when < _HOURS_REMEMBERED * MICROSECONDS_PER_HOUR:
                if before != asked:
                    raise ApiError(422, "idempotency_key_reused", "This Idempotency-Key came with another request.")
                return Response(response.body, response.status_code, media_type=response.media_type)
        user = _user(request)
        if request.method == "PUT":
            response = self._put_quota(user, body)
        else:
            try:
                self._tenant.delete_quota(user)
            except KeyError:
                raise ApiError(404, "not_found", "This user has no quota.") from None
            response = _json(b'{"ok":true}') if self._options.quota_deleted == "ok" else Response(status_code=204)
        if key is not None:
            self._answered[key] = (now, asked, response)
        return response

    def _put_quota(self, user: str, body: bytes) -> Response:
        try:
            self._tenant.put_quota(user, limits_after_put(body, self._tenant.quota(user), self._options))
        except ValueError as error:
            raise ApiError(422, "invalid_quota", str(error)) from None
        return self._quota(user, self._tenant.quota(user) or {})

    def _quota(self, user: str, limits: dict[str, Limit]) -> Response:
        tenant = self._tenant
        created = sum(sandbox.owner == user for sandbox in tenant.sandboxes)
        owned = sum(sandbox.owner == user and sandbox.is_there for sandbox in tenant.sandboxes)
        running = tenant.remember("running", tenant.running_by_user)[user]
        return _json(_ENCODER.encode(quota_answer(user, limits, created, owned, running, self._options)))

    # The platform's own account

    def account(self, route: AccountRoute) -> Callable[[Request], Awaitable[Response]]:
        """What answers a route of the platform's own account."""

        async def answer(request: Request) -> Response:
            status = self._options.account.refused.get(route)
            if status is not None:
                raise ApiError(status, "forbidden", "The key lacks the scope for this.")
            return _json(await run_sync(getattr(self, f"_{route}"), request))

        return answer

    def _transactions(self, request: Request) -> bytes:
        size = min(_whole(request, ("page_size", "limit"), DEFAULT_PAGE_SIZE), self._options.max_page_size)
        return self._account.transactions(_whole(request, ("page",), 1), size)

    def _balance(self, _: Request) -> bytes:
        return self._account.balance()

    def _invoices(self, request: Request) -> bytes:
        size = min(_whole(request, ("limit",), DEFAULT_PAGE_SIZE), self._options.max_page_size)
        cursor = request.query_params.get("cursor")
        offset = 0 if cursor is None else self._read_cursor(cursor)
        rows, total = self._account.invoices(offset, size)
        following = self._write_cursor(offset + size) if offset + size < total else None
        return _ENCODER.encode({"data": rows, "next_cursor": following})

    def _overview(self, _: Request) -> bytes:
        return self._account.overview()

    # Control

    async def state(self, request: Request) -> Response:
        """Answer `GET /_simulator/state`: the clock, and how much there is of what."""
        tenant = self._tenant
        sessions = tenant.sessions
        state = {
            "now": to_iso(tenant.now_microseconds),
            "sessions": len(sessions),
            "running": sum(session.running for session in sessions),
            "sandboxes": len(tenant.sandboxes),
            "quotas": len(tenant.quotas),
        }
        return _json(_ENCODER.encode(state))

    async def control(self, request: Request) -> Response:
        """Answer `POST /_simulator/{action}`: let time pass. The body's fields are those of the tenant's methods."""
        action = _ACTIONS.get(request.path_params["action"])
        if action is None:
            raise ApiError(404, "not_found", f"Unknown action; known are {', '.join(sorted(_ACTIONS))}.")
        try:
            action(self._tenant, _Body(msgspec.json.decode(await request.body(), type=dict[str, msgspec.Raw])))
        except KeyError as error:
            raise ApiError(404, "not_found", f"There is no session {error}.") from None
        except (ValueError, TypeError, msgspec.DecodeError) as error:
            raise ApiError(422, "invalid_request", str(error)) from None
        return await self.state(request)


class _Body(dict[str, msgspec.Raw]):
    """A control request's fields, each as the JSON text that it was."""

    def __missing__(self, name: str) -> msgspec.Raw:
        raise ValueError(f"{name} is missing")


def _text(body: _Body, name: str) -> str:
    return msgspec.json.decode(body[name], type=str)


def _row(body: _Body) -> str:
    """The row of a control request: an object as it is spelt, or a string that holds the row's text."""
    raw = bytes(body["row"]).strip()
    return _text(body, "row") if raw.startswith(b'"') else raw.decode()


def _advance(tenant: Tenant, body: _Body) -> None:
    instant = read_time(_text(body, "to"))
    if instant is None:
        raise ValueError("to must be an ISO 8601 time")
    tenant.advance(datetime.fromisoformat(to_iso(instant)))


def _end_session(tenant: Tenant, body: _Body) -> None:
    duration = msgspec.json.decode(body["duration"], type=int | None) if "duration" in body else None
    tenant.end_session(_text(body, "id"), _text(body, "ended_at"), bytes(body["cost"]).decode(), duration)


_ACTIONS: dict[str, Callable[[Tenant, _Body], None]] = {
    "advance": _advance,
    "end-session": _end_session,
    "add-session": lambda tenant, body: tenant.add_session(_row(body)),
    "replace-session": lambda tenant, body: tenant.replace_session(_text(body, "id"), _row(body)),
    "correct-cost": lambda tenant, body: tenant.correct_cost(_text(body, "id"), bytes(body["cost"]).decode()),
    "remove-session": lambda tenant, body: tenant.remove_session(_text(body, "id")),
    "put-sandbox": lambda tenant, body: tenant.put_sandbox(_row(body)),
}


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")


def _nano_number(nano: int) -> msgspec.Raw:
    """A nano amount as an exact JSON number, without an exponent or needless zeros."""
    return msgspec.Raw(nano_text(nano).encode())


def _time(request: Request, name: str) -> int | None:
    """An instant in the query; None where it is not given. Raises `ApiError` 422 for one that cannot be read."""
    text = request.query_params.get(name)
    if text is None:
        return None
    instant = read_time(text)
    if instant is None:
        raise ApiError(422, "invalid_time", f"{name} must be an ISO 8601 date and time.")
    return instant


def _whole(request: Request, names: Sequence[str], default: int) -> int:
    """The first of these query parameters that is given, as a positive integer. Raises `ApiError` 422 for others."""
    for name in names:
        text = request.query_params.get(name)
        if text is not None:
            if re.fullmatch(r"0*[1-9][0-9]{0,8}", text) is None:
                raise ApiError(422, "invalid_page", f"{name} must be a whole number of at least 1.")
            return int(text)
    return default


def _user(request: Request) -> str:
    """The user in a quota's path, decoded once. Raises `ApiError` 404 for what is no UTF-8."""
    try:
        return unquote(request.path_params["user"], errors="strict")
    except UnicodeDecodeError:
        raise ApiError(404, "not_found", "No such user.") from None


def _error(request: Request, status: int, code: str, message: str) -> Response:
    identity = request.scope["request_id"]
    envelope = {"error": {"code": code, "message": message, "request_id": identity}}
    return Response(_ENCODER.encode(envelope), status, {"x-request-id": identity}, media_type="application/json")


async def _on_api_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, ApiError):
        raise error
    return _error(request, error.status, error.code, error.message)


async def _on_query_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, usage_reports.QueryError):
        raise error
    return _error(request, 422, error.code, error.message)


async def _on_http_error(request: Request, error: Exception) -> Response:
    """Answer what Starlette's router refuses: an unknown path (404) or method (405)."""
    if not isinstance(error, HTTPException):
        raise error
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "bad_request")
    return _error(request, error.status_code, code, error.detail)


async def _on_crash(request: Request, error: Exception) -> Response:
    return _error(request, 500, "internal_error", "The simulator failed; its own log says why.")
