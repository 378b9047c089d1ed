"""The raw layer as a run of the extractor uses it: landing with notes for later stages, and what those stages ask."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from core.clock import utc_now
from core.months import next_month
from core.raw.load import Load
from core.raw.versions import view_versions
from core.raw.writer import RawWriter
from core.sql_files import sql_files

logger = logging.getLogger("miosa_billing")
sql = sql_files(__file__)

FRESH = timedelta(days=1)
"""For how long the next run relies on what an unfinished run has read."""

BRAKE_FROM = 10
"""How many voids it takes for a run to stop and ask."""

_FIELDS_PER_LANDING = 100
# Sessions that start earlier are rejected (rule 37), so they must not make a run ask for hundreds of months. This is
# the default of the dbt variable `earliest_session_date`, which the extractor cannot see.
_EARLIEST_SESSION = datetime(2020, 1, 1)

# The fields that the vendor's pages and clients name. Others are kept too, and reported when first seen.
_KNOWN_FIELDS = [
    *("id", "computer_id", "started_at", "ended_at", "duration_sec", "credit_cost", "credits_used"),
    *("external_user_id", "external_workspace_id", "external_project_id", "workspace_id", "project_id"),
]


class QuotaUser(NamedTuple):
    """A user whose quota may be read."""

    user: str
    last_read_at: datetime | None
    """Start of the load that read the quota last; None if none did."""
    matters: bool
    """Whether the user has usage in the months asked for, a quota, or had one changed by us."""


class Warehouse(RawWriter):
    """The warehouse file, held open by a run of the extractor."""

    def __init__(
        self,
        path: Path,
        lock_seconds: float = 30.0,
        id_check: str | None = None,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        """Open the file as `RawWriter` does, and prepare the notes of this run."""
        super().__init__(path, lock_seconds, id_check, on_close)
        self._reported: set[str] = set()  # unknown fields
        self._new_fields: list[str] = []
        try:
            self.database.execute(sql("create_notes"))
            self._loads_before = self._begin_run()
        except BaseException:
            self.database.close()
            raise

    def _note(self, resource: str, first_load: int) -> None:
        """Note what later stages of this run, or the next run, need of a landing."""
        if resource == "usage_sessions":
            self._new_fields = self._find_new_fields(first_load)
            self.database.execute(sql("note_listed"))
            self._note_months("listing")
            self.database.execute(sql("note_crossing"))
            self.database.execute(sql("note_unsettled"), [self._loads_before])
        elif resource == "sandboxes":
            self.database.execute(sql("note_listed_sandboxes"))
            if self.database.query(sql("find_new_owners")) != [(0,)]:
                self._note_months("owners")
        elif resource == "quotas":
            self.database.execute(sql("note_quotas_asked"))

    def _land_absences(self, loads: Sequence[Load], last: int) -> None:
        """Add a row without a payload for each sandbox that the list, which is read whole, no longer holds."""
        for load_id, load in enumerate(loads, last + 1):
            if load.resource == "sandboxes":
                load.rows_added += int(
                    self.database.query(sql("insert_unlisted_sandboxes"), [load_id, load.rows])[0][0]
                )

    def _note_months(self, cause: str) -> None:
        """Note the months of sessions that a landing changed: the vendor's figures of these are read again."""
        self.database.execute(sql(f"changed_by_{cause}"))
        self.database.execute(sql("note_changed_months"))

    def _find_new_fields(self, first_load: int) -> list[str]:
        """Find fields of sessions that no page of the vendor's names, and that no earlier load had."""
        unknown = {name for (name,) in self.database.query(sql("unknown_fields"), [_KNOWN_FIELDS])} - self._reported
        # Each costs a look at history, and a hostile row may have any number.
        looked_at = sorted(unknown)[:_FIELDS_PER_LANDING]
        seen = {n for n in looked_at if self.database.query(sql("field_seen_before"), [first_load, n]) != [(False,)]}
        self._reported |= seen
        return [name for name in looked_at if name not in seen]

    def _report(self) -> None:
        """Report new fields once, when they are stored."""
        for name in self._new_fields:
            logger.warning("the API's sessions have a field not known before, kept as it is: %s", repr(name)[:80])
        self._reported.update(self._new_fields)
        self._new_fields = []

    # Voids

    def find_unlisted(
        self, windows: Sequence[tuple[datetime, datetime]], running_until: datetime | None
    ) -> tuple[int, int]:
        """Find sessions whose start and end lie in these windows and that no load of this run listed.

        A running session must be covered up to `running_until`, or (None) as far as it was known. Returns their number
        and, from `BRAKE_FROM` on, the number of sessions that the windows cover. `land_voids` voids them.
        """
        self.database.execute("delete from covered_windows")
        self.database.execute_many("insert into covered_windows values (?, ?)", [[*window] for window in windows])
        view_versions(self.database, "usage_sessions")
        self.database.execute(sql("find_unlisted"), [running_until])
        unlisted = int(self.database.query("select count(*) from unlisted")[0][0])
        covered = 0
        if unlisted >= BRAKE_FROM:
            covered = int(self.database.query(sql("count_covered"), [running_until])[0][0])
        return unlisted, covered

    def land_voids(self, load: Load) -> None:
        """Void what `find_unlisted` found, in a load of its own."""
        with self.database.transaction():
            last = self._last_load()
            load.rows_added = int(self.database.query(sql("insert_voids"), [last + 1])[0][0])
            self._note_months("voids")
            self._insert_loads([load], last)

    # Unfinished runs

    def _begin_run(self) -> int:
        """Go on from an unfinished run of less than a day ago, or begin anew. Returns the last load before it."""
        now = utc_now()
        found = self.database.query("select began_at_utc, last_load_before from raw.unfinished_run")
        if found and now - FRESH <= found[0][0] <= now:
            return int(found[0][1])
        last = self._last_load()
        with self.database.transaction():
            self.forget_lists()
            self.database.execute("insert into raw.unfinished_run values (?, ?)", [now, last])
        return last

    def landed_windows(self) -> set[tuple[datetime, datetime]]:
        """The windows of sessions that an unfinished run has landed, and that were over by then."""
        return {(start, end) for start, end in self.database.query(sql("landed_windows"), [self._loads_before])}

    def forget_lists(self) -> None:
        """Forget which sessions were listed: the next run reads all windows."""
        self.database.execute("delete from raw.unfinished_run")
        self.database.execute("delete from raw.listed_sessions")
        self.database.execute("delete from raw.noted_loads")

    # What later stages ask

    def running_starts(self) -> list[datetime]:
        """The days on which sessions that were running when last seen began, if it makes sense to ask for them."""
        horizon = utc_now() + timedelta(days=1)
        days = [day for (day,) in self.database.query(sql("running_session_days"))]
        return [day for day in days if _EARLIEST_SESSION <= day <= horizon]

    def known_sessions(self, start: datetime, end: datetime) -> dict[datetime, int]:
        """How many sessions known so far began on each day between these moments."""
        return dict(self.database.query(sql("known_sessions"), [start, end]))

    def known_sandboxes(self) -> int:
        """How many sandboxes are known so far."""
        return int(self.database.query("select count(distinct row_hash) from raw.sandboxes")[0][0])

    def unsettled_windows(self) -> list[tuple[datetime, datetime]]:
        """Windows of this run that disagree with another one about a session."""
        return [(start, end) for start, end in self.database.query(sql("unsettled_windows"))]

    def lists_beyond_windows(self) -> bool:
        """Whether this run listed an ended session that outlasts its window: then the API does not select by end."""
        return bool(self.database.query("select count(*) > 0 from raw.noted_loads where reason = 'crossing'")[0][0])

    def users_by_urgency(self, start: datetime, end: datetime) -> list[QuotaUser]:
        """Every user ever landed, by any resource, in the order in which quotas are read.

        `start` and `end` bound the months asked for: users with usage in them come before others.
        """
        return [QuotaUser(*row) for row in self.database.query(sql("users_by_urgency"), [start, end])]

    def asked(self, since: datetime, until: datetime) -> set[str]:
        """The users whose quota a run that has not finished asked for between these moments."""
        return {user for (user,) in self.database.query(sql("users_asked"), [since, until])}

    def forget_asked(self) -> None:
        """Finish the run: the next one reads every list and quota, and no month because of this one."""
        with self.database.transaction():
            self.forget_lists()
            self.database.execute("delete from raw.quota_progress")
            self.database.execute("delete from raw.figures_due")

    def months_due(self) -> list[datetime]:
        """The months whose figures at the vendor are to be read again (rule 34).

        These are the months of sessions that this run listed, voided or gave another owner, or an earlier run that did
        not finish. Of a session whose times are rejected (rule 37), it is at most the month in which it starts.
        """
        months: set[datetime] = set()
        horizon = utc_now() + timedelta(days=1)
        for first, last in self.database.query("select first_month_at_utc, last_month_at_utc from raw.figures_due"):
            if first < _EARLIEST_SESSION or first > horizon:
                continue
            month = first
            while month <= (last if last <= horizon else first):
                months.add(month)
                month = next_month(month)
        return sorted(months)
