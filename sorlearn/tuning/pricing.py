"""What a solve is charged, by what is known of prices in the run: of iterations with PETSc's two kinds of kernels."""

from __future__ import annotations

from math import inf, isfinite
from typing import Any

from ..learners import Choice, Learner
from .cost import COSTS, Charge
from .decision import Decision
from .record import Solve

#: Price of an iteration at ω ≠ 1 where PETSc's kernels for ω = 1 are faster, until it has been measured; and its range.
PRICE, LEAST_PRICE, MOST_PRICE = 1.1, 1.0, 2.0
#: Solves on either side before the price is what was measured; growth of the least time seen, a solve.
SOLVES, RISE = 4, 1.01


class Price:
    """What an iteration at ω ≠ 1 costs in iterations at ω = 1, from the seconds that both take in the run.

    PETSc sweeps matrices with inodes faster at ω = 1 exactly: by 1.02 to 1.7, depending on machine, block size and
    how much of an iteration is sweeping.  The least time an iteration of either kind is kept, slowly forgotten: what
    else the machine does only adds to it.  The ratio is rounded to tenths, so that noise seldom changes a choice.
    """

    def __init__(self) -> None:
        self.least = [0.0, 0.0]  # seconds an iteration at ω = 1, and elsewhere
        self.solves = [0, 0]

    def note(self, omega: float, iterations: int, seconds: float) -> None:
        """Take note of a solve without repairs."""
        i, each = int(omega != 1.0), seconds / (iterations + 1)
        self.solves[i] += 1
        self.least[i] = min(RISE * self.least[i], each) if self.least[i] else each

    def __call__(self, omega: float) -> float:
        """Of one iteration at this ω."""
        if omega == 1.0:
            return 1.0
        if min(self.solves) < SOLVES:
            return PRICE
        return min(max(round(self.least[1] / self.least[0], 1), LEAST_PRICE), MOST_PRICE)

    def state(self) -> dict[str, Any]:
        """Plain numbers."""
        return {"least": list(self.least), "solves": list(self.solves)}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned; raises KeyError, TypeError or ValueError for anything else."""
        (one, other), (ones, others) = state["least"], state["solves"]
        self.least, self.solves = [float(one), float(other)], [int(ones), int(others)]
        if not isfinite(sum(self.least)) or min(self.least) < 0.0:
            raise ValueError("least isn't a time")


class Steady:
    """Keeps the clock's accidents from the learner: an iteration beyond `factor` × the running median is cut there.

    A page fault, a swapped-out rank or a first call that warms caches says nothing about ω.  The median is
    followed by steps of 10 %, in constant memory.
    """

    def __init__(self, factor: float = 4.0):
        self.factor = factor
        self.median = 0.0

    def __call__(self, loss: float, iterations: int) -> float:
        """The loss of a solve with so many iterations, cut; raises nothing."""
        each = loss / (iterations + 1)
        if not self.median:
            self.median = each
        cut = min(each, self.factor * self.median)
        self.median *= 1.1 if each > self.median else 1 / 1.1
        return cut * (iterations + 1)


class Pricing:
    """Turns solves into losses.

    Parameters
    ----------
    cost : str
        Name of the cost.

    Attributes
    ----------
    inodes : bool
        Whether PETSc's kernels for ω = 1 are faster on the matrix of the last solve that was decided.
    """

    def __init__(self, cost: str) -> None:
        self._cost, self._price, self._steady, self.inodes = cost, Price(), Steady(), False

    def note(self, omega: float, solve: Solve) -> None:
        """Follow what iterations take."""
        if solve.inodes and not solve.outcome.rescued:
            self._price.note(omega, solve.outcome.iterations, solve.seconds)

    def loss(self, decision: Decision, solve: Solve) -> float:
        """The cost of a solve that was decided so; raises ValueError where it isn't finite."""
        outcome, self.inodes = solve.outcome, solve.inodes
        clean = not outcome.rescued and outcome.reason > 0
        loss = COSTS[self._cost](Charge(
            iterations=outcome.iterations, before=solve.before if clean else None, after=solve.after,
            target=solve.target, asked=solve.asked, lost=decision.tighten, seconds=solve.seconds,
            flops=solve.flops, price=self.of(decision.omega),
        ))  # fmt: skip
        if not isfinite(loss):
            raise ValueError(f"cost {loss} of a solve with omega = {decision.omega:g}")
        return loss

    def told(self, learner: Learner, omega: float, loss: float, iterations: int) -> float:
        """What the learner is told of a loss: where its costs are smooth, as if kernels were alike."""
        return self._smoothed(learner, omega, self._steady(loss, iterations) if self._cost == "time" else loss)

    def _smoothed(self, learner: Learner, omega: float, loss: float) -> float:
        return loss / self.dearer(omega, 1.0) if learner.smooth else loss

    def dearer(self, omega: float, other: float) -> float:
        """Cost of an iteration at one ω over that at another."""
        return self.of(omega) / self.of(other) if self._cost in ("work", "time") else 1.0

    def of(self, omega: float) -> float:
        """Price of an iteration at this ω, in iterations at ω = 1."""
        return self._price(omega) if self.inodes else 1.0

    @property
    def elsewhere(self) -> float:
        """Price of an iteration at another ω than 1."""
        return self.of(0.0)

    def at_safe(self, learner: Learner, asked: Choice, loss: float) -> float | None:
        """Iterations at the safe ω over those at the learner's choice, in its opinion; None where it has none."""
        loss = self._smoothed(learner, asked.omega, loss)
        expected = learner.at_safe(asked, loss)
        if expected is None or loss <= 0.0:
            return None
        return expected / loss * (1.0 if learner.smooth else self.dearer(asked.omega, learner.space.omega))

    def state(self) -> dict[str, Any]:
        """Plain numbers."""
        return {**self._price.state(), "median": self._steady.median}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned; raises KeyError, TypeError or ValueError for anything else."""
        self._price.restore(state)
        self._steady.median = float(state["median"])
        if not 0.0 <= self._steady.median < inf:
            raise ValueError("median isn't a cost")
