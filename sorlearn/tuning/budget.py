"""What trials of arms, and deciding, may take: a share of the time so far, and a few solves of the safe arm at once.

The account of conservative bandits.  Y. Wu, R. Shariff, T. Lattimore, C. Szepesvári, *Conservative bandits*, ICML 2016.
"""

from __future__ import annotations

from ..learners.state import Remembers
from .clocks import Clocks

#: Solves of the safe arm that trials may cost in advance of their share; likewise where the matrix stays.
ADVANCE, STAYING = 0.8, 1.5
#: Share of the time that deciding may take, and what in advance: solves of the safe arm, and of the one that is chosen.
DECIDING, AT_ONCE, CHOSEN = 0.005, 1.0, 2.0
#: Readings of deciding that are so many times the believed one are no better known: it takes longer for some arms.
ACCIDENT = 4.0


class Budget(Remembers):
    """The account of one solver, in seconds.

    Parameters
    ----------
    share : float
        Share of the time that trials may cost.

    Attributes
    ----------
    changes : bool
        Whether the matrix changes from solve to solve, rather than stays; as `now` was told.
    """

    _remembered = ("_spent", "_lost", "_behind", "_first", "_deciding")

    def __init__(self, share: float) -> None:
        self._share = share
        self._spent = self._first = 0.0  # by all solves, by the first
        self._lost = 0.0  # by trials, beyond what the incumbent would have taken
        self._behind = 0.0  # beyond what the safe arm, doubted, would have taken; below 0 where that was saved
        self._deciding = 0.0
        self._own = Clocks()
        self._safe, self.changes = 0.0, True

    def now(self, safe: float, changes: bool) -> None:
        """The coming solve is expected to take the safe arm this long."""
        self._safe, self.changes = safe, changes

    # -- what may be spent

    @property
    def _once(self) -> float:
        """Seconds of a solve of the safe arm; the first may have had to make what stays."""
        return min(self._first, self._safe)

    @property
    def _allowance(self) -> float:
        """Seconds by which trials may exceed what the incumbent takes, and all solves what the safe arm takes."""
        return (ADVANCE if self.changes else STAYING) * self._once + self._share * self._spent

    @property
    def for_trials(self) -> float:
        """Seconds that a trial may take beyond the incumbent, deciding for it and after it apart."""
        return self._allowance - max(self._lost, self._behind) - self._decisions

    def reaches(self, set_up: float) -> bool:
        """Whether a set-up that takes so long can be afforded."""
        return self._behind + set_up <= self._allowance

    @property
    def _decisions(self) -> float:
        """Seconds of deciding for a trial, and again after it."""
        return 2.0 * self._own.believed

    def repeats(self, cost: float) -> float:
        """Solves of this cost for which a decision has to stand, so that deciding takes no more than its share."""
        advance = min(AT_ONCE * self._once, CHOSEN * cost)
        owed = self._deciding + self._own.believed - advance - DECIDING * self._spent
        return max(owed, 0.0) / (DECIDING * max(cost, 1e-9))

    # -- what was spent

    def solved(self, seconds: float) -> None:
        """A solve took so long, or several together, set-ups included."""
        self._first = self._first or seconds
        self._spent += seconds

    def fell_behind(self, seconds: float) -> None:
        """Another arm's solves took so much longer than the safe arm's would have; below 0 for less."""
        self._behind += seconds

    def tried(self, seconds: float, incumbent: float) -> None:
        """A trial took so long, where the incumbent would have taken so long."""
        self._lost = max(self._lost + seconds + self._decisions - incumbent, 0.0)

    def decided(self, seconds: float, trial: bool) -> None:
        """So long deciding took; trials pay for theirs, and the first makes what stays."""
        self._own.note(seconds)
        if self._own.count > 1 and not trial:
            self._deciding += min(seconds, ACCIDENT * self._own.believed)
