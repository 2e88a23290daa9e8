"""What a solve is charged for.

The default cost, `work`, counts effort per decimal digit of what the *user's* test asks for: an ω that makes the
solver stop early in its own preconditioned norm gains nothing by it.
"""

from __future__ import annotations

from math import isfinite, log10
from typing import Any, Callable, NamedTuple

#: Fewest digits a solve is credited with: a solve that starts almost converged says little about ω.
MIN_DIGITS = 0.5
#: Digits credited where nobody says how many were asked for.
USUAL_DIGITS = 8.0
#: Price of an iteration at ω ≠ 1 where PETSc's kernels for ω = 1 are faster, until it has been measured; and its range.
PRICE, LEAST_PRICE, MOST_PRICE = 1.1, 1.0, 2.0
#: Solves on either side before the price is what was measured; growth of the least time seen, a solve.
SOLVES, RISE = 4, 1.01


class Charge(NamedTuple):
    """What the costs are computed from.

    Attributes
    ----------
    iterations : int
        Repairs included.
    before, after : float or None
        First and last residual norm in the norm of the KSP; None where another ω has had a part, or unknown.
    target : float or None
        Residual norm at which KSP's own test is passed; None where that isn't known.
    asked : float
        Decimal digits that the user's rtol asks for.
    lost : float
        Digits by which the tolerance had to be tightened at this ω.
    seconds, flops : float
        Of the whole solve.
    price : float
        Cost of an iteration at this ω in iterations at ω = 1.
    """

    iterations: int
    before: float | None = None
    after: float | None = None
    target: float | None = None
    asked: float = USUAL_DIGITS
    lost: float = 0.0
    seconds: float = 0.0
    flops: float = 0.0
    price: float = 1.0


def work(charge: Charge) -> float:
    """Iterations per digit asked for; the first residual and the set-up count as one iteration.

    What the last iteration gains beyond the tolerance is deducted, up to one iteration: a residual that drops far
    below the tolerance at the end, as in tiny systems, is luck of the last step.
    """
    before, after, target, k = charge.before, charge.after, charge.target, float(charge.iterations)
    if not before or after is None:
        digits = charge.asked
    elif target and target < before:
        digits = log10(before / target) - charge.lost
        beyond = log10(target / after) if after > 0.0 else digits
        if 0.0 < after < before:
            k -= min(max(beyond, 0.0) * k / log10(before / after), 1.0)
    else:
        digits = (log10(before / after) if after > 0.0 else charge.asked) - charge.lost
    return charge.price * (k + 1.0) / max(digits, MIN_DIGITS)


def iterations(charge: Charge) -> float:
    """The iteration count, as in the paper."""
    return float(max(charge.iterations, 1))


def seconds(charge: Charge) -> float:
    """Wall-clock seconds."""
    return max(charge.seconds, 1e-9)


def flops(charge: Charge) -> float:
    """Floating-point operations, in millions; deterministic."""
    return max(charge.flops, 1.0) * 1e-6


COSTS: dict[str, Callable[[Charge], float]] = {
    "work": work, "iterations": iterations, "time": seconds, "flops": flops,
}  # fmt: skip


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
    """Keeps the clock's accidents from the learner: what exceeds `factor` × the running median is cut there.

    A page fault, a swapped-out rank or a first call that warms caches says nothing about ω.  The median is
    followed by steps of 10 %, in constant memory.
    """

    def __init__(self, factor: float = 4.0):
        self.factor = factor
        self.median = 0.0

    def __call__(self, loss: float) -> float:
        """The loss, cut; raises nothing."""
        if not self.median:
            self.median = loss
        cut = min(loss, self.factor * self.median)
        self.median *= 1.1 if loss > self.median else 1 / 1.1
        return cut
