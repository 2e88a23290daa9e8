"""When to set a preconditioner up again, while the matrix changes: the marginal-cost rule of maintenance theory.

Costs are counted in applications of the preconditioner, so that all ranks decide alike; what a set-up costs is its
*worth* in applications.  Barlow and Hunter, *Optimum preventive maintenance policies*, Operations Research 8 (1960):
where costs rise with age, the average cost is least if renewal comes when the next solve would cost more than the
average since the last one, renewal included.  The next solve is expected to cost what the cheaper one of the last two
did, so that a single odd right-hand side, or Newton's second solve of a step, calls for nothing.
"""

from __future__ import annotations

from math import ceil, inf, log2

from ..records.lag import Tally

#: Share of what setting up for every matrix would cost that may be lost by keeping set-ups.
SHARE = 0.01
#: In usual fresh solves with their set-ups: what there must be to lose before keeping is tried where it was too dear,
#: and the most that there is; the part of a gain that may be lost again.
CREDIT, MOST_CREDIT, AGAIN = 2.0, 20.0, 0.5
#: Weight of a set-up in what is usual.
USUAL = 0.05
#: A kept set-up is given up where a solve exceeds the longest usual one by this factor, and the worth on top.
EXCESS = 1.5
#: Weight of the last solve in what is remembered of a distance.
WEIGHT = 0.3
#: Distances are told apart by factors of two, from 2^-8 to 2^4; one place more is for distances that nobody measures.
_NEAREST, _PLACES, _BLIND, _FRESH = -8, 14, 0, -2
#: The place from which on nothing good is expected of a set-up, unless it has proved good: condition numbers above e^4.
_FAR = 1 + 2 - _NEAREST
#: Most solves that are all set up for, after a failure that a fresh set-up didn't repair.
LONGEST_WAIT = 1024
#: From so many solves in a row on that keeping was too dear for, as many may follow that nobody asks of, up to a limit.
FROM, LONGEST_REST = 8, 64


def _place(distance: float | None) -> int:
    if distance is None:
        return _BLIND
    octave = log2(distance) if 0.0 < distance < inf else (_NEAREST if distance == 0.0 else _PLACES)
    return 1 + min(max(int(octave) - _NEAREST, 0), _PLACES - 2)


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
    age : int
        Solves since the last set-up.
    """

    def __init__(self, every: int, tally: Tally) -> None:
        self.every, self.tally = every, tally
        self.worth = self.fresh = 0.0
        self.age = 0
        self._total = self._last = self._before = self._longest = 0.0
        self._at, self._was_at = _BLIND, _FRESH
        self._excess: list[float | None] = [None] * _PLACES  # applications over those of a fresh solve, by distance
        self._usual = 0.0  # a fresh solve with its set-up, in applications
        self._credit, self._wait, self._backoff = 0.0, 0, 1
        self._pause, self._lost = 0, 0  # solves till keeping is tried again; trials that have lost in a row
        self._dear, self._rested = 0, False  # solves in a row that keeping was too dear for; the last wasn't asked for

    @property
    def waits(self) -> bool:
        """Whether all matrices are set up for, because a fresh set-up didn't repair a failure."""
        return self._wait > 0

    # -- before a solve

    def due(self, distance: float | None = None) -> bool:
        """Whether to set up before the coming solve.

        Parameters
        ----------
        distance : float, optional
            How unlike the matrix is to the one that was set up for; 0 for a multiple of it.
        """
        self._at = _place(distance)
        if self._wait:
            self._wait -= 1
            return True
        if self.every:
            return self.age >= self.every
        if self._rested:  # the distance is one to another matrix
            self._rested = False
            return True
        if not self.age:
            return False
        dear = self._expected() > (self.worth + self._total) / self.age
        due = (self._was_at != _FRESH or self._put_off() > 0) if dear else self._credit <= 0.0
        self._dear = self._dear + 1 if dear and due else 0
        return due

    def _expected(self) -> float:
        """What the solve would cost: as much as the last ones or, at another distance, what that has cost before."""
        if abs(self._at - self._was_at) < 2:
            return min(self._last, self._before)
        known = [excess for excess in self._excess[: self._at + 1] if excess is not None]
        if not known:
            return inf if self._at >= _FAR else min(self._last, self._total / self.age)
        return self.fresh + known[-1]

    def limit(self) -> float:
        """Applications at which a solve with a kept set-up is given up; 0 for never."""
        return 0.0 if self.every else self.worth + EXCESS * max(self.fresh, self._longest)

    def rest(self) -> int:
        """Coming solves that may all be set up for without a question: keeping is too dear, and can't be tried yet."""
        if self.every or self._wait or self._dear < FROM:
            return 0
        return min(self._put_off(), self._dear, LONGEST_REST)

    def _put_off(self) -> int:
        """Coming solves before keeping is tried again after a trial that lost: ever more, and till it is affordable."""
        earned, missing = SHARE * (self.worth + self.fresh), CREDIT * self._usual - self._credit
        if missing > 0.0:
            return max(ceil(missing / earned), self._pause) if earned > 0.0 else LONGEST_REST
        return self._pause

    # -- after it

    def rested(self) -> None:
        """The preconditioner was set up, and nobody had asked."""
        self.renewed()
        self._dear, self._rested = self._dear + 1, True

    def renewed(self) -> None:
        """The preconditioner was set up."""
        self.age, self._total, self._longest = 0, 0.0, 0.0
        self._last, self._before, self._was_at = self.fresh, inf, _FRESH

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
        self._earn(SHARE * (self.worth + self.fresh))
        self.tally.solved(cost)
        if kept:
            self.tally.kept(self.worth * first, cost - self.fresh)
            self._gain(self.worth * first + self.fresh - cost)
            self._remember(cost)
        elif whole:
            self.fresh = cost
        if not self.age:
            self._pause = max(self._pause - 1, 0)
            self.tally.set_up(self.worth)
            self._grow_used_to(self.worth + self.fresh)
        self.age += 1
        self._total += cost
        self._before = self._last if kept and self._was_at != _FRESH else inf
        self._last, self._was_at = cost, self._at if kept else _FRESH
        self._longest = max(self._longest, cost)

    def abandoned(self, cost: float) -> None:
        """A solve with the kept set-up was given up after so many applications, or failed."""
        self.tally.gave_up(cost)
        self._gain(-cost)
        self._remember(cost + self.worth + self.fresh)

    def failed(self) -> None:
        """A fresh set-up didn't repair a failed solve: set up for every matrix for a while."""
        self._wait, self._backoff = self._backoff, min(2 * self._backoff, LONGEST_WAIT)

    def _grow_used_to(self, cost: float) -> None:
        if not self._usual:
            self._usual, self._credit = cost, 0.5 * CREDIT * cost
        self._usual += USUAL * (cost - self._usual)
        self._credit = min(self._credit, MOST_CREDIT * self._usual)

    def _gain(self, applications: float) -> None:
        if applications > 0.0:
            self._lost = 0
            self._earn(AGAIN * applications)
        else:
            if self._was_at == _FRESH:
                self._pause, self._lost = 2**self._lost, min(self._lost + 1, 10)
            self._credit += applications

    def _earn(self, applications: float) -> None:
        self._credit = min(self._credit + applications, MOST_CREDIT * self._usual)

    def _remember(self, cost: float) -> None:
        excess, known = cost - self.fresh, self._excess[self._at]
        self._excess[self._at] = excess if known is None else known + WEIGHT * (excess - known)
