"""Pseudonyms for external ids: their HMAC-SHA256 replaces them before anything of a row is stored.

Only ids change. The rest of a JSON text stays byte for byte, numbers and spacing included. A number that is an id
becomes a list of one pseudonym: a list is not a text, so it still names no owner (rule 9).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
from dataclasses import replace
from functools import lru_cache

from core.api.pages import Page
from core.canonical import spell_surrogates, storable
from core.settings import FileSettings

UNATTRIBUTED = "(unattributed)"
"""Not an id, but the warehouse's name for nobody. A row that claims it must stay recognisable, to be rejected."""

# A field's name as words, whether `_`, `-` or capitals separate them; and the names of fields that hold ids of the
# platform's own: external_user_id, external_project_id, external_ids and the like, and the objects around such ids.
_WORDS = re.compile(r"[A-Z]{2,}s?(?![a-z])|[A-Z]?[a-z]+")
_FIELD = re.compile(r"external_(?:[a-z]+_)*ids?|external[a-z]*ids?|external_?(?:user|project|workspace)s?(?:_?ids?)?")
_NUMBER = r"-?[0-9][0-9.eE+-]*"
# In a text without a backslash, every quotation mark opens or closes a string. Spelling out both cases, and a first
# class that matches more than it has to, is a quarter faster.
_PLAIN = re.compile(
    r'("([Ee_-]+[Xx][Tt][Ee][Rr][Nn][Aa][Ll][A-Za-z0-9_-]*)"[ \t\n\r]*:[ \t\n\r]*)'
    rf'(?:"([^"]+)"|({_NUMBER})|(?=[\[{{]))'
)
_TOKEN = re.compile(rf'("(?:[^"\\]|\\.)*")([ \t\n\r]*:)?|[\[\]{{}},]|({_NUMBER})', re.DOTALL)


class Pseudonyms:
    """The pseudonyms of external ids under one key. Any number of threads may use it."""

    def __init__(self, key: bytes) -> None:
        """Take the key. It is neither stored nor shown."""
        self._key = key
        self._by_id: dict[str, str] = {}
        self._ids: dict[str, str] = {}

    @classmethod
    def of_settings(cls, settings: FileSettings) -> Pseudonyms | None:
        """The pseudonyms that the settings ask for; None if ids are stored as they are."""
        key = settings.id_hash_key
        return None if key is None else cls(os.fsencode(key.get_secret_value()))

    @property
    def check_value(self) -> str:
        """Identifies this key among others: the pseudonym of the one text that never gets one."""
        return self._digest(UNATTRIBUTED)

    def pseudonym_of(self, external_id: str) -> str:
        """The pseudonym of an id: 64 hexadecimal digits, the same at any time under the same key.

        The empty text and `(unattributed)` are not ids, and stay as they are.
        """
        if external_id in ("", UNATTRIBUTED):
            return external_id
        found = self._by_id.get(external_id)
        if found is None:
            found = self._by_id[external_id] = self._digest(external_id)
            self._ids[found] = external_id
        return found

    def id_of(self, pseudonym: str) -> str | None:
        """The id behind a pseudonym, if this object has replaced it before."""
        return pseudonym if pseudonym in ("", UNATTRIBUTED) else self._ids.get(pseudonym)

    def hide_in_page(self, page: Page, shown_fields: frozenset[str] | None = None) -> Page:
        """A page with pseudonyms in place of ids, as `hide_in_text` makes them."""
        hidden = replace(page, text=self.hide_in_text(page.text, shown_fields))
        if page.normalized is None:
            return hidden
        return replace(hidden, normalized=[storable(row)[1] for row in hidden.rows])

    def hide_in_text(self, text: str, shown_fields: frozenset[str] | None = None) -> str:
        """A JSON text (or several, with `SEPARATOR` between them) with pseudonyms in place of ids.

        With `shown_fields`, every string and number that is not the value of such a field is replaced.
        """
        if shown_fields is not None:
            return self._hide_all_but(text, shown_fields)
        if "\\" in text:
            return self._hide_by_token(text)
        nested, known = False, self._by_id

        def replace_id(match: re.Match[str]) -> str:
            nonlocal nested
            before, name, external_id, number = match.groups()
            if not _holds_ids(name):
                return match[0]
            if external_id is not None:
                return f'{before}"{known.get(external_id) or self.pseudonym_of(external_id)}"'
            if number is not None:
                return f"{before}{self._listed(number)}"
            nested = True
            return match[0]

        plain = _PLAIN.sub(replace_id, text)
        return self._hide_by_token(text) if nested else plain

    def _hide_by_token(self, text: str) -> str:
        """The same, token by token: for texts with escapes, or with ids inside lists and objects."""
        pieces: list[str] = []
        copied = depth = 0
        within: int | None = None  # the depth of the list or object that is an external field's value
        is_value = False  # whether an external field's name came last
        for match in _TOKEN.finditer(text):
            string, colon, number = match.groups()
            if number is not None:
                if is_value or within is not None:
                    pieces += [text[copied : match.start()], self._listed(number)]
                    copied = match.end()
            elif string is None:
                if match[0] in "[{":
                    within = depth if is_value and within is None else within
                    depth += 1
                elif match[0] in "]}":
                    depth -= 1
                    within = None if depth == within else within
                is_value = False
            elif colon is not None:
                is_value = _holds_ids(_decoded(string))
            elif is_value or within is not None:
                pieces += [text[copied : match.start()], self._quoted(string)]
                copied = match.end()
                is_value = False
        return "".join([*pieces, text[copied:]])

    def _hide_all_but(self, text: str, shown_fields: frozenset[str]) -> str:
        """A JSON text in which only the values of some fields stay, token by token."""
        pieces: list[str] = []
        copied = depth = 0
        within: int | None = None  # the depth of the list or object that is the value of another field
        is_shown: bool | None = None  # whether the name that came last is shown; None if none came last
        for match in _TOKEN.finditer(text):
            string, colon, number = match.groups()
            if string is None and number is None:
                if match[0] in "[{":
                    within = depth if is_shown is False and within is None else within
                    depth += 1
                elif match[0] in "]}":
                    depth -= 1
                    within = None if depth == within else within
                is_shown = None
            elif colon is not None and within is None:
                is_shown = _decoded(string) in shown_fields
            elif within is not None or not is_shown:
                # In an object that is hidden, the names of its fields may be ids, too.
                hidden = self._listed(number) if number is not None else self._quoted(string) + (colon or "")
                pieces += [text[copied : match.start()], hidden]
                copied = match.end()
        return "".join([*pieces, text[copied:]])

    def _quoted(self, token: str) -> str:
        """A JSON string with the pseudonym in it; unchanged if it holds no id."""
        external_id = spell_surrogates(_decoded(token))  # as the warehouse would hold it
        pseudonym = self.pseudonym_of(external_id)
        return token if pseudonym == external_id else f'"{pseudonym}"'

    def _listed(self, number: str) -> str:
        """The replacement of a number that is an id."""
        return f'["{self.pseudonym_of(number)}"]'

    def _digest(self, text: str) -> str:
        return hmac.digest(self._key, text.encode(), hashlib.sha256).hex()


@lru_cache(256)
def _holds_ids(name: str) -> bool:
    """Whether a field holds ids of the platform's own, however its name is spelt.

    >>> [_holds_ids(name) for name in ("external_user_id", "externalProjectIDs", "external-id", "external_user")]
    [True, True, True, True]
    >>> [_holds_ids(name) for name in ("external_paid", "external_url", "user_id")]
    [False, False, False]
    """
    return _FIELD.fullmatch("_".join(_WORDS.findall(name)).lower()) is not None


def _decoded(token: str) -> str:
    """The value of a JSON string."""
    if "\\" not in token:
        return token[1:-1]
    value: str = json.loads(token, strict=False)
    return value
