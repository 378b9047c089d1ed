"""Cutting answers into rows, and telling whether two texts say the same: no network, no file."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import canonical
from core.api.bodies import read_document
from core.api.pages import SEPARATOR, read_page
from core.api.usage import rollup_lines
from core.errors import ApiError, ErrorBodyError, IncompleteError, TransientError

ROWS = ['{"id":"a","credit_cost":0.10}', '{ "id" : "b" }', "5", '"x"', "null", "[1,{}]"]
LIST = "[" + " , ".join(ROWS) + "]"

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("body", "total", "cursor", "has_cursor"),
    [
        (LIST, None, None, False),
        ('{"data":%s}', None, None, False),
        ('{"sessions":%s,"next_cursor":"c1"}', None, "c1", True),
        ('{"next_cursor":17,"items":%s}', None, "17", True),
        ('{"next_cursor":0,"items":%s}', None, "0", True),
        ('{"items":%s,"next_cursor":null}', None, None, True),
        ('{"data":%s,"next_cursor":""}', None, None, True),
        ('{"data":%s,"page":{"page":1,"page_size":20,"total":150}}', 150, None, False),
        ('{"data":%s,"meta":{"total":"151","per_page":20}}', 151, None, False),
        ('{"data":{"sessions":%s,"meta":{"total":6}},"error":null}', 6, None, False),
        ('{"data":{"data":%s,"page":{"total":"7"}}}', 7, None, False),
        ('{"data":%s,"page":2,"page_size":20,"total":8}', 8, None, False),
        ('{"data":%s,"page":{"page":"1","page_size":"20","total":9,"next_cursor":"c2"}}', 9, "c2", True),
        ('{"data":%s,"meta":{"next_cursor":123456789012345678901}}', None, "123456789012345678901", True),
        ('{"data":%s,"next_cursor":false,"has_more":false}', None, None, True),
        ('\ufeff {"data":%s,"page":{"total":true}}', None, None, False),
    ],
)
@pytest.mark.parametrize("extra", ["", ',"later":NaN', ',"later":"\\ud800"'])
def test_every_envelope_gives_the_same_rows(
    body: str, total: int | None, cursor: str | None, has_cursor: bool, extra: str
) -> None:
    """Fast and slow path alike: what msgspec refuses is read by the standard library, to the same slices."""
    text = body.replace("%s", LIST)
    if text.endswith("}"):
        text = text[:-1] + extra + "}"
    page = read_page(text.encode())
    assert page.rows == ROWS
    assert page.count == len(ROWS)
    assert (page.envelope.total, page.envelope.cursor, page.envelope.has_cursor) == (total, cursor, has_cursor)


@pytest.mark.parametrize(
    "body",
    [
        '{"error":{"code":"x","message":"no","request_id":"r7"}}',
        '{"error":"no"}',
        '{"data":[],"error":{"message":"part only"}}',
        '{"data":[],"error":{}}',
        '{"data":[],"error":[]}',
        '{"data":[],"errors":["x"]}',
        '{"data":[],"errors":{"a":["x"]}}',
        '{"data":[],"errors":"x"}',
        '{"data":{"data":[],"errors":["x"]}}',
        '{"data":null}',
        '{"data":null,"meta":{"total":null}}',
        '{"data":null,"meta":{"total":false}}',
        '{"data":null,"meta":{"total":1}}',
        '{"data":null,"page":{"page":1,"page_size":100}}',
        '{"data":null,"next_cursor":null,"meta":{"total":5}}',
        '{"data":null,"total":0,"has_more":true}',
        '{"data":null,"next_cursor":"c"}',
        '{"data":null,"has_more":null}',
        '{"data":null,"total_pages":1}',
        '{"data":false,"total":0}',
        '{"data":false,"next_cursor":null}',
        '{"next_cursor":null}',
        '{"total":0}',
        '{"data":{}}',
        '{"data":{"x":1},"items":[]}',
        "<center>",
        "\ufeff <!-- -->",
        "{}",
        '"data"',
        "5",
        "<!DOCTYPE html><html>",
        " <html>",
    ],
)
def test_what_is_no_list_is_an_error_and_never_zero_rows(body: str) -> None:
    with pytest.raises(ApiError):
        read_page(body.encode())


@pytest.mark.parametrize(
    "more",
    ["", *(f',"{key}":{value}' for key in ("error", "errors") for value in ("null", "false", '""')), ',"errors":[]'],
)
@pytest.mark.parametrize(
    "body",
    [
        '{"data":null,"meta":{"total":0}%s}',
        '{"sessions":null,"total":"0"%s}',
        '{"data":{"items":null},"page":{"total":0}%s}',
        '{"data":[],"page":{"total":0}%s}',
        '{"data":null,"next_cursor":null%s}',
        '{"items":null,"next_cursor":""%s}',
        '{"data":{"sessions":null,"next_cursor":null}%s}',
        '{"data":null,"has_more":false%s}',
        '{"data":null,"meta":{"has_more":false,"page":1}%s}',
        '{"data":null,"next":null%s}',
        '{"data":null,"next_page":null%s}',
        '{"data":null,"total_pages":0%s}',
    ],
)
@pytest.mark.parametrize("extra", ["", ',"later":NaN'])
def test_a_list_that_is_said_to_be_empty_is(body: str, more: str, extra: str) -> None:
    """Also where Go writes null for it, and where an error is said to be none."""
    page = read_page((body % (more + extra)).encode())
    assert (page.rows, page.count, page.envelope.total or 0, page.envelope.cursor) == ([], 0, 0, None)


@pytest.mark.parametrize(
    ("body", "is_taken"),
    [
        ('{"data":null,"meta":{"total":200,"page":3}}', True),
        ('{"data":null,"total_pages":2}', True),
        ('{"data":null,"next_cursor":null,"total":200}', True),
        ('{"data":null}', False),
        ('{"data":null,"meta":{"page":3,"per_page":100}}', False),
        ('{"data":null,"total":200,"has_more":true}', False),
        ('{"data":null,"next_cursor":"c"}', False),
    ],
)
def test_null_behind_the_first_page_is_an_empty_page_where_the_envelope_tells_of_the_list(
    body: str, is_taken: bool
) -> None:
    """A total above zero is then no contradiction: whether it is reached, all answers together say."""
    if is_taken:
        assert read_page(body.encode(), is_first=False).count == 0
    else:
        with pytest.raises(ApiError, match="no list of rows"):
            read_page(body.encode(), is_first=False)


@pytest.mark.parametrize(
    ("said", "has_more", "total_pages"),
    [
        ("", None, None),
        (',"has_more":true', True, None),
        (',"has_more":false', False, None),
        (',"has_more":null', None, None),
        (',"next":"/usage/sessions?page=2"', True, None),
        (',"next":null', False, None),
        (',"page":{"next_page":2}', True, None),
        (',"meta":{"next_page":null}', False, None),
        (',"links":{"next":""}', False, None),
        (',"pagination":{"has_next":true}', True, None),
        (',"has_more":false,"next":"x"', True, None),
        (',"meta":{"total_pages":"3"}', None, 3),
    ],
)
def test_what_an_envelope_says_outright_of_more(said: str, has_more: bool | None, total_pages: int | None) -> None:
    page = read_page(f'{{"data":[1]{said}}}'.encode())
    assert (page.envelope.has_more, page.envelope.total_pages) == (has_more, total_pages)


def test_an_error_in_a_success_says_what_the_api_says() -> None:
    for body in ('{"error":"no luck"}', '{"errors":["no luck"]}', '{"errors":[{"message":"no luck"},{"message":"x"}]}'):
        for read in (read_page, read_document):
            with pytest.raises(ErrorBodyError, match=r"says success: no luck$"):
                read(body.encode())


LINE = '{"external_user_id":"u1","credit_cents":1}'


@pytest.mark.parametrize(
    "rollup",
    [
        '{"results":[%s]}',
        '{"data":{"results":[%s]}}',
        '{"data":[%s]}',
        '{"data":{"data":[%s]}}',
        '{"results":null,"data":[%s]}',
        '{"results":[%s],"data":{"results":null}}',
        '{"data":[%s],"next_cursor":null,"has_more":false,"total":0,"meta":{"total":null,"next_cursor":""}}',
    ],
)
def test_a_rollup_is_taken_in_every_shape_that_staging_reads(rollup: str) -> None:
    rollup_lines(json.loads(rollup % LINE))
    rollup_lines(json.loads(rollup % ""))  # nobody used anything


@pytest.mark.parametrize(
    "rollup",
    [
        '{"results":null,"total":0}',
        '{"data":null,"meta":{"total":0}}',
        '{"results":null,"next_cursor":null}',
        '{"data":{"results":null,"has_more":false}}',
        '{"period_start":"x","period_end":"y","results":null}',
        '{"data":{"period_start":"x","period_end":"y","results":null}}',
        '{"data":null,"period":{"start":"x","end":"y"},"currency":"usd"}',
    ],
)
def test_a_rollup_that_is_said_to_be_empty_is(rollup: str) -> None:
    """Go writes null for it. To name the period is to say so: a wrong zero there shows as a mismatch."""
    rollup_lines(json.loads(rollup))


def test_a_rollup_whose_totals_hold_is_whole() -> None:
    rollup_lines(json.loads(f'{{"results":[{LINE}],"page":{{"total":1}},"meta":{{"total":"1"}},"total":1}}'))


@pytest.mark.parametrize(
    "rollup",
    [
        '{"results":null}',
        '{"data":null}',
        '{"results":null,"period_start":"x","period_end":null}',
        '{"period_start":"x","period_end":"y"}',
        '{"data":{"results":null,"meta":{"total":null}}}',
        '{"data":{"items":[%s]}}',
        '{"items":[%s]}',
        '{"results":{"u1":%s}}',
        '{"results":"[]"}',
    ],
)
def test_a_rollup_in_a_shape_that_staging_does_not_read_is_refused(rollup: str) -> None:
    with pytest.raises(ApiError, match="no list of results"):
        rollup_lines(json.loads(rollup.replace("%s", LINE)))
    with pytest.raises(ApiError):  # nor is one a list by itself
        read_document(f"[{LINE}]".encode())


@pytest.mark.parametrize(
    "fact",
    [
        *('"total":2', '"total":"2"', '"page":{"total":2}', '"page":{"total":"2"}', '"meta":{"total":"2"}'),
        *('"total":2,"page":{"total":1}', '"page":{"total":2},"meta":{"total":1}'),
        *('"has_more":true', '"page":{"has_more":true}', '"next_cursor":"x"', '"next_cursor":0'),
        *('"next":"/usage?page=2"', '"meta":{"next_page":2}', '"total_pages":2'),
        '"meta":{"next_cursor":7}',
    ],
)
@pytest.mark.parametrize(
    "rollup",
    ['{"results":[%s],%s}', '{"data":{"results":[%s],%s}}', '{"data":[%s],%s}', '{"data":{"results":[%s]},%s}'],
)
def test_a_rollup_that_is_a_part_is_refused(rollup: str, fact: str) -> None:
    with pytest.raises(IncompleteError, match="lists 1 users and says that there are more"):
        rollup_lines(json.loads(rollup % (LINE, fact)))


@pytest.mark.parametrize("cursor", ["true", "5.5", '{"at":7}', "[1]"])
def test_a_cursor_that_cannot_be_sent_back_is_not_the_end(cursor: str) -> None:
    with pytest.raises(ApiError, match="next_cursor"):
        read_page(f'{{"data":[1],"next_cursor":{cursor}}}'.encode())


@pytest.mark.parametrize("body", ["", "  ", '{"data":[{"id":"a"}', '{"data":[', "[1,", '{"data":[]} x', "[01]", "no"])
def test_what_was_cut_short_is_tried_again(body: str) -> None:
    with pytest.raises(TransientError):
        read_page(body.encode())


def test_the_vendors_words_and_request_id_are_shown_in_one_line() -> None:
    body = b'{"error":{"code":"x","message":"out\\nof\\u0007luck","request_id":"req_9"}}'
    with pytest.raises(ApiError, match=r": out of luck \(request req_9\)$"):
        read_page(body)


def test_not_utf_8_is_tried_again() -> None:
    with pytest.raises(TransientError):
        read_page(b'{"data":[{"id":"\xff"}]}')


def test_deep_nesting_is_refused_and_no_crash() -> None:
    with pytest.raises(ApiError):
        read_page(b'{"data":[' + b"[" * 100_000 + b"]" * 100_000 + b"]}")


def test_lone_surrogates_are_kept_and_spelt_out() -> None:
    escaped = '{"id":"\\ud800","n":1.10}'
    raw = '{"id":"\ud83d"}'
    page = read_page(f'{{"data":[{escaped},{raw},{{"id":"\\ud83d\\ude00"}}]}}'.encode("utf-8", "surrogatepass"))
    assert page.rows == [escaped, '{"id":"\\ud83d"}', '{"id":"\\ud83d\\ude00"}']
    assert page.normalized == ['{"id":"\\\\ud800","n":1.10}', '{"id":"\\\\ud83d"}', None]


def test_a_row_of_a_megabyte() -> None:
    name = "é" * (1 << 20)
    assert read_page(f'[{{"id":"{name}"}}]'.encode()).rows == [f'{{"id":"{name}"}}']


@given(st.lists(JSON, max_size=6), st.sampled_from([None, 2]))
def test_slices_are_the_texts_that_were_sent(values: list[Any], indent: int | None) -> None:
    """Whatever a server written in Python can send: each slice is JSON for its own value, and nothing is lost."""
    body = json.dumps({"data": values, "page": {"total": len(values)}}, indent=indent).encode()
    page = read_page(body)
    assert page.count == len(page.rows) == len(values)
    for text, value in zip(page.rows, values, strict=True):
        assert text in body.decode()
        assert repr(json.loads(text)) == repr(value)
        assert SEPARATOR not in text


@given(JSON)
def test_a_text_says_the_same_however_it_is_written(value: Any) -> None:
    compact = json.dumps(value, separators=(",", ":"))
    other = json.dumps(value, ensure_ascii=False, sort_keys=True, indent=1)
    assert canonical.is_same(compact, other)
    assert canonical.digest(compact) == canonical.digest(other)


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ('{"a":1,"b":{"c":2,"d":3}}', '{"b":{"d":3,"c":2},"a":1}', True),
        ('{"a":"\\u00e9"}', '{"a":"é"}', True),
        ('{"a":1,"a":2}', '{"a":2}', True),
        ('{"a":1.10}', '{"a":1.1}', False),
        ('{"a":1e1}', '{"a":10}', False),
        ('{"a":1}', '{"a":"1"}', False),
        ('{"a":1}', '{"a":true}', False),
        ('{"a":[1,2]}', '{"a":[2,1]}', False),
        ('{"a":null}', "{}", False),
        ("NaN", "NaN", True),
        ("NaN", '"NaN"', False),
        ("12345678901234567890.10", "12345678901234567890.1", False),
    ],
)
def test_rule_4_same_content(left: str, right: str, same: bool) -> None:
    """Keys in any order, numbers as text."""
    assert canonical.is_same(left, right) is same
    assert (canonical.digest(left) == canonical.digest(right)) is same


def test_normalizing_keeps_number_texts_and_the_last_of_repeated_keys() -> None:
    text = '{"cost":1.10,"big":12345678901234567890.123456789e-2,"cost":0.30,"s":"\\udfff","n":[NaN,-0.0]}'
    expected = '{"cost":0.30,"big":12345678901234567890.123456789e-2,"s":"\\\\udfff","n":[NaN,-0.0]}'
    assert canonical.normalize(text) == expected


@pytest.mark.parametrize(
    "body",
    [b"[]", b"{}", b"null", b"<html>", b'{"error":{"message":"no"}}', b'{"x":1,"error":{}}', b'{"errors":["no"]}'],
)
def test_a_document_is_an_object_without_an_error(body: bytes) -> None:
    with pytest.raises(ApiError):
        read_document(body)


def test_a_document_is_kept_as_it_came() -> None:
    body = ' {"data": {"x": 1.50, "y":"\\ud800"} }\n'
    text, normalized, _ = read_document(body.encode())
    assert text == body
    assert normalized == '{"data":{"x":1.50,"y":"\\\\ud800"}}'
