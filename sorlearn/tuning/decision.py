"""What rank 0 tells the others before a solve."""

from __future__ import annotations

from math import inf, nan
from typing import NamedTuple

from ..learners.course import Course


class Decision(NamedTuple):
    """All are numbers, so that it travels as one small array; with it every rank judges the answer alike.

    Attributes
    ----------
    omega : float
        Relaxation factor to solve with.
    fallback : float
        ω to repair a failure with: the safe one or, where that has failed, the one that worked best.
    check : float
        Whether to put the answer to the user's own test, as the safe ω computes it.
    tighten, tighten_atol : float
        Decimal digits by which rtol and atol are tightened, so that the answer passes that test.
    repeats : float
        Further solves in which this decision stands, because another would cost more than it can gain.
    limit : float
        Iterations after which a trial is cut off and continued with the safe ω; 0 for no limit.
    true_level : float
        log10 of the safe ω's ‖b − Ax‖/‖b‖ over its own test's residual; NaN where that isn't known.
    least, most : float
        Iterations below and above which the answer is put to the test although that wasn't planned.
    skewed : float
        Whether the matrix isn't symmetric.
    stopped : float
        Whether learning has stopped for good.
    """

    omega: float
    fallback: float
    check: float = 0.0
    tighten: float = 0.0
    tighten_atol: float = 0.0
    repeats: float = 0.0
    limit: float = 0.0
    true_level: float = nan
    least: float = 0.0
    most: float = inf
    skewed: float = 0.0
    stopped: float = 0.0


class Plan(NamedTuple):
    """How a decision may be repeated without anybody looking.

    Attributes
    ----------
    left : int
        Solves that may repeat it.
    decision : Decision
        What is repeated.
    least, most : float
        Iterations of a solve that is like the one that it was made for.
    rho : float
        ρ that its ω stands for.
    course : Course or None
        How ω follows ρ.
    u_range : (float, float)
        Values of log(2/ω − 1) for which the other numbers of the decision hold.
    patience : int
        Repeats that may be left where ω can't follow.
    drift, rate : float
        Fall of log(2/ω − 1) since the decision was made, and the power of its exponential that iterations may rise by.
    """

    left: int
    decision: Decision
    least: float
    most: float
    rho: float
    course: Course | None
    u_range: tuple[float, float]
    patience: int
    drift: float
    rate: float

    def numbers(self) -> list[float]:
        """All of it, to be sent."""
        head = self.left, *self.decision, self.least, self.most, self.rho
        return [*head, *(self.course or _NO_COURSE), *self.u_range, self.patience, self.drift, self.rate]

    @classmethod
    def of(cls, numbers: list[float]) -> Plan:
        """The plan of such numbers."""
        decision = Decision(*numbers[1 : 1 + _DECISION])
        least, most, rho, *course, u_least, u_most, patience, drift, rate = numbers[1 + _DECISION :]
        moves = Course(*course) if course != list(_NO_COURSE) else None
        return cls(int(numbers[0]), decision, least, most, rho, moves, (u_least, u_most), int(patience), drift, rate)


_NO_COURSE = Course(*(-1.0,) * len(Course._fields))
_DECISION = len(Decision._fields)
#: What is sent where there is none.
NO_PLAN = Plan(0, Decision(1.0, 1.0), 0.0, 0.0, 0.0, None, (0.0, 0.0), 0, 0.0, 0.0)
