"""What a set-up costs in applications of the preconditioner, from clocks that all ranks have agreed on."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from math import inf
from time import perf_counter

#: Readings that count, and the place of the one that is believed: what else runs on the machine makes clocks say more.
REMEMBERED, BELIEVED = 9, 0.25
#: Looking at a matrix may cost this share of a solve with its set-up; where it was too dear, so much less.
LOOK, AGAIN = 0.01, 0.5
#: What the first set-up, in which memory is allocated and patterns are analysed, says of later ones.
FIRST = 0.3
#: Seconds that no application takes less than.
_CLOCK = 1e-7
#: Applications belong to one solve if the time between them is less than so many times the least.
_CLOSELY = 5.0


class Readings:
    """Seconds on this rank since the last set-up.

    Attributes
    ----------
    set_up : float
        Of the set-up and the first application with it, in which many preconditioners do what they had put off.
    first : float
        Of the last first application of a solve with a kept set-up.
    single : float
        Of the last first application of any solve.
    look : float
        Of looking at a matrix.
    """

    def __init__(self) -> None:
        self.set_up = self.first = self.single = self.look = 0.0
        self._later = self._seconds = 0.0
        self._last, self._least = 0.0, inf

    def applied_first(self, seconds: float, *, kept: bool, fresh: bool) -> None:
        """The first application of a solve took this long; `fresh` if it is the first with a set-up at all."""
        self.single = seconds
        if kept:
            self.first = seconds
        elif fresh:
            self.set_up += seconds
        self._last = perf_counter()

    def applied(self) -> None:
        """One more application has ended, where nobody says which belong to one solve: those that follow closely."""
        now = perf_counter()
        gap, self._last = now - self._last, now
        self._least = min(self._least, gap)
        if gap < _CLOSELY * self._least:
            self.later(gap, 1)

    def later(self, seconds: float, applications: int) -> None:
        """So many applications after the first one took this long, with all that the solver does between them."""
        self._seconds += seconds
        self._later += applications

    def take(self) -> list[float]:
        """What the ranks agree on: seconds of (set-up, an application, a first one, a look); begins afresh."""
        each = self._seconds / self._later if self._later else self.single
        found = [self.set_up, each, self.first, self.look]
        self._later, self._seconds, self._least = 0.0, 0.0, inf
        return found


class Worth:
    """Turns agreed readings into applications; constant memory.

    The first set-up counts until there are others.

    Attributes
    ----------
    of_first : float
        Applications that the first one of a solve with a kept set-up is worth.
    usual : float
        Seconds of an application; 0 before the first reading.
    """

    def __init__(self) -> None:
        self._set_ups: deque[float] = deque(maxlen=REMEMBERED)
        self._each: deque[float] = deque(maxlen=REMEMBERED)
        self._agreed = 0
        self.of_first, self.looks, self.usual = 1.0, True, 0.0

    def agree(self, readings: Sequence[float], fresh: float) -> float:
        """What a set-up is worth, by the largest readings of all ranks.

        Parameters
        ----------
        fresh : float
            Applications of a solve with a fresh set-up.
        """
        set_up, each, first, look = readings
        self._agreed += 1
        if self._agreed == 2:
            self._set_ups.clear()
        self._set_ups.append(set_up if self._agreed > 1 else FIRST * set_up)
        self._each.append(max(each, _CLOCK))
        self.usual = usual = _believed(self._each)
        worth = _believed(self._set_ups) / usual
        if first:
            self.of_first = first / usual
        self.looks = look <= LOOK * (1.0 if self.looks else AGAIN) * (worth + fresh) * usual
        return worth


def _believed(readings: Iterable[float]) -> float:
    found = sorted(readings)
    return found[int(BELIEVED * len(found))]
