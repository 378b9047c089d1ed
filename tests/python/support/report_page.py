"""Reads a page of `publish report` back: its tables, their exact figures, and the SQL below each."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from html.parser import HTMLParser


@dataclass
class PageTable:
    """A table, with the statements that stand below it."""

    section: str
    headers: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    """Texts of the cells; of a name with an id below it, both."""
    figures: list[list[Decimal]] = field(default_factory=list)
    """The exact values of each row, in the order of its cells."""
    groups: list[str] = field(default_factory=list)
    """The heading above each row; empty without one."""
    statements: list[str] = field(default_factory=list)


class Page(HTMLParser):
    """What the page says."""

    def __init__(self, html: str) -> None:
        """Read all of it."""
        super().__init__()
        self.tables: list[PageTable] = []
        self.statements: list[str] = []
        """Every statement on the page, those of its head first."""
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._section = self._group = ""
        self._open: list[str] = []
        self._is_heading = False
        self.feed(html)
        self.close()

    def table(self, section: str, number: int = 0) -> PageTable:
        """A table of a section."""
        return [table for table in self.tables if table.section == section][number]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a part."""
        values = dict(attrs)
        self.tags.append((tag, values))
        if tag in ("meta", "link", "path", "line", "rect"):
            return
        self._open.append(tag)
        if tag == "section":
            self._section = values.get("id") or ""
        elif tag == "table":
            self.tables.append(PageTable(self._section))
            self._group = ""
        elif tag == "tr" and "tbody" in self._open:
            self._is_heading = values.get("class") == "group"
            if self._is_heading:
                self._group = ""
            else:
                self.tables[-1].rows.append([])
                self.tables[-1].figures.append([])
                self.tables[-1].groups.append(self._group)
        elif tag in ("td", "th") and "tbody" in self._open and not self._is_heading:
            self.tables[-1].rows[-1].append("")
        elif tag == "th" and "thead" in self._open:
            self.tables[-1].headers.append("")
        elif tag == "data" and "tbody" in self._open:
            self.tables[-1].figures[-1].append(Decimal(values["value"] or ""))
        elif tag == "pre":
            self.statements.append("")
            if self._section:
                self.tables[-1].statements.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A tag without content, of a drawing."""
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """End a part."""
        if tag in self._open:
            while self._open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        """Keep a text where it belongs."""
        if "style" in self._open:
            return
        if "pre" in self._open:
            self.statements[-1] += data
            if self._section:
                self.tables[-1].statements[-1] += data
            return
        self.text += data
        if "table" not in self._open or not data.strip():
            return
        if "thead" in self._open:
            self.tables[-1].headers[-1] += data.strip()
        elif self._is_heading:
            self._group += data.strip()
        else:
            cells = self.tables[-1].rows[-1]
            cells[-1] = f"{cells[-1]} {data.strip()}".strip()
