"""What comes back from a solve, and what is written down of it."""

from __future__ import annotations

from typing import NamedTuple

from ..learners import NO_CONTEXT, Choice, Context
from ..records.journal import finite

#: KSPConvergedReason of a met tolerance: RTOL, ATOL and those of the normal equations.
MET = (1, 2, 3, 9)


class Verdict(NamedTuple):
    """An answer put to the user's own test; all in decimal digits.

    Attributes
    ----------
    lacks : float
        By how much it fails the test as the safe ω computes it; negative where it passes.
    relative : float
        How much larger its residual is, relative to the right-hand side, in the safe ω's test than in its own ω's.
    absolute : float
        The same without the right-hand side, for `-ksp_atol`.
    true : float
        log10 of ‖b − Ax‖/‖b‖ over the relative residual in its own ω's test.
    """

    lacks: float
    relative: float
    absolute: float
    true: float


class Outcome(NamedTuple):
    """How a solve ended, as the application sees it.

    Attributes
    ----------
    iterations : int
        Those of repeats and continuations included.
    reason : int
        KSPConvergedReason.
    rescued : bool
        Whether another ω has had a part in the answer.
    failed : bool
        Whether the solve failed as it was decided.
    worked : float
        ω that a failed solve was repaired with; 0 for none.
    verdict : Verdict or None
        What measuring the answer gave, where it was measured.
    alone : int
        Of a failed solve, the iterations of one attempt: the safe ω's first where it was tried, else the last.
    """

    iterations: int
    reason: int
    rescued: bool = False
    failed: bool = False
    worked: float = 0.0
    verdict: Verdict | None = None
    alone: int = 0

    @property
    def idle(self) -> bool:
        """Whether there was nothing to solve, as with a right-hand side of zero, so that any ω would have done."""
        return self.iterations == 0 and self.reason > 0 and not self.failed

    @property
    def tells(self) -> bool:
        """Whether it says something of ω: reasons other than a met tolerance, as a trust region's, don't."""
        return self.iterations > 0 and (self.failed or self.reason in MET)


class Solve(NamedTuple):
    """What the solver's side knows of a solve that has ended.

    Attributes
    ----------
    outcome : Outcome
        How it ended.
    before, after : float or None
        First and last residual norm of the solve as it was decided, in the norm of the KSP, where known.
    target : float or None
        Residual norm at which KSP's own test was passed, where known.
    asked : float
        Decimal digits that the user's rtol asks for.
    seconds : float
        Wall-clock time between the two hooks; maximum over the ranks with cost `time`, else the root's.
    own : float
        What sorlearn itself has taken in these hooks so far.
    flops : float
        Floating-point operations of this process (0 unless the cost asks for them).
    inodes : bool
        Whether PETSc's kernels for ω = 1 are faster on this matrix.
    """

    outcome: Outcome
    before: float | None = None
    after: float | None = None
    target: float | None = None
    asked: float = 8.0
    seconds: float = 0.0
    own: float = 0.0
    flops: float = 0.0
    inodes: bool = False


class Passed(NamedTuple):
    """Solves that repeated a decision and were like the one that it was made for: their numbers.

    Attributes
    ----------
    solves, iterations : int
        Of those in which there was something to solve.
    idle : int
        The others.
    """

    solves: int = 0
    iterations: int = 0
    idle: int = 0


class SolveRecord(NamedTuple):
    """One solve, as the journal writes it.

    Attributes
    ----------
    solve : int
        Number of the solve in its session, from 1.
    omega : float
        Relaxation factor it was started with.
    iterations : int
        Iterations, those of repeats and continuations included.
    reason : int
        KSPConvergedReason that the application sees.
    cost : float
        What the learner was told.
    seconds : float
        Wall-clock time between the two hooks; maximum over the ranks with cost `time`, else the root's.
    residual_before, residual_after : float or None
        First and last residual norm in the norm of the KSP, where known.
    context : Context
        What was known before the solve.
    propensity : float
        Probability with which ω was drawn.
    explored : bool
        Whether something else looked cheaper.
    rescued : bool
        Whether another ω has had a part in the answer.
    held : bool
        Whether this solve repeats the decision before: nothing was decided, judged or learned, ω followed the matrix at
        most.
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
    held: bool = False

    @classmethod
    def of(cls, number: int, omega: float, solve: Solve, choice: Choice, cost: float, held: bool) -> SolveRecord:
        """What is written of a solve at `omega`, where the learner's choice was this one."""
        outcome = solve.outcome
        return cls(
            solve=number, omega=omega, iterations=outcome.iterations, reason=outcome.reason, cost=cost,
            seconds=solve.seconds, residual_before=finite(solve.before), residual_after=finite(solve.after),
            context=choice.context, propensity=choice.propensity, explored=choice.explored,
            rescued=outcome.rescued, held=held,
        )  # fmt: skip
