"""When to set a preconditioner up again, while the matrix changes: the marginal-cost rule of maintenance theory.

Costs are counted in applications of the preconditioner, so that all ranks decide alike; what a set-up costs is its
*worth* in applications.  Barlow and Hunter, *Optimum preventive maintenance policies*, Operations Research 8 (1960):
where costs rise with age, the average cost is least if renewal comes when the next solve would cost more than the
average since the last one, renewal included.  The next solve is expected to cost what the cheaper one of the last two
did, so that a single odd right-hand side, or Newton's second solve of a step, calls for nothing.
"""

from __future__ import annotations

from math import inf

from ..records.lag import Tally
from .credit import Credit
from .distances import Distances
from .hopeless import Hopeless
from .news import News

#: A kept set-up is given up where a solve exceeds the longest usual one by this factor, and the worth on top.
EXCESS = 1.5


class Renewal:
    """Decides whether a set-up is kept; constant memory.

    Before each solve with a matrix that the preconditioner isn't set up for, `due` is asked; `renewed` follows a
    set-up, `spent` a solve, `abandoned` a solve that was given up for a fresh set-up.

    Parameters
    ----------
    every : int
        Set up after so many solves, whatever they cost; 0 for the rule.
    tally : Tally
        What is counted for the summary.

    Attributes
    ----------
    worth : float
        What a set-up costs, in applications; to be assigned when it is known.
    fresh : float
        Applications that the last solve with a fresh set-up took.
    age, idle : int
        Solves since the last set-up; others that ended before the preconditioner was applied.
    """

    def __init__(self, every: int, tally: Tally) -> None:
        self.every, self.tally = every, tally
        self.worth = self.fresh = 0.0
        self.age = self.idle = 0
        self._total = self._last = self._before = self._longest = 0.0
        self._distances, self._credit = Distances(), Credit()
        self._hopeless, self._news = Hopeless(), News()
        self._rested = False  # the last solve wasn't asked for
        self._unused = False  # the set-up

    @property
    def waits(self) -> bool:
        """Whether all matrices are set up for, because a fresh set-up didn't repair a failure."""
        return self._hopeless.wait > 0

    @property
    def doubted(self) -> bool:
        """Whether what a type keeps of its first set-up may be why the last solve failed."""
        return self._hopeless.doubted

    # -- before a solve

    def due(self, distance: float | None = None, noticed: bool = True) -> bool:
        """Whether to set up before the coming solve.

        Parameters
        ----------
        distance : float, optional
            How unlike the matrix is to the one that was set up for; 0 for a multiple of it.
        noticed : bool
            Whether what solves take tells how good the set-up is.
        """
        self._distances.look(distance)
        if self._hopeless.waited():
            return True
        if self.every:
            return self.age + self.idle >= self.every
        if self._rested:  # the distance is one to another matrix
            self._rested = False
            return True
        if self._unused or not noticed:  # what solves with it take isn't known
            return True
        dear = self._expected() > (self.worth + self._total) / self.age
        trial = self._distances.from_fresh
        due = (not trial or self._credit.put_off(self._anew) > 0) if dear else self._credit.used_up
        self._credit.dear = self._credit.dear + 1 if dear and due else 0
        return due or not trial and self.worth < self._news.share * self._total

    @property
    def _anew(self) -> float:
        """Applications of a solve with its set-up."""
        return self.worth + self.fresh

    def _expected(self) -> float:
        """What the solve would cost: as much as the last ones or, at another distance, what that has cost before."""
        if self._distances.as_before:
            return min(self._last, self._before)
        if (excess := self._distances.excess) is not None:
            return self.fresh + excess
        return inf if self._distances.far else min(self._last, self._total / self.age)

    def limit(self) -> float:
        """Applications at which a solve with a kept set-up is given up; 0 for never."""
        return 0.0 if self.every else self.worth + EXCESS * max(self.fresh, self._longest)

    def rest(self) -> int:
        """Coming solves that may all be set up for without a question: keeping is too dear, and can't be tried yet."""
        return 0 if self.every or self.waits else self._credit.rest(self._anew)

    # -- after it

    def rested(self) -> None:
        """The preconditioner was set up, and nobody had asked."""
        self.renewed()
        self._credit.dear += 1
        self._rested = True

    def renewed(self) -> None:
        """The preconditioner was set up."""
        if self._unused:
            self._paid()
        self._unused = True
        self.age = self.idle = 0
        self._total = self._longest = 0.0
        self._last, self._before = self.fresh, inf
        self._distances.renewed()

    def _paid(self) -> None:
        """The set-up counts."""
        self._unused = False
        self.tally.set_up(self.worth)
        self._credit.set_up(self._anew)

    def passed_by(self) -> None:
        """A solve ended before the preconditioner was applied, which says nothing of the set-up."""
        self.tally.solved(0.0)
        self.idle += 1

    def spent(self, cost: float, *, kept: bool, first: bool = True, whole: bool = True) -> None:
        """A solve took so many applications.

        Parameters
        ----------
        kept : bool
            Whether the set-up was for another matrix.
        first : bool
            Whether it is the first with its matrix, for which a set-up was spared if one was kept.
        whole : bool
            Whether it was a solve from its beginning, not the end of one that was given up.
        """
        self._credit.solved(self._anew)
        self.tally.solved(cost)
        if kept:
            self.tally.kept(self.worth * first, cost - self.fresh)
            self._credit.kept(self.worth * first + self.fresh - cost, self._distances.from_fresh)
            self._distances.remember(cost - self.fresh)
            self._news.kept(cost, self.fresh)
        elif whole:
            self.tally.dearer(self._news.found(cost))
            self.fresh = cost
        if self._unused:
            self._paid()
        self.age += 1
        self._total += cost
        self._before = self._last if kept and not self._distances.from_fresh else inf
        self._last = cost
        self._distances.solved(kept)
        self._longest = max(self._longest, cost)

    def abandoned(self, cost: float) -> None:
        """A solve with the kept set-up was given up after so many applications, or failed."""
        self.tally.gave_up(cost)
        self._credit.kept(-cost, self._distances.from_fresh)
        self._distances.remember(cost + self.worth)

    def worked(self) -> None:
        """A solve was all right in the end."""
        self._hopeless.worked()

    def failed(self, broken_down: bool = False) -> None:
        """A fresh set-up didn't repair a failed solve: set up for every matrix for a while.

        Parameters
        ----------
        broken_down : bool
            Whether the solve didn't just come to its limit of iterations.
        """
        self._hopeless.failed(broken_down)
