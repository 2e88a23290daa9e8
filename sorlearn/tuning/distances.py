"""What solves with a kept set-up have taken beyond a fresh one's, by how unlike the matrix was to the set-up's."""

from __future__ import annotations

from math import inf, log2

#: Weight of the last solve in what is remembered of a distance.
WEIGHT = 0.3
#: Distances are told apart by factors of two, from 2^-8 to 2^4; one place more is for distances that nobody measures.
_NEAREST, _PLACES, _BLIND, _FRESH = -8, 14, 0, -2
#: The place from which on nothing good is expected of a set-up, unless it has proved good: condition numbers above e^4.
_FAR = 1 + 2 - _NEAREST


def _place(distance: float | None) -> int:
    if distance is None:
        return _BLIND
    octave = log2(distance) if 0.0 < distance < inf else (_NEAREST if distance == 0.0 else _PLACES)
    return 1 + min(max(int(octave) - _NEAREST, 0), _PLACES - 2)


class Distances:
    """The matrix at hand, the last one that was solved with, and all before, as places on the way from the set-up's."""

    def __init__(self) -> None:
        self._at, self._was_at = _BLIND, _FRESH
        self._excess: list[float | None] = [None] * _PLACES

    def look(self, distance: float | None) -> None:
        """The coming solve is at this distance; 0 for a multiple of the set-up's matrix, None for unknown."""
        self._at = _place(distance)

    def renewed(self) -> None:
        """The last solve, the one that is to come, is with the matrix that was set up for."""
        self._was_at = _FRESH

    def solved(self, kept: bool) -> None:
        """So it was, or at the distance that was looked at."""
        self._was_at = self._at if kept else _FRESH

    @property
    def from_fresh(self) -> bool:
        """Whether the last solve was with the matrix that was set up for."""
        return self._was_at == _FRESH

    @property
    def as_before(self) -> bool:
        """Whether the coming solve is about as far away as the last one."""
        return abs(self._at - self._was_at) < 2

    @property
    def far(self) -> bool:
        """Whether nothing good can be expected of the set-up, unless it has proved good."""
        return self._at >= _FAR

    @property
    def excess(self) -> float | None:
        """Applications beyond a fresh solve's at this distance or the next lesser one that is known; None for none."""
        return next((excess for excess in reversed(self._excess[: self._at + 1]) if excess is not None), None)

    def remember(self, excess: float) -> None:
        """A solve at this distance took so many more."""
        known = self._excess[self._at]
        self._excess[self._at] = excess if known is None else known + WEIGHT * (excess - known)
