"""JSON lines, one a solve.

Every line is written with one call and flushed, so that a killed run leaves whole lines behind.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from math import isfinite
from typing import Any, Callable, TextIO

from . import told
from .paths import encoded

SCHEMA = 1
#: Of lines that also name an arm, and whose omega may be null.
ARMS_SCHEMA = 2
FIELDS = (
    "solve", "omega", "iterations", "reason", "cost", "seconds", "residual_before", "residual_after",
    "context", "propensity", "explored", "rescued", "held",
)  # fmt: skip

#: Those of them that a report reckons with.
NUMBERS = ("omega", "iterations", "seconds")

_open: dict[str, TextIO] = {}
#: Paths that can't be written, and why.
_refused: dict[str, str] = {}


def finite(value: float | None) -> float | None:
    """The number, or None where it is NaN, infinite or unknown."""
    return value if value is not None and isfinite(value) else None


def line(name: str, record: Any, more: dict[str, Any] | None = None) -> str:
    """One JSON line without NaN or infinity: numbers that don't exist are null; `more` are further entries."""
    entry: dict[str, Any] = {"schema": SCHEMA, "name": name, **(more or {})}
    for field in FIELDS:
        value = getattr(record, field)
        entry[field] = finite(value) if isinstance(value, float) else value
    entry["context"] = [finite(value) for value in record.context.numbers]
    return json.dumps(entry, allow_nan=False)


class Journal:
    """Appends the lines of one solver to a file that several solvers may share.

    A path that can't be written costs the journal, not the run: one message, and no further lines of any solver.

    Parameters
    ----------
    line : callable
        Makes a line from the name and a record.
    """

    def __init__(self, path: str, name: str, option: str, line: Callable[[str, Any], str] = line):
        self.path, self.name, self.option, self._line = path, name, option, line
        self.broken = False

    def write(self, record: Any) -> None:
        """Append one line."""
        if self.broken:
            return
        try:
            if self.path not in _refused:
                self._append(record)
        except OSError as error:
            _refused[self.path] = str(error.strerror)
        self.broken = self.path in _refused
        if self.broken and told.first(self.option, self.path):
            sys.stderr.write(
                f"sorlearn: {self.option} {self.path}: {_refused[self.path]}; the run goes on without a journal\n"
            )

    def _append(self, record: Any) -> None:
        if self.path not in _open:
            _open[self.path] = open(encoded(self.path), "a", buffering=1, encoding="utf-8")
            if _is_torn(self.path):
                _open[self.path].write("\n")
        _open[self.path].write(self._line(self.name, record) + "\n")


def _is_torn(path: str) -> bool:
    """Whether the last line lacks its end, as where a run was killed or the disk was full."""
    with suppress(OSError):
        if os.path.isfile(encoded(path)) and os.path.getsize(encoded(path)):
            with open(encoded(path), "rb") as file:
                file.seek(-1, os.SEEK_END)
                return file.read() != b"\n"
    return False


def read(path: str) -> list[dict[str, Any]]:
    """The entries of a journal; torn lines, which runs that were killed have left, are left out.

    Raises
    ------
    OSError
        If the file can't be read.
    ValueError
        Naming the line, if one that isn't torn isn't a journal's of this schema.
    """
    if os.path.exists(encoded(path)) and not os.path.isfile(encoded(path)):
        raise ValueError(f"{path}: not a regular file")  # a device may have no end
    with open(encoded(path), encoding="utf-8", errors="replace") as file:
        lines = enumerate(file.read().split("\n")[:-1], 1)
        return [_entry(text, f"{path}, line {number}") for number, text in lines if not _is_stump(text)]


def _is_stump(text: str) -> bool:
    """Whether it is the beginning of a line that wasn't written to its end."""
    try:
        json.loads(text)
    except RecursionError:
        return False
    except ValueError:
        return text.startswith('{"') and not text.endswith("}")
    return False


def _entry(text: str, where: str) -> dict[str, Any]:
    try:
        entry = json.loads(text)
        ours = entry["schema"] in (SCHEMA, ARMS_SCHEMA) and isinstance(entry["name"], str)
        ours = ours and isinstance(entry["rescued"], bool) and type(entry["iterations"]) is int
        numbers = list(NUMBERS)
        if entry["schema"] == ARMS_SCHEMA:
            ours = ours and isinstance(entry["arm"], str) and type(entry["solve"]) is int and _is_number(entry["solve"])
            numbers = [key for key in NUMBERS if entry[key] is not None or key != "omega"]
        ours = ours and all(_is_number(entry[key]) for key in numbers)
    except (KeyError, RecursionError, TypeError, ValueError):
        ours = False
    if not ours:
        raise ValueError(f"{where}: not a line that -pc_sorlearn_journal (schema {SCHEMA}) or -sorlearn_arms_journal "
                         f"(schema {ARMS_SCHEMA}) has written")  # fmt: skip
    return entry


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 1e300  # NaN, too, is refused by this
