"""Learned state on disk: JSON, replaced atomically, so that the last good state survives whatever happens.

One file may hold the states of several solvers, each under its name.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
from typing import Any

import numpy as np

from ..errors import StateError
from .paths import encoded

SCHEMA = 1
#: Bytes of the largest file that is read: a solver's state takes some tens of kilobytes.
LARGEST = 2**26


def _plain(value: Any) -> Any:
    """Arrays as lists, numpy numbers as numbers."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} in a learner's state")


def read(path: str) -> dict[str, Any]:
    """All states of a file, by solver name.

    Raises
    ------
    StateError
        If it can't be read, or isn't a state file of this schema.
    """
    try:
        content = json.loads(_text(path))
    except OSError as error:
        raise StateError(f"{path}: {error.strerror}") from None
    except StateError:
        raise
    except (ValueError, RecursionError):
        raise StateError(f"{path}: truncated, or not a state that sorlearn saved") from None
    if not isinstance(content, dict) or not isinstance(content.get("solvers"), dict):
        raise StateError(f"{path}: not a state that sorlearn saved")
    if content.get("schema") != SCHEMA:
        raise StateError(f"{path}: schema {content.get('schema')}, this version reads {SCHEMA}")
    return content["solvers"]


def _text(path: str) -> str:
    """What a file holds; devices and pipes, which may have no end, aren't opened."""
    status = os.stat(encoded(path))
    if not stat.S_ISREG(status.st_mode):
        raise StateError(f"{path}: not a regular file")
    if status.st_size > LARGEST:
        raise StateError(f"{path}: {status.st_size} bytes, too large for a state that sorlearn saved")
    with open(encoded(path), encoding="utf-8") as file:
        return file.read()


def load(path: str, name: str) -> dict[str, Any]:
    """The state of the solver called `name`.

    Raises
    ------
    StateError
        As `read`, or if the file knows no such solver.
    """
    solvers = read(path)
    if name not in solvers:
        raise StateError(f"{path}: holds {', '.join(map(repr, solvers)) or 'nothing'}, not {name!r}")
    return solvers[name]


def save(path: str, name: str, state: dict[str, Any]) -> None:
    """Put the state of `name` beside those of other solvers, atomically.

    Raises
    ------
    OSError
        If the file can't be written; what it held is then untouched.
    StateError
        If there is something already and it isn't a state of this schema; it is then untouched, too.
    """
    solvers = read(path) if os.path.exists(encoded(path)) else {}
    place = os.path.realpath(encoded(path))
    text = json.dumps({"schema": SCHEMA, "solvers": {**solvers, name: state}}, default=_plain)
    folder, base = os.path.split(place)
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=base + b".")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, place)
    except BaseException:  # a kill of the run, too, leaves nothing half-written; raised again
        os.unlink(temporary)
        raise
