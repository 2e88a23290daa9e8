"""What solves with a set-up take, on this rank's clock and in applications, and what another set-up would be worth."""

from __future__ import annotations

from time import perf_counter

import numpy as np

from ..records.lag import Tally
from ..tuning.worth import Readings, Worth
from .collective import Comm
from .fast import State

#: Where nobody says what came of a solve, a kept set-up that takes less than this share of what a fresh one took isn't
#: trusted: what diverges ends soon.
_TOO_CHEAP = 0.75


class Meter:
    """Counts a solve or, where nobody says when one ends, all since the last matrix.

    Parameters
    ----------
    state : fast.State
        Where fast.c counts applications, too.
    tally : Tally
        What is counted for the summary.

    Attributes
    ----------
    readings : Readings
        Seconds since the last set-up.
    given_up : int
        Applications of the solve before it was given up for a fresh set-up.
    per_iteration : float
        Applications in an iteration.
    solving : float
        Seconds of the last solve that was looked at.
    telling : bool
        Whether what was applied last tells how good the set-up is.
    """

    def __init__(self, state: State, tally: Tally) -> None:
        self.readings, self.given_up, self.per_iteration = Readings(), 0, 1.0
        self.solving, self.telling = 0.0, False
        self._state, self._tally, self._worth = state, tally, Worth()
        self._own = 0.0  # seconds of deciding that haven't been counted
        self._began = self._settled = 0.0
        self.applications = 0

    @property
    def applications(self) -> int:
        """Those of the solve under way, or since the matrix changed where nobody says when a solve ends."""
        return self._state.applications

    @applications.setter
    def applications(self, applications: int) -> None:
        self._state.applications = applications

    @property
    def looks(self) -> bool:
        """Whether looking at a matrix is cheap."""
        return self._worth.looks

    def begin(self) -> None:
        """A solve begins."""
        self.applications = self.given_up = 0
        self._began = perf_counter()

    def applied_first(self, seconds: float, *, kept: bool, fresh: bool) -> None:
        """The first application of a solve took this long; `fresh` if it is the first with a set-up at all."""
        self._settled = perf_counter()
        self.readings.applied_first(seconds, kept=kept, fresh=fresh)

    def ended(self) -> None:
        """A solve ended, before anything is repaired."""
        now = perf_counter()
        self.solving = now - self._began
        if self.applications > 1:
            self.readings.later(now - self._settled, self.applications - 1)

    def resume(self, seconds: float) -> None:
        """A solve that nobody looked at has ended after so many."""
        self._began, self.solving = perf_counter() - seconds, seconds

    def deciding(self, seconds: float) -> None:
        """It took so long to decide, and to keep track."""
        self._own += seconds

    def cost(self, kept: bool) -> float:
        """Applications of the solve; the first one belongs to the set-up where that is fresh."""
        return self.applications - 1.0 + (self._worth.of_first if kept else 0.0)

    def agree(self, comm: Comm) -> float:
        """What a set-up is worth, in applications, after a solve with a fresh one.  Collective."""
        return self._worth.agree(comm.largest(np.array(self.readings.take())).tolist(), float(self.applications))

    def count(self, kept: bool, fresh: float) -> float:
        """What the solve has cost; with a fresh set-up the last one took `fresh`."""
        cost = self.cost(kept)
        self.telling = self.applications > 1 and not (kept and cost < _TOO_CHEAP * fresh)
        return cost

    def settle(self) -> None:
        """Put down what deciding took, once it is known what an application takes."""
        if self._worth.usual:
            self._tally.own(self._own / self._worth.usual)
            self._own = 0.0

    def seconds(self) -> float:
        """Since the solve began."""
        return perf_counter() - self._began
