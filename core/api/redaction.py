"""Removes the API key from what the API sends back, so that no later code can store, show or cut it."""

from __future__ import annotations

import json
from urllib.parse import quote

import httpx

# A shorter key may occur in any answer by chance.
_SHORTEST_KEY = 8


class KeyRedactor:
    """Replaces one key by `***`, however an answer spells it. Keys of fewer than 8 characters are left alone."""

    def __init__(self, key: str) -> None:
        """Prepare the spellings: as it is, within JSON, within an address."""
        in_json = json.dumps(key)[1:-1]
        spellings = (
            {key, in_json, in_json.replace("/", "\\/"), quote(key, safe="")} if len(key) >= _SHORTEST_KEY else ()
        )
        self._spellings = [spelling.encode() for spelling in sorted(spellings, key=len, reverse=True)]

    def redact(self, data: bytes) -> bytes:
        """The bytes without the key."""
        for spelling in self._spellings:
            if spelling in data:
                data = data.replace(spelling, b"***")
        return data

    def redact_headers(self, headers: httpx.Headers) -> httpx.Headers:
        """The headers without the key."""
        if not any(spelling in value for _, value in headers.raw for spelling in self._spellings):
            return headers
        return httpx.Headers([(name, self.redact(value)) for name, value in headers.raw])
