"""The tables and sheets, by DuckDB: what a sheet says is what its own query gives."""

# Its packages are in an environment of its own.
# mypy: disable-error-code="import-not-found,import-untyped"

import json
import os
from pathlib import Path

import duckdb
from verdicts import tell

_SHEETS = ("california-ab-2013.json", "data-provenance-sheet.json", "eu-ai-act-summary.json")
_USE = "training of "
"""What stands before a student's name where its use is asked for."""
_EXCHANGES = "SELECT count(*) FROM 'tables/exchanges.parquet'"
_LEAVES = """
SELECT count(*) FROM read_json('entries.jsonl', columns = {seq: 'BIGINT', leaf: 'VARCHAR'})
WHERE json_extract_string(leaf, '$.kind') = 'exchange'
"""


def check(folder: Path) -> None:
    """Ask what each cell of each sheet says where it is from, and count exchanges both ways."""
    # The queries name files as they lie in the bundle.
    os.chdir(folder)
    with duckdb.connect() as connection:
        _same(_EXCHANGES, _asked(connection, _LEAVES), _asked(connection, _EXCHANGES))
        for name in _SHEETS:
            for cell in json.loads(Path(name).read_bytes())["cells"]:
                if cell["query"].startswith("SELECT"):
                    _same(cell["query"], cell["value"], _asked(connection, cell["query"]))


def _asked(connection: duckdb.DuckDBPyConnection, query: str) -> str:
    """The cells of what a query gives, as a sheet writes them."""
    rows = connection.execute(query).fetchall()
    return "; ".join(" to ".join(str(cell) for cell in row) for row in rows)


def _same(query: str, said: str, found: str) -> None:
    is_so = found not in ("", "0") if said == "yes" else said.replace(_USE, "") == found
    if not is_so:
        message = f"`{query}` gives {found!r}, where {said!r} is said"
        raise ValueError(message)


if __name__ == "__main__":
    tell(check, (duckdb.Error, ValueError))
