"""What goes wrong with a file, told once a run: solvers of other sizes have the same options."""

from __future__ import annotations

from ..names import kin

_told: set[tuple[str, str]] = set()


def first(option: str, path: str) -> bool:
    """Whether nothing has gone wrong so far with this path of this option, or of one that differs by ids only."""
    key = kin(option), path
    known = key in _told
    _told.add(key)
    return not known
