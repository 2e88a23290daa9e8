"""What is told once a run: solvers of other sizes, or made anew, have the same to say."""

from __future__ import annotations

from ..names import kin

_told: set[tuple[str, str]] = set()


def first(name: str, what: str) -> bool:
    """Whether this is told for the first time of this name (a solver's, an option's), or of one that differs by ids."""
    key = kin(name), what
    known = key in _told
    _told.add(key)
    return not known
