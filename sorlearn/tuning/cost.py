"""What a solve did, and what it is charged for.

The default cost, `work`, counts effort per decimal digit of *true* accuracy: an ω that makes the solver stop early
in its preconditioned norm gains nothing by it.
"""

from __future__ import annotations

from math import isfinite
from typing import Callable, NamedTuple

from ..learners import NO_CONTEXT, Context

#: Fewest digits a solve is credited with: a solve that starts almost converged says little about ω.
MIN_DIGITS = 0.5


class SolveRecord(NamedTuple):
    """One solve, as the journal writes it.

    Attributes
    ----------
    solve : int
        Number of the solve in its session, from 1.
    omega : float
        Relaxation factor it was started with.
    iterations : int
        Iterations, those of a repair included.
    reason : int
        KSPConvergedReason that the application sees.
    cost : float
        What the learner was told.
    seconds : float
        Wall-clock time between the two hooks; maximum over the ranks with cost `time`, else the root's.
    residual_before, residual_after : float or None
        First and last residual norm in the norm of the KSP, where known.
    digits : float
        Decimal digits gained in truth, as well as they are known.
    flops : float
        Floating-point operations of this process (0 unless the cost asks for them).
    weight : float
        Cost of one iteration at this ω in units of one at ω = 1 (inode kernels).
    """

    solve: int
    omega: float
    iterations: int
    reason: int
    cost: float = 0.0
    seconds: float = 0.0
    residual_before: float | None = None
    residual_after: float | None = None
    context: Context = NO_CONTEXT
    propensity: float = 1.0
    explored: bool = False
    rescued: bool = False
    digits: float = 1.0
    flops: float = 0.0
    weight: float = 1.0


def work(record: SolveRecord) -> float:
    """Iterations per true digit; the first residual and the set-up count as one iteration."""
    return record.weight * (record.iterations + 1) / max(record.digits, MIN_DIGITS)


def iterations(record: SolveRecord) -> float:
    """The iteration count, as in the paper."""
    return float(max(record.iterations, 1))


def seconds(record: SolveRecord) -> float:
    """Wall-clock seconds."""
    return max(record.seconds, 1e-9)


def flops(record: SolveRecord) -> float:
    """Floating-point operations, in millions; deterministic."""
    return max(record.flops, 1.0) * 1e-6


COSTS: dict[str, Callable[[SolveRecord], float]] = {
    "work": work, "iterations": iterations, "time": seconds, "flops": flops,
}  # fmt: skip


class Steady:
    """Keeps the clock's accidents from the learner: what exceeds `factor` × the running median is cut there.

    A page fault, a swapped-out rank or a first call that warms caches says nothing about ω.  The median is
    followed by steps of 10 %, in constant memory.
    """

    def __init__(self, factor: float = 4.0):
        self.factor = factor
        self.median = 0.0

    def __call__(self, loss: float) -> float:
        """The loss, cut; Raises nothing."""
        if not self.median:
            self.median = loss
        cut = min(loss, self.factor * self.median)
        self.median *= 1.1 if loss > self.median else 1 / 1.1
        return cut


def finite(value: float | None) -> float | None:
    """The number, or None where it is NaN, infinite or unknown."""
    return value if value is not None and isfinite(value) else None
