"""Rules are cited only if `docs/rules.md` defines them, and each rule there names code and tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RULES = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
DEFINED = {
    int(number): text for number, text in re.findall(r'<a id="rule-(\d+)"></a>(.*?)(?=<a id=|\n## |\Z)', RULES, re.S)
}
PACKAGES = ("core", "dbt_miosa_billing", "extract", "publish", "simulator", "tools", "benchmarks")
CITING = ("models", "macros", "tests", "docs", *PACKAGES)
SUFFIXES = {".sql", ".py", ".yml", ".md"}
CITATION = re.compile(r"\brules? (\d+(?:(?:, and |, | and | to |-| )\d+)*)", re.I)


def _texts() -> dict[Path, str]:
    files = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "DECISIONS.md", "dbt_project.yml")]
    for folder in CITING:
        found = (path for path in (ROOT / folder).rglob("*") if path.suffix in SUFFIXES and path != Path(__file__))
        # Environments of peers stand in hidden folders.
        files += [path for path in found if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)]
    return {path: path.read_text(encoding="utf-8") for path in files}


def cited(text: str) -> set[int]:
    """The numbers of the rules that a text cites, in prose, in the name of a test, or in a link to the rule."""
    numbers: set[int] = set()
    for citation in CITATION.findall(text.replace("_", " ").replace("rule-", "rule ")):
        for first, last in re.findall(r"(\d+)(?:(?: to |-)(\d+))?", citation):
            numbers.update(range(int(first), int(last or first) + 1))
    return numbers


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("rule 7", {7}),
        ("(rules 15 to 17)", {15, 16, 17}),
        ("rules 18-20", {18, 19, 20}),
        ("Rules 1, 7 and 9:", {1, 7, 9}),
        ("rules 3, 20 to 22 and 26", {3, 20, 21, 22, 26}),
        ("test_rule_9_whose", {9}),
        ("rule_9_and_12_owner", {9, 12}),
        ("test_rules_4_6_9_14_what", {4, 6, 9, 14}),
        ("test_rules_15_to_18_many", {15, 16, 17, 18}),
        ("rules.md#rule-5", {5}),
        ("no rule at all, 7 of them", set()),
    ],
)
def test_citations_are_read(text: str, numbers: set[int]) -> None:
    assert cited(text) == numbers


def test_every_cited_rule_is_defined() -> None:
    undefined = {
        str(path.relative_to(ROOT)): numbers
        for path, text in _texts().items()
        if (numbers := cited(text) - DEFINED.keys())
    }
    assert not undefined


def test_rules_are_numbered_without_gaps() -> None:
    assert list(DEFINED) == list(range(1, len(DEFINED) + 1))


@pytest.mark.parametrize("number", DEFINED)
def test_each_rule_names_code_and_tests_that_exist(number: int) -> None:
    """A rule without code, or without a test, or with the name of one that is gone, is a promise nobody keeps."""
    code = re.search(r"^Code: .*$", DEFINED[number], re.M)
    tests = re.search(r"^Tests: .*$", DEFINED[number], re.M)
    assert code
    assert tests
    links = re.findall(r"\]\(([^)]+)\)", DEFINED[number])
    assert links
    missing = [link for link in links if not (ROOT / "docs" / link).exists()]
    assert not missing
    names = re.findall(r"`(\w+)`", tests.group(0))
    assert names
    for name in names:
        assert any(re.search(rf"(?:def |name: ){name}\b", text) for text in TEST_TEXTS), f"no test is called {name}"


TEST_TEXTS = [
    text
    for path, text in _texts().items()
    if path.suffix in {".py", ".yml"} and ("test" in path.name or "tests" in path.parts)
]


def test_each_rule_is_cited_by_a_test() -> None:
    by_tests = set[int]().union(*(cited(text) for text in TEST_TEXTS))
    # Data tests are SQL files of their own.
    by_tests |= set[int]().union(*(cited(text) for path, text in _texts().items() if "tests" in path.parts))
    assert not DEFINED.keys() - by_tests


def test_the_glossary_is_in_order_and_links_to_rules_that_exist() -> None:
    terms = re.findall(r"^\| ([^|]+) \| [A-Z0-9]", GLOSSARY, re.M)
    assert len(terms) > 20
    assert terms == sorted(terms)
    assert {int(number) for number in re.findall(r"rules\.md#rule-(\d+)", GLOSSARY)} <= DEFINED.keys()
