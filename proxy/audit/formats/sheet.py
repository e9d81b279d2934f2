"""Sheets for public summaries of training content: a document of cells, each with its query.

What each sheet asks is paraphrased; whether a sheet meets an obligation is for its reader to judge.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from proxy.ledger.canonical import Json, canonical
from proxy.ledger.described import NOT_STATED, plain

__all__ = ["BEYOND", "Cell", "Sheet"]

BEYOND = "no query: a ledger does not hold it"
"""What stands for the query of a cell that the ledger cannot fill."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One field of a sheet."""

    section: str
    asks: str
    value: str = NOT_STATED
    query: str = BEYOND
    """SQL over files of the bundle, as DuckDB runs it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A sheet, and where its fields come from."""

    title: str
    instrument: str
    source: str
    confidence: str
    """Of the list of fields, as `read` or `read-secondary`."""
    read_on: str
    """When the list was taken down."""
    export: str
    at: str
    cells: Sequence[Cell]

    def to_json(self) -> bytes:
        """The sheet for programs."""
        cells: list[Json] = [
            {
                "section": cell.section,
                "field": cell.asks,
                "value": cell.value,
                "recorded": cell.value != NOT_STATED,
                "query": cell.query,
            }
            for cell in self.cells
        ]
        return canonical(
            {
                "title": self.title,
                "instrument": self.instrument,
                "fields_from": {
                    "source": self.source,
                    "confidence": self.confidence,
                    "date": self.read_on,
                },
                "export": self.export,
                "at": self.at,
                "cells": cells,
            }
        )

    def to_markdown(self) -> bytes:
        """The sheet for people."""
        lines = [
            f"# {self.title}",
            "",
            f"{self.instrument}.",
            f"Fields from {plain(self.source)} ({self.confidence}, {self.read_on}).",
            f"Made by inbond for export {self.export} at {self.at}.",
            "It states what a ledger holds; whether that meets an obligation is for its reader to judge.",
        ]
        section = ""
        for cell in self.cells:
            if cell.section != section:
                section = cell.section
                lines += [
                    "",
                    f"## {section}",
                    "",
                    "| field | value | query |",
                    "| --- | --- | --- |",
                ]
            query = f"`{cell.query}`" if cell.query.startswith("SELECT") else cell.query
            lines.append(f"| {plain(cell.asks)} | {plain(cell.value)} | {query} |")
        return ("\n".join(lines) + "\n").encode()
