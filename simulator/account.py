"""The platform's own account at the vendor: transactions, balance, invoices and an overview, all from one ledger.

The ledger follows from the tenant's sessions, so its figures agree with them: a purchase that expired before the first
session, a promo, a purchase in each month with usage, and what the sessions cost. Invoices run from the 15th to the
15th, at 06:00 UTC, because the vendor's period need not be a calendar month. Amounts are nano-credits throughout.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

import msgspec

from simulator.metering import (
    EARLIEST_START,
    MICROSECONDS_PER_DAY,
    MICROSECONDS_PER_HOUR,
    end_of,
    nano_text,
    part,
    roll_up,
    whole_cents,
)
from simulator.rows import MICROSECONDS, NANO, Session, to_iso, to_microseconds
from simulator.tenant import Tenant

AccountRoute = Literal["balance", "transactions", "invoices", "overview"]
TransactionEnvelope = Literal["meta", "transactions"]
Spends = Literal["session", "day"]

INVOICE_DAY, INVOICE_HOUR = 15, 6
"""When a period of the vendor's invoices begins, in UTC."""

EXPIRY_DAYS = 180
"""How long purchased credits last."""

_PURCHASE = 1_000 * NANO
_PROMO = 250 * NANO
_AI_CALL = NANO + NANO // 2


@dataclass(frozen=True, kw_only=True)
class AccountOptions:
    """Which of the vendor's possible behaviours the account's routes show, and what is wrong with their figures."""

    refused: Mapping[AccountRoute, int] = field(default_factory=dict, hash=False)
    """Routes that the key may not read, with the status of the refusal."""
    envelope: TransactionEnvelope = "meta"
    """How the list of transactions pages: `data` with `meta`, or `transactions` without a total."""
    spends: Spends = "session"
    """Whether a spend is booked for each session when it ends, or for each day, each session by its share."""
    is_signed: bool = True
    """Whether spends are negative. Expiries always are."""
    ai_calls: int = 0
    """Calls of a model that are charged on the first invoice, on no computer."""
    lost: frozenset[str] = frozenset()
    """Ids of transactions that the balance counts and the list lacks."""
    invoice_error_cents: int = 0
    """What the newest invoice is too high by."""


class Entry(NamedTuple):
    """One booking. A negative amount is taken from the balance."""

    at: int
    """Microseconds since 1970 in UTC."""
    id: str
    type: str
    nano: int
    computer: str | None = None
    model: str | None = None
    description: str = ""


class Account:
    """The account of a tenant. It holds nothing itself: each answer follows from the tenant's sessions and clock."""

    def __init__(self, tenant: Tenant, options: AccountOptions) -> None:
        """Show this tenant's account so."""
        self._tenant, self._options = tenant, options

    @property
    def entries(self) -> list[Entry]:
        """All bookings, newest first."""
        entries: list[Entry] = self._tenant.remember(("account", self._options.spends), self._book)
        return entries

    @property
    def balance_nano(self) -> int:
        """What is left."""
        return sum(entry.nano for entry in self.entries)

    def transactions(self, page: int, size: int) -> bytes:
        """Answer `GET /credits/transactions`."""
        listed = [entry for entry in self.entries if entry.id not in self._options.lost]
        rows = [self._transaction(entry) for entry in listed[(page - 1) * size : page * size]]
        if self._options.envelope == "transactions":
            return _encode({"transactions": rows})
        return _encode({"data": rows, "meta": {"total": len(listed), "page": page, "per_page": size}})

    def balance(self) -> bytes:
        """Answer `GET /credits/balance`, in whole credits as the vendor does."""
        entries = self.entries
        spent = -sum(entry.nano for entry in entries if entry.type == "spend") // NANO
        earned = sum(entry.nano for entry in entries if entry.nano > 0) // NANO
        expired = -sum(entry.nano for entry in entries if entry.type == "expiry") // NANO
        purchased = [entry.at for entry in entries if entry.type == "earn"]
        expiries = (at + EXPIRY_DAYS * MICROSECONDS_PER_DAY for at in purchased)
        ahead = [at for at in expiries if at > self._tenant.now_microseconds]
        return _encode(
            {
                "tenant_id": "ten_1",
                "balance_credits": earned - spent - expired,
                "lifetime_earned": earned,
                "lifetime_spent": spent,
                "credit_expiry_at": to_iso(min(ahead)) if ahead else None,
                "updated_at": to_iso(self._tenant.now_microseconds),
            }
        )

    def invoices(self, offset: int, size: int) -> tuple[list[dict[str, Any]], int]:
        """A part of the invoices, newest first, and how many there are."""
        rows = self._invoices()
        return rows[offset : offset + size], len(rows)

    def overview(self) -> bytes:
        """Answer `GET /billing/overview`."""
        now = self._tenant.now_microseconds
        start, end = period_of(now)
        balance = max(0, self.balance_nano // NANO)
        return _encode(
            {
                "data": {
                    "usage_budget_cents": 0,
                    "topup_balance_cents": balance,
                    "billing_period_usage_cents": whole_cents(self._used(start, now)),
                    "available_balance_cents": balance,
                    "billing_period_start": to_iso(start),
                    "billing_period_end": to_iso(end),
                }
            }
        )

    # The ledger

    def _book(self) -> list[Entry]:
        """All bookings, newest first."""
        sessions = self._counted()
        if not sessions:
            return []
        spends = self._spends_by_day(sessions) if self._options.spends == "day" else self._spends_by_session(sessions)
        spends += self._ai_calls(sessions)
        first = min(session.start or 0 for session in sessions) - MICROSECONDS_PER_DAY
        early = first - 200 * MICROSECONDS_PER_DAY
        expired = early + EXPIRY_DAYS * MICROSECONDS_PER_DAY
        entries = [
            *spends,
            Entry(early, "txn_purchase_early", "earn", _PURCHASE, description="Credits purchased"),
            Entry(expired, "txn_expiry_early", "expiry", -_PURCHASE, description="Purchased credits expired"),
            Entry(first, "txn_promo", "promo", _PROMO, description="Welcome"),
            *_purchases(spends, first),
        ]
        return sorted(entries, key=lambda entry: (-entry.at, entry.id))

    def _counted(self) -> list[Session]:
        """The sessions that the rules bill, by what they have cost so far."""
        now = self._tenant.now_microseconds
        return [
            session
            for session in self._tenant.sessions
            if session.nano is not None
            and session.start is not None
            and session.start >= EARLIEST_START
            and end_of(session, now) <= now + MICROSECONDS_PER_DAY
        ]

    def _spends_by_session(self, sessions: Sequence[Session]) -> list[Entry]:
        """A spend for each session that has ended, when it ended."""
        now = self._tenant.now_microseconds
        times: Counter[str] = Counter()
        entries = []
        for session in sessions:
            if session.running:
                continue
            identity = _encodable(session.id or "")
            times[identity] += 1  # an id may be listed twice
            name = f"txn_{identity}" if times[identity] == 1 else f"txn_{identity}_{times[identity]}"
            told = _encodable(f"Usage of session {session.id} of {session.user}")
            computer = session.computer and _encodable(session.computer)
            entries.append(Entry(end_of(session, now), name, "spend", -(session.nano or 0), computer, description=told))
        return entries

    def _spends_by_day(self, sessions: Sequence[Session]) -> list[Entry]:
        """A spend for each day, in its last second, of what the sessions cost on it."""
        now = self._tenant.now_microseconds
        by_day: Counter[int] = Counter()
        for session in sessions:
            start, end = session.start or 0, end_of(session, now)
            for day in range(start // MICROSECONDS_PER_DAY, end // MICROSECONDS_PER_DAY + 1):
                since = day * MICROSECONDS_PER_DAY
                by_day[day] += part(session.nano or 0, start, end, since, since + MICROSECONDS_PER_DAY) or 0
        return [
            Entry(
                min((day + 1) * MICROSECONDS_PER_DAY - MICROSECONDS, now),
                f"txn_day_{day}",
                "spend",
                -nano,
                description="Usage of a day",
            )
            for day, nano in by_day.items()
        ]

    def _ai_calls(self, sessions: Sequence[Session]) -> list[Entry]:
        """Spends that no session stands behind: in the period of the newest invoice."""
        _, end = period_of(max(session.start or 0 for session in sessions))
        newest, _ = period_of(min(end, self._tenant.now_microseconds))
        return [
            Entry(newest - (number + 1) * MICROSECONDS_PER_HOUR, f"txn_ai_{number}", "spend", -_AI_CALL, model="large")
            for number in range(self._options.ai_calls)
        ]

    def _transaction(self, entry: Entry) -> dict[str, object]:
        """A booking as a row of the list."""
        is_negative = entry.nano < 0 and (self._options.is_signed or entry.type != "spend")
        amount = msgspec.Raw((("-" if is_negative else "") + nano_text(abs(entry.nano))).encode())
        moment = to_iso(entry.at)
        return {
            "id": entry.id,
            "type": entry.type,
            # Documented as `amount_credits`; the vendor's Python client reads `amount`.
            "amount_credits": amount,
            "amount": amount,
            "computer_id": entry.computer,
            "user_id": None,
            "description": entry.description,
            "provider": "vendor" if entry.model else None,
            "model": entry.model,
            "inserted_at": moment,
            "created_at": moment,
        }

    # Invoices

    def _used(self, since: int, until: int) -> int:
        """What all sessions cost between two instants, by their shares."""
        rollup = self._tenant.remember(
            ("account", since, until), lambda: roll_up(self._tenant, since, until, "split", "external_user_id")
        )
        ai_calls = sum(entry.nano for entry in self.entries if entry.model and since <= entry.at < until)
        return sum(rollup.nano.values()) - ai_calls

    def _invoices(self) -> list[dict[str, Any]]:
        """All invoices, newest first: each period that has ended, one of them voided once, and a purchase."""
        starts = [session.start or 0 for session in self._counted()]
        if not starts:
            return []
        now = self._tenant.now_microseconds
        rows: list[dict[str, Any]] = []
        start, end = period_of(min(starts))
        while end <= now and start <= max(starts):
            rows.insert(0, _invoice(f"inv_{to_iso(start)[:7]}", whole_cents(self._used(start, end)), start, end))
            start, end = end, period_of(end)[1]
        if rows:
            newest = rows[0]
            newest["amount_due"] += self._options.invoice_error_cents
            newest |= {"status": "open", "amount_paid": 0}
            rows.append({**newest, "id": f"{newest['id']}_void", "status": "void"})
        rows.append(_invoice("inv_purchase", _PURCHASE // NANO, None, None))
        return [{**row, "number": f"MIO-{len(rows) - place:04d}"} for place, row in enumerate(rows)]


def period_of(instant: int) -> tuple[int, int]:
    """The period of the vendor's invoices that an instant lies in: from a 15th to the next one."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=instant)
    start = moment.replace(day=INVOICE_DAY, hour=INVOICE_HOUR, minute=0, second=0, microsecond=0)
    if start > moment:
        start = (start.replace(day=1) - timedelta(days=1)).replace(day=INVOICE_DAY)
    end = (start.replace(day=1) + timedelta(days=31)).replace(day=INVOICE_DAY)
    return to_microseconds(start), to_microseconds(end)


def _purchases(spends: Sequence[Entry], first: int) -> list[Entry]:
    """A purchase before each month with spends, of a little more than what is spent in it."""
    by_month: Counter[str] = Counter()
    for entry in spends:
        by_month[to_iso(entry.at)[:7]] -= entry.nano
    return [
        Entry(
            max(first, to_microseconds(datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)) - MICROSECONDS_PER_HOUR),
            f"txn_purchase_{month}",
            "earn",
            (nano // _PURCHASE + 1) * _PURCHASE,
            description="Credits purchased",
        )
        for month, nano in by_month.items()
    ]


def _invoice(identity: str, amount: int, start: int | None, end: int | None) -> dict[str, Any]:
    """A paid invoice."""
    return {
        "id": identity,
        "status": "paid",
        "amount_due": amount,
        "amount_paid": amount,
        "currency": "usd",
        "period_start": None if start is None else to_iso(start),
        "period_end": None if end is None else to_iso(end),
        "due_date": None if end is None else to_iso(end + 14 * MICROSECONDS_PER_DAY),
        "hosted_invoice_url": f"https://billing.example.com/{identity}",
        "pdf_url": f"https://billing.example.com/{identity}.pdf",
    }


def _encodable(text: str) -> str:
    """Text as UTF-8 can hold it."""
    return text.encode("utf-8", "replace").decode()


def _encode(answer: object) -> bytes:
    return msgspec.json.encode(answer)
