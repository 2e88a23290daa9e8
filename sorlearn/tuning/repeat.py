"""When a decision stands for further solves, because making another would cost more than it can gain."""

from __future__ import annotations

from collections.abc import Callable
from math import exp, inf, isfinite, log, log2
from typing import Any

from .bins import u_of

#: Until the run has shown what they take, in seconds: deciding and learning in a loop of solves that leaves no cache
#: warm; and the parts of an iteration, callbacks and a nonzero's way from memory.
DECISION, CALLBACK, NONZERO = 400e-6, 1.0e-6, 2.2e-9
#: Measurements that the supposed ratio of the two counts for, and the least weight of a new one; powers of two by which
#: what is measured has to be off what is reckoned with before that changes: clocks are to change choices seldom.
PRIOR, NEWEST, OFF = 16, 0.03, 1.0
#: Share of the time of the solves that deciding may take.
SHARE = 0.01
#: Solves decided one by one before any is repeated, per second that one takes, and at most.
WARM_UP, MOST_WARM_UP = 5e5, 50
#: Repeats at most; those that are made anyway where a solve takes fewer than so many seconds.
LONGEST, FEW, SHORT = 511, 2, 0.01
#: Solves, or iterations, that never come to an end.
FOR_GOOD = 10**9
#: Decided solves in a row in which there was nothing to solve, from which on so many repeat the last.
IDLE, WHILE_IDLE = 8, 64
#: Repeats on matrices that change where ω can't follow them: where solves are very short, it needn't at once.
BLIND = 16
#: Log of a change of the iterations from which on a solve is strange: the matrix is another kind's.  Decisions for
#: which none may stand where ω can't follow the matrix after a strange one has ended it, for a start.
STRANGE, WARY = 0.25, 16
#: Change of log(2/ω − 1) from where a decision has followed the matrix to the next one with which solves may repeat it
#: longer, and beyond which they may not as long.
ALIKE, STEADY = 0.05, 0.25
#: They may also where staying would have cost less than so much of a solve and, in all that repeated it, than so many
#: decisions take.
SAME, LOST = 0.01, 2.0
#: Relative change of the iterations, beyond one, that calls for another decision, and the most where such decisions
#: have been alike; rise of the cost from one decision to the next that does.
UNLIKE, WIDEST, DEARER = 0.05, 0.1, 0.1
#: Power of exp(−u), u = log(2/ω − 1), by which iterations may rise beside while ω follows a matrix that turns stiffer;
#: from a stretch of so many solves on: before that, what is unlike has more to teach.
RATE, TRUSTED = 1.4, 32.0


class Repeats:
    """Counts the solves that go by undecided; constant memory.

    The longer the decisions before have been much alike, the more solves repeat one.

    Attributes
    ----------
    left : int
        Solves that may still repeat the last decision.
    patience : int
        What is left of them when a matrix that ω can't follow ends them.
    least, most : float
        Iterations of a solve that is like the last decided one.
    dearness : float
        What deciding takes over solving, in units of what DECISION, CALLBACK and NONZERO say: a power of two.
    width : float
        Relative change of the iterations, beyond one, that ends the repeats.
    strange : bool
        Whether the last solve that ended them was of another kind.
    wary, backoff : int
        Decisions for which none stands where ω can't follow the matrix, and those of the next time.
    """

    _REMEMBERED = (
        "left", "patience", "stretch", "u", "audit", "few", "alike", "mean_iterations", "least", "most", "cost",
        "solves", "dearness", "measured", "measurements", "width", "ended", "strange", "wary", "backoff",
    )  # fmt: skip
    _LATELY = ("strange", "wary", "backoff")  # which older states don't have

    def __init__(self) -> None:
        self.left = self.patience = self.solves = self.measurements = self.nonzeros = self.idle = 0
        self.least = self.most = self.few = 0.0
        self.audit = self.alike = False
        self.stretch, self.u, self.mean_iterations, self.cost = 1.0, 0.0, 0.0, 0.0
        self.dearness, self.measured = 1.0, 0.0
        self.width, self.ended = UNLIKE, False
        self.strange, self.wary, self.backoff = False, 0, WARY

    def moved(self, omega: float) -> None:
        """The last decision has followed the matrix to this ω; an audit leads nowhere."""
        if not self.audit:
            self.u = u_of(omega)

    def plan(self, omega: float, nonzeros: int, willing: bool, audit: bool = False, few: float = 0.0,
             excess: Callable[[], float] = lambda: inf) -> int:  # fmt: skip
        """Solves that may repeat a decision for `omega`, on a matrix with so many nonzeros; 0 where it isn't `willing`.

        Also to be asked where none may, as it keeps track of how alike the decisions are, an `audit` aside.

        Parameters
        ----------
        few : float
            Where there is nothing to learn while solves take no more iterations than so many; otherwise 0.
        excess : callable
            Returns what staying where the last decision has led would have cost, relative to this one.
        """
        self.left, self.audit, self.alike, self.few, self.nonzeros = 0, audit, False, few, nonzeros
        solve = self._expected(self.mean_iterations)
        if audit or not nonzeros or not few and self.solves < min(WARM_UP * solve, MOST_WARM_UP):
            return 0
        u, price = u_of(omega), self.dearness * DECISION / solve
        moved, self.u = abs(u - self.u), u
        self.alike = not self.strange and (moved < ALIKE or excess() < min(SAME, LOST * price / self.stretch))
        if self.ended:
            self.width = min((2.0 if self.alike else 0.5) * self.width, price, WIDEST)
            self.width = max(self.width, UNLIKE)
        if self.alike:
            self.stretch = min((2.0 if few else 1.5) * self.stretch, LONGEST)
        elif self.ended or moved > STEADY:
            self.stretch = max(0.5 * self.stretch, 1.0)
        self.ended = self.strange = False
        if willing:
            self.left = min(max(int(price / SHARE), FEW * (solve < SHORT)), int(self.stretch) - 1)
            self.patience = self.left if self.wary else 0 if few else max(self.left - BLIND, 0)
            self.wary -= self.wary > 0
        return self.left

    @property
    def price(self) -> float:
        """What a solve takes that comes between others, so that it and the next are decided, over itself."""
        return 1.0 + 2.0 * self.dearness * DECISION / self._expected(self.mean_iterations) if self.nonzeros else 1.0

    def _expected(self, iterations: float) -> float:
        """Seconds that a solve takes, as far as that can be known beforehand."""
        return 5e-6 + (iterations + 1.0) * (CALLBACK + NONZERO * self.nonzeros)

    def _time(self, iterations: int, own: float, seconds: float) -> None:
        """Deciding a solve took `own` seconds, and the solve so many."""
        octaves = log2(own / DECISION * self._expected(iterations) / seconds)
        self.measurements += 1
        self.measured += max(NEWEST, 1.0 / (PRIOR + self.measurements)) * (octaves - self.measured)
        if abs(self.measured - log2(self.dearness)) > OFF:
            self.dearness = 2.0 ** round(self.measured)

    def decided(self, iterations: int, cost: float, own: float = 0.0, seconds: float = 0.0) -> None:
        """A decided solve took so many iterations at this cost; if it was dearer than the last, none repeats it.

        Where ω and iterations are as before only the digits aren't, which the solves that repeat it will show.

        Parameters
        ----------
        own, seconds : float
            Seconds of deciding it, judging and repairing the answer aside, and of solving; 0 where that isn't known.
        """
        if own * seconds * self.nonzeros > 0.0:
            self._time(iterations, own, seconds)
        dearer = cost > (1.0 + DEARER) * self.cost and not (self.alike and self.like(iterations))
        if iterations > self.few if self.few else dearer:
            self.left = 0
        self.solves, self.idle = self.solves + 1, 0
        self.cost, slack = cost, 1.0 + self.width * iterations
        self.least, self.most = (0.0, self.few) if self.few else (iterations - slack, iterations + slack)
        self.mean_iterations += max(0.05, 1.0 / self.solves) * (iterations - self.mean_iterations)

    def shorten(self, solves: int) -> None:
        """No more than so many solves may repeat the decision."""
        self.patience, self.left = max(self.patience - self.left + solves, 0), solves

    def idled(self) -> None:
        """There was nothing to solve, which says nothing of the decision: the next solve takes another.

        Unless it has long been so: then it stands until there is something.
        """
        self.idle += 1
        self.left = self.patience = 0
        if self.idle > IDLE:
            self.left, self.least, self.most = WHILE_IDLE, 0.0, 0.0

    def stand(self) -> None:
        """The decision stands for good, whatever solves take."""
        self.left, self.patience, self.least, self.most = FOR_GOOD, 0, 0.0, float(FOR_GOOD)

    def like(self, iterations: int, rise: float = 0.0) -> bool:
        """Whether a solve with so many iterations is like the one that the decision was made for.

        Parameters
        ----------
        rise : float
            Logarithm of what the iterations may have risen by since, below 0 where they may have fallen.
        """
        return self.least * exp(min(rise, 0.0)) <= iterations <= self.most * exp(max(rise, 0.0))

    @property
    def rate(self) -> float:
        """Logarithm of what iterations may rise by, a unit of u that ω has followed the matrix."""
        return RATE if self.stretch >= TRUSTED else 0.0

    def repeated(self, solves: int = 1) -> None:
        """So many solves repeated the decision, and were like the one that it was made for."""
        self.solves += solves
        self.left -= solves

    def end(self, iterations: int) -> None:
        """A solve repeated the decision and was unlike, or failed; the next decision may be as much dearer."""
        self.solves += 1
        change = (iterations + 1.0) / (0.5 * (self.least + self.most) + 1.0)
        self.strange = abs(log(change)) > STRANGE
        if self.strange and self.stands():
            self.wary, self.backoff = self.backoff, min(2 * self.backoff, LONGEST)
        self.cost *= change
        self.left, self.ended = 0, True

    def stands(self) -> bool:
        """Whether the decision stands although ω can't follow the matrix."""
        return self.left > self.patience

    def state(self) -> dict[str, Any]:
        """Plain numbers."""
        return {name: getattr(self, name) for name in self._REMEMBERED}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned; raises KeyError, TypeError or ValueError for anything else."""
        for name in self._REMEMBERED:
            mine = getattr(self, name)
            value = type(mine)(state.get(name, mine) if name in self._LATELY else state[name])
            if not isfinite(value):
                raise ValueError(f"{name} isn't finite")
            setattr(self, name, value)
        if self.dearness <= 0.0:
            raise ValueError("dearness isn't a ratio")
