"""The sessions that the benchmark's server serves: as many as wanted, the same ones every time, held nowhere.

Each is computed from its number alone, so a million of them cost the server no memory but the pages rendered.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

# Odd, so multiplying by it modulo 2^64 maps numbers to ids one to one, and scatters them as real ids are.
_SCATTER = 0x9E3779B97F4A7C15
_SHORTEST_SECONDS = 60
_LONGEST_SECONDS = 6 * 3600
_NANO_CREDITS_A_SECOND = 5_787_037


@dataclass(frozen=True)
class Sessions:
    """`count` ended sessions of `users` users, their starts spread evenly from `start` to `end`."""

    count: int
    users: int
    start: datetime
    end: datetime

    def started_at(self, number: int) -> datetime:
        """When a session began; later ones have higher numbers."""
        return self.start + (self.end - self.start) * number / self.count

    def starting(self, since: datetime, until: datetime) -> Sequence[int]:
        """The numbers of the sessions that began from `since` on and before `until`, newest first."""
        everything = range(self.count)
        first = bisect_left(everything, since, key=self.started_at)
        end = bisect_left(everything, until, key=self.started_at)
        return range(end - 1, first - 1, -1)

    def render(self, number: int) -> str:
        """A session as the vendor's row: about 300 bytes of JSON."""
        scattered = number * _SCATTER & 0xFFFF_FFFF_FFFF_FFFF
        seconds = _SHORTEST_SECONDS + scattered % (_LONGEST_SECONDS - _SHORTEST_SECONDS)
        cost = seconds * _NANO_CREDITS_A_SECOND
        started_at = self.started_at(number)
        ended_at = started_at + timedelta(seconds=seconds)
        return (
            f'{{"id":"ses_{scattered:016x}","computer_id":"cmp_{scattered >> 24:010x}",'
            f'"external_user_id":"user-{scattered % self.users:04d}","external_project_id":null,'
            f'"workspace_id":"ws_{scattered % 97:06d}","started_at":"{started_at:%Y-%m-%dT%H:%M:%S.%fZ}",'
            f'"ended_at":"{ended_at:%Y-%m-%dT%H:%M:%S.%fZ}","duration_sec":{seconds},'
            f'"credit_cost":{cost // 10**9}.{cost % 10**9:09d}}}'
        )
