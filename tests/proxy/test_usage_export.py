"""Usage exports: what each provider's files say, and what is refused with its place."""

import csv
import io
import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import ProxyError
from proxy.usage_export import Provider, UsageRow, digest_of, provider_named, read_exports

DAY = date(2026, 11, 24)
START = 1_795_478_400
"""The first second of the day."""
GOOGLE = "Usage start date,Service description,SKU description,Usage amount\n"


def openai_page(*results: object, has_more: bool = False, end: int = START + 86_400) -> object:
    """A page of OpenAI's usage API."""
    bucket = {"object": "bucket", "start_time": START, "end_time": end, "results": list(results)}
    return {"object": "page", "data": [bucket], "has_more": has_more, "next_page": None}


def openai_result(**more: object) -> dict[str, object]:
    """One result of it."""
    return {
        "object": "organization.usage.completions.result",
        "input_tokens": 1000,
        "output_tokens": 500,
        "input_cached_tokens": 800,
        "num_model_requests": 5,
        "project_id": None,
        "user_id": None,
        "api_key_id": "key_abc",
        "model": "gpt-5.1-2025-11-13",
        "batch": None,
    } | more


def read(tmp_path: Path, provider: Provider, *texts: str, **columns: str) -> list[UsageRow]:
    """The rows of files with these texts."""
    paths = [tmp_path / f"{n}.txt" for n, _ in enumerate(texts)]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    return read_exports(provider, paths, columns)


def row(**more: object) -> UsageRow:
    """What most of these exports say."""
    values: dict[str, object] = {
        "day": DAY, "model": "m", "key": "", "calls": 5, "input": 1000, "output": 500,
    } | more  # fmt: skip
    return UsageRow(**values)  # type: ignore[arg-type] # built from a dict


def test_the_day_is_that_of_the_first_second() -> None:
    """The sample above is of the day it says."""
    assert datetime.fromtimestamp(START, UTC) == datetime(2026, 11, 24, tzinfo=UTC)


def test_openai_counts_calls_and_tokens(tmp_path: Path) -> None:
    """Pages of its API, in one file or in several, one after the other or in a list."""
    page = json.dumps(openai_page(openai_result()))
    expected = row(model="gpt-5.1-2025-11-13", key="key_abc")
    assert read(tmp_path, "openai", page) == [expected]
    assert read(tmp_path, "openai", f"{page}\n{page}") == [expected] * 2
    assert read(tmp_path, "openai", f"[{page}, {page}]") == [expected] * 2
    first = json.dumps(openai_page(openai_result(), has_more=True))
    assert read(tmp_path, "openai", first, page) == [expected] * 2
    embedding = openai_result(output_tokens=None)
    (found,) = read(tmp_path, "openai", json.dumps(openai_page(embedding)))
    assert found.output is None


def test_openai_hands_out_tables_too(tmp_path: Path) -> None:
    """The columns of its table are named as the fields of its API."""
    head = "start_time,end_time,start_time_iso,num_model_requests,model,api_key_id,input_tokens,output_tokens\n"
    line = f"{START},{START + 60},2026-11-24T00:00:00+00:00,5,m,,1000,500\n"
    assert read(tmp_path, "openai", head + line) == [row()]


def test_anthropic_counts_caches_apart(tmp_path: Path) -> None:
    """All of the prompt is the input, from a cache or not; its reports count no calls."""
    result = {
        "uncached_input_tokens": 100,
        "cache_creation": {"ephemeral_1h_input_tokens": 20, "ephemeral_5m_input_tokens": 30},
        "cache_read_input_tokens": 850,
        "output_tokens": 500,
        "api_key_id": "apikey_1",
        "model": "claude-sonnet-4-5",
    }
    bucket = {
        "starting_at": "2026-11-24T00:00:00Z",
        "ending_at": "2026-11-25T00:00:00Z",
        "results": [result],
    }
    page = json.dumps({"data": [bucket], "has_more": False, "next_page": None})
    expected = row(model="claude-sonnet-4-5", key="apikey_1", calls=None)
    assert read(tmp_path, "anthropic", page) == [expected]
    table = (
        "usage_date_utc,model_version,api_key,usage_input_tokens_no_cache,"
        "usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,"
        "usage_input_tokens_cache_read,usage_output_tokens\n"
        "2026-11-24,claude-sonnet-4-5,apikey_1,100,30,20,850,500\n"
    )
    assert read(tmp_path, "anthropic", table) == [expected]


def test_google_bills_by_sku(tmp_path: Path) -> None:
    """Model and direction stand in the SKU; other services and other units are left out."""
    table = (
        "usage_start_time,service.description,sku.description,usage.amount,project.id\n"
        '2026-11-24 08:00:00 UTC,Gemini API,"Generate content input token count gemini 2.5 flash lite text",1000.0,p\n'
        "2026-11-24 08:00:00 UTC,Vertex AI,Gemini 2.5 Pro Text Output Tokens,500,p\n"
        "2026-11-24 08:00:00 UTC,Cloud Storage,Standard Storage,7.5,p\n"
        "2026-11-24 08:00:00 UTC,Vertex AI,Training node hours,3,p\n"
    )
    assert read(tmp_path, "google", table) == [
        row(model="gemini-2.5-flash-lite", key="p", calls=None, output=0),
        row(model="gemini-2.5-pro", key="p", calls=None, input=0),
    ]


@given(
    calls=st.none() | st.integers(0, 10**9),
    tokens=st.none() | st.integers(0, 10**12),
    model=st.text(st.characters(categories=["L", "N", "P"]), min_size=1)
    .map(str.strip)
    .filter(bool),
)
def test_any_table_can_be_read_by_its_columns(
    tmp_path_factory: pytest.TempPathFactory, calls: int | None, tokens: int | None, model: str
) -> None:
    """What a table says is what is read; an empty cell is not said."""
    out = io.StringIO()
    csv.writer(out).writerows(
        [["Tag", "Modell", "calls", "input"], [str(DAY), model, calls, tokens]]
    )
    path = tmp_path_factory.mktemp("table") / "x.csv"
    path.write_text(out.getvalue())
    found = read_exports("csv", [path], {"day": "Tag", "model": "Modell"})
    assert found == [row(model=model, calls=calls, input=tokens, output=None)]


@pytest.mark.parametrize(
    ("provider", "text", "message", "place"),
    [
        ("openai", json.dumps(openai_page(openai_result(), has_more=True)), "goes on", "page 1"),
        (
            "openai",
            json.dumps(openai_page(openai_result(model=None))),
            "names no model",
            "results[0]",
        ),
        (
            "openai",
            json.dumps(openai_page(openai_result(input_tokens=-1))),
            "no count",
            "results[0]",
        ),
        (
            "openai",
            json.dumps(openai_page(openai_result(), end=START + 90_000)),
            "a day",
            "data[0]",
        ),
        ("openai", json.dumps(openai_page()), "counts nothing", "0.txt"),
        ("openai", "{\n", "no JSON", "0.txt:"),
        ("openai", '{"data": 7}', "no page", "page 1"),
        ("openai", '{"data": [7]}', "no object", "data[0]"),
        ("openai", json.dumps({"data": [{"start_time": "x"}]}), "no instant", "data[0]"),
        ("google", "{}", "no page", "page 1"),
        ("google", '{"data": []}', "are no JSON", "page 1"),
        ("csv", "day,model\n2026-11-24,m\n2026-13-24,m\n", "no instant", "0.txt:3"),
        ("csv", "day,model,calls\n2026-11-24,m,1.5\n", "no count: `1.5`", "0.txt:2"),
        ("csv", "day,model,calls\n2026-11-24,m\n", "does not fit the head", "0.txt:2"),
        ("csv", 'day,model\n2026-11-24,"m\n', "no CSV", "0.txt:"),
        (
            "google",
            GOOGLE + "2026-11-24,Gemini API,Tuning tokens,5\n",
            "nobody knows which model",
            "0.txt:2",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(
    tmp_path: Path, provider: Provider, text: str, message: str, place: str
) -> None:
    """An export that is read in part would hide what it is read for."""
    with pytest.raises(ProxyError, match=message) as caught:
        read(tmp_path, provider, text)
    assert place in caught.value.where
    assert caught.value.help


@pytest.mark.parametrize("day", ["2026-11-24", "20261124", "2026-11-24T23:59:59-00:00", str(START)])
def test_a_day_is_written_in_several_ways(tmp_path: Path, day: str) -> None:
    """A date, with or without dashes, an instant, or seconds since 1970."""
    (found,) = read(tmp_path, "csv", f"day,model\n{day},m\n")
    assert found.day == DAY


def test_a_file_has_its_encoding_and_its_digest(tmp_path: Path) -> None:
    """A table of a spreadsheet begins with a mark; what is no UTF-8 is refused."""
    path = tmp_path / "x.csv"
    path.write_bytes(b"\xef\xbb\xbfday,model\n2026-11-24,m\n")
    assert read_exports("csv", [path], {})[0].day == DAY
    assert len(digest_of([path, path])) == 64
    path.write_bytes(b"day,model\n2026-11-24,\xff\n")
    with pytest.raises(ProxyError, match="not UTF-8"):
        read_exports("csv", [path], {})


def test_a_provider_is_one_of_four() -> None:
    """Another word is refused."""
    assert provider_named("openai") == "openai"
    with pytest.raises(ProxyError, match="no export of `acme`"):
        provider_named("acme")
