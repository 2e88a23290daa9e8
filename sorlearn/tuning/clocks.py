"""Clocks of which low readings are believed: what else runs on a machine makes them say more."""

from __future__ import annotations

from math import log
from typing import Any

import numpy as np

from ..learners.state import Remembers

#: Readings of a clock that count, and the place of the one that is believed.
REMEMBERED, BELIEVED = 9, 0.25
#: Readings that an average of so many solves or more stands for.
SEVERAL = 2
#: Octaves of iterations that are told apart.
OCTAVES = 16


def _believed(readings: list[float]) -> float:
    found = sorted(readings)
    return found[int(BELIEVED * len(found))]


class Clocks(Remembers):
    """The last readings of a clock.

    Attributes
    ----------
    count : int
        Readings so far.
    believed : float
        The believed one, in seconds; 0 where there is none.
    """

    _remembered = ("_readings", "count", "believed")

    def __init__(self) -> None:
        self._readings, self.count, self.believed = np.zeros(REMEMBERED), 0, 0.0

    def note(self, seconds: float) -> None:
        """One more; the first, in which things are made that stay, counts until there is another."""
        self._readings[max(self.count - 1, 0) % REMEMBERED] = seconds
        self.count += 1
        self.believed = _believed(self._readings[: max(self.count - 1, 1)].tolist())


class Paces(Remembers):
    """Seconds an iteration, told apart by octaves of iterations: what comes once a solve weighs more in short ones.

    Attributes
    ----------
    count : int
        Solves so far.
    """

    _remembered = ("_readings", "_counts", "count")

    def __init__(self) -> None:
        self._readings, self._counts, self.count = np.zeros((OCTAVES, REMEMBERED)), np.zeros(OCTAVES, dtype=int), 0
        self._known: dict[int, float] | None = None  # the believed ones of octaves, as far as they have been asked for

    def note(self, seconds: float, iterations: float, solves: int = 1) -> None:
        """An iteration took this long in a solve with so many of them, counted from 1, or in several alike.

        The first, in which things are made that stay, counts until there is another.  An average of several stands for
        no more than a part of what is remembered: a single accident of the clock is in all of it.
        """
        if self.count == 1:
            self._counts[:] = 0
        octave = self._octave(log(iterations))
        for _ in range(min(solves, SEVERAL)):
            self._readings[octave, self._counts[octave] % REMEMBERED] = seconds
            self._counts[octave] += 1
        self.count += solves
        self._known = None

    def at(self, log_iterations: float) -> float:
        """The believed seconds in a solve with so many, or as nearly as many as is known of; 0 where nothing is."""
        if self._known is None:
            counts = self._counts.tolist()
            self._known = {k: _believed(self._readings[k, :n].tolist()) for k, n in enumerate(counts) if n}
        octave = self._octave(log_iterations)
        nearest = min(self._known, key=lambda known: abs(known - octave), default=-1)
        return self._known.get(nearest, 0.0)

    def _adopt(self, checked: dict[str, Any]) -> None:
        super()._adopt(checked)
        self._known = None

    @staticmethod
    def _octave(log_iterations: float) -> int:
        return min(max(int(log_iterations / log(2.0)), 0), OCTAVES - 1)
