"""A provider's own usage export, row by row: what it counted per day of UTC, model and key.

Fields are those of OpenAI's usage API (`/v1/organization/usage/…`) and Anthropic's usage report
(`/v1/organizations/usage_report/messages`) and of the files that both consoles and Google Cloud
Billing hand out. What cannot be read is an error with its place: an export that is read in part
would hide what it is read for.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Literal

from proxy.errors import ProxyError

__all__ = ["FIELDS", "Provider", "UsageRow", "digest_of", "provider_named", "read_exports"]

type Provider = Literal["openai", "anthropic", "google", "csv"]
type _Fields = Mapping[str, object]

FIELDS = ("day", "model", "key", "calls", "input", "output")
"""What a generic CSV may say of a row; the day and the model it must."""

_MAX_BYTES = 256 * 2**20
_DAY = timedelta(days=1)
_GOOGLE_SERVICES = ("gemini api", "generative language api", "vertex ai")
_GOOGLE_MODEL = re.compile(r"gemini[ -]\d[\d.]*(?:[ -](?:pro|flash|ultra|nano|lite|image|live))*")
_EPOCH_DIGITS = range(9, 12)
"""How long seconds since 1970 are; eight digits are a date."""
_NUMBER = re.compile(r"(\d+)(?:\.0*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRow:
    """What a provider counted. None is "the export does not say"; an empty key is every key."""

    day: date
    """Of UTC."""
    model: str
    """In the provider's own words."""
    key: str
    """The provider's own id of the key."""
    calls: int | None
    input: int | None
    """Tokens of prompts, cached ones included."""
    output: int | None
    """Tokens of answers, reasoning included."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A record of a file, and where it stands."""

    fields: _Fields
    where: str


def read_exports(
    provider: Provider, paths: Sequence[Path], columns: Mapping[str, str]
) -> list[UsageRow]:
    """The rows of an export in one or several files; `columns` name those of a generic CSV.

    Raises:
        ProxyError: a file or a row cannot be read, or pages are missing; `where` says which.
        OSError: a file cannot be opened.
    """
    rows: list[UsageRow] = []
    more = ""
    for path in paths:
        if path.stat().st_size > _MAX_BYTES:
            raise _wrong("the file is larger than 256 MiB", str(path), "split it by days")
        text = _text(path)
        if text.lstrip()[:1] in ("{", "["):
            pages = list(_pages(text, path))
            rows += [row for page in pages for row in _of_page(provider, page)]
            more = pages[-1].where if pages and pages[-1].fields.get("has_more") else ""
        else:
            rows += _of_table(provider, text, path, columns)
    if more:
        fix = "fetch the pages that `next_page` names, and give all files in their order"
        raise _wrong("the export goes on on a page that is not here", more, fix)
    if not rows:
        fix = "export the days in question again"
        raise _wrong("the export counts nothing", ", ".join(map(str, paths)), fix)
    return rows


def provider_named(word: str) -> Provider:
    """The provider that a word names.

    Raises:
        ProxyError: none.
    """
    for provider in _READERS:
        if word == provider:
            return provider
    raise ProxyError(f"no export of `{word}` is known", help=f"say one of {', '.join(_READERS)}")


def digest_of(paths: Iterable[Path]) -> str:
    """sha256 (hex) over the files of an export, one after the other."""
    digest = sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        fix = "export it again as UTF-8"
        raise _wrong("the file is not UTF-8", str(path), fix) from error


def _pages(text: str, path: Path) -> Iterator[_Place]:
    """The pages of a JSON file: one, a list of them, or one after the other."""
    decoder, at, count = json.JSONDecoder(), 0, 0
    while (at := _next(text, at)) < len(text):
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            line = text.count("\n", 0, getattr(error, "pos", at)) + 1
            raise _wrong("this is no JSON", f"{path}:{line}", "export it again") from error
        for page in value if isinstance(value, list) else [value]:
            count += 1
            where = f"{path}: page {count}"
            if not isinstance(page, dict) or not isinstance(page.get("data"), list):
                fix = "give what the provider's usage API answered, unchanged"
                raise _wrong("this is no page of a usage export", where, fix)
            yield _Place(page, where)


def _next(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _of_page(provider: Provider, page: _Place) -> Iterator[UsageRow]:
    if provider not in ("openai", "anthropic"):
        fix = "export a table: CSV"
        raise _wrong(f"exports of `{provider}` are no JSON", page.where, fix)
    read = _openai if provider == "openai" else _anthropic
    for bucket in _objects(page, "data"):
        start, end = (_instant(bucket, *names) for names in _EDGES[provider])
        day = start.date()
        if end > datetime.combine(day, datetime.min.time(), UTC) + _DAY or end < start:
            fix = "ask for buckets of a day, an hour or a minute"
            raise _wrong("the bucket reaches over a day of UTC", bucket.where, fix)
        for result in _objects(bucket, "results"):
            yield read(result, day)


_EDGES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "openai": (("start_time",), ("end_time",)),
    "anthropic": (("starting_at",), ("ending_at",)),
}


def _openai(row: _Place, day: date) -> UsageRow:
    return UsageRow(
        day=day,
        model=_model(row, "model"),
        key=_word(row, "api_key_id"),
        calls=_count(row, "num_model_requests"),
        input=_count(row, "input_tokens"),
        output=_count(row, "output_tokens", is_optional=True),
    )


def _anthropic(row: _Place, day: date) -> UsageRow:
    written = row.fields.get("cache_creation")
    caches: Iterable[int | None] = ()
    if isinstance(written, Mapping):
        inner = _Place(written, f"{row.where}.cache_creation")
        caches = [_count(inner, name) for name in written]
    return UsageRow(
        day=day,
        model=_model(row, "model"),
        key=_word(row, "api_key_id"),
        calls=None,
        input=_sum(
            _count(row, "uncached_input_tokens"), _count(row, "cache_read_input_tokens"), *caches
        ),
        output=_count(row, "output_tokens"),
    )


def _of_table(
    provider: Provider, text: str, path: Path, columns: Mapping[str, str]
) -> Iterator[UsageRow]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        for fields in reader:
            place = _Place(fields, f"{path}:{reader.line_num}")
            if None in fields or None in fields.values():
                fix = "export it again: the row has more or fewer cells than the head"
                raise _wrong("the row does not fit the head", place.where, fix)
            row = _READERS[provider](place, columns)
            if row is not None:
                yield row
    except csv.Error as error:
        fix = "export it again"
        raise _wrong(f"this is no CSV: {error}", f"{path}:{reader.line_num}", fix) from error


def _openai_table(row: _Place, columns: Mapping[str, str]) -> UsageRow:
    del columns
    start = _instant(row, "start_time_iso", "start_time")
    return _openai(row, start.date())


def _anthropic_table(row: _Place, columns: Mapping[str, str]) -> UsageRow:
    del columns
    kinds = ("no_cache", "cache_write_5m", "cache_write_1h", "cache_read")
    return UsageRow(
        day=_day(row, "usage_date_utc"),
        model=_model(row, "model_version"),
        key=_word(row, "api_key"),
        calls=None,
        input=_sum(*(_count(row, f"usage_input_tokens_{kind}") for kind in kinds)),
        output=_count(row, "usage_output_tokens"),
    )


def _google_table(row: _Place, columns: Mapping[str, str]) -> UsageRow | None:
    """Tokens of one SKU; None for a row of another service, or of what is not counted in tokens."""
    del columns
    service = _word(row, "service.description", "service_description", "Service description")
    sku = _word(row, "sku.description", "sku_description", "SKU description").lower()
    if service.lower() not in _GOOGLE_SERVICES or "token" not in sku:
        return None
    model, is_input, is_output = _GOOGLE_MODEL.search(sku), "input" in sku, "output" in sku
    if model is None or is_input == is_output:
        fix = "say what it is in a generic CSV: `--provider csv`"
        raise _wrong(f"nobody knows which model and direction the SKU `{sku}` is", row.where, fix)
    tokens = _count(row, "usage.amount", "usage_amount", "Usage amount")
    return UsageRow(
        day=_day(row, "usage_start_time", "Usage start date"),
        model=model[0].replace(" ", "-"),
        key=_word(row, "project.id", "project_id", "Project ID"),
        calls=None,
        input=tokens if is_input else 0,
        output=tokens if is_output else 0,
    )


def _generic_table(row: _Place, columns: Mapping[str, str]) -> UsageRow:
    names = {field: columns.get(field, field) for field in FIELDS}
    return UsageRow(
        day=_day(row, names["day"]),
        model=_model(row, names["model"]),
        key=_word(row, names["key"]),
        calls=_count(row, names["calls"], is_optional=True),
        input=_count(row, names["input"], is_optional=True),
        output=_count(row, names["output"], is_optional=True),
    )


_READERS: Mapping[Provider, Callable[[_Place, Mapping[str, str]], UsageRow | None]] = {
    "openai": _openai_table,
    "anthropic": _anthropic_table,
    "google": _google_table,
    "csv": _generic_table,
}


def _objects(place: _Place, name: str) -> Iterator[_Place]:
    values = place.fields.get(name)
    if not isinstance(values, list):
        raise _wrong(f"`{name}` is no list", place.where, "export it again")
    for at, value in enumerate(values):
        where = f"{place.where}, {name}[{at}]"
        if not isinstance(value, dict):
            raise _wrong("this is no object", where, "export it again")
        yield _Place(value, where)


def _found(place: _Place, names: Sequence[str]) -> tuple[str, object]:
    name = next((name for name in names if name in place.fields), names[0])
    value = place.fields.get(name)
    return name, value.strip() if isinstance(value, str) else value


def _word(place: _Place, *names: str) -> str:
    _, value = _found(place, names)
    return value if isinstance(value, str) else ""


def _model(place: _Place, name: str) -> str:
    model = _word(place, name)
    if not model:
        fix = (
            "export it grouped by model (`group_by`), or name its column with `--map model=COLUMN`"
        )
        raise _wrong(f"`{name}` names no model", place.where, fix)
    return model


def _count(place: _Place, *names: str, is_optional: bool = False) -> int | None:
    name, value = _found(place, names)
    if is_optional and value in (None, ""):
        return None
    found = _NUMBER.fullmatch(str(value)) if not isinstance(value, bool) else None
    if found is None:
        raise _wrong(f"`{name}` is no count: `{value}`", place.where, "export it again")
    return int(found[1])


def _instant(place: _Place, *names: str) -> datetime:
    name, value = _found(place, names)
    try:
        if isinstance(value, int) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
        text = str(value)
        if text.isdigit() and len(text) in _EPOCH_DIGITS:
            return datetime.fromtimestamp(int(text), UTC)
        at = datetime.fromisoformat(text.removesuffix(" UTC"))
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, OSError) as error:
        fix = "export it again"
        raise _wrong(f"`{name}` is no instant: `{value}`", place.where, fix) from error


def _day(place: _Place, *names: str) -> date:
    return _instant(place, *names).date()


def _sum(*counts: int | None) -> int:
    return sum(count or 0 for count in counts)


def _wrong(message: str, where: str, fix: str) -> ProxyError:
    return ProxyError(message, help=fix, where=where, code="bad-export")
