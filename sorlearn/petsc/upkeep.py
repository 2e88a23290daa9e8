"""A wrapped PC and its set-up: for which matrix it is, and whether it is kept for the next one."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

from petsc4py import PETSc

from ..records.lag import LagRecord, Tally
from ..tuning.lag import Renewal
from ..tuning.record import Outcome
from .collective import Comm
from .context import identity
from .fast import State
from .likeness import Likeness
from .meter import Meter
from .wrapped import Wrapped

#: Where nobody tests an answer, a kept set-up isn't trusted for a matrix so unlike: a stationary outer method diverges
#: with a part of its preconditioner that is off by a factor of two.
_APART = 0.4
MAX_IT = int(PETSc.KSP.ConvergedReason.DIVERGED_MAX_IT)
_setting_up = PETSc.Log.Event("SorlearnSetUp")
_looking = PETSc.Log.Event("SorlearnLook")


def _version(pc: Any) -> tuple[Any, ...]:
    """Which matrix it is, and in which state."""
    P = pc.getOperators()[1]
    return identity(P), P.stateGet()


class Upkeep:
    """Sets up and keeps; all ranks do the same.

    Parameters
    ----------
    every : int
        Set up after so many solves; 0 to keep a set-up while that pays.
    tally : Tally
        What is counted for the summary.
    wrapped : Wrapped
        The PC that is set up.
    state : fast.State
        Where fast.c finds that PC, and counts applications.
    check : callable, optional
        Asked of a matrix before it is set up for; raises where it can't be.

    Attributes
    ----------
    kept, new : bool
        Whether the set-up was for another matrix; whether it was made from nothing for this one.
    set_ups : int
        How many there have been.
    setting_up : float
        Seconds that they took on this rank.
    rule : Renewal
        What decides.
    meter : Meter
        What solves take.
    """

    def __init__(self, every: int, tally: Tally, wrapped: Wrapped, state: State,
                 check: Callable[[Any], None] | None = None) -> None:  # fmt: skip
        self.wrapped, self.rule, self.meter, self._state = wrapped, Renewal(every, tally), Meter(state, tally), state
        self.set_ups, self.setting_up = 0, 0.0
        self.kept = self.new = False
        self._every, self._tally, self._check, self._likeness = every, tally, check, Likeness()
        self._comm: Comm | None = None
        self._decided, self._first = False, True  # for this matrix; the first solve with it
        self._distance: float | None = None
        self._matrix: tuple[Any, ...] = ()  # the last one, and its version

    @property
    def ready(self) -> bool:
        """Whether there is a set-up."""
        return bool(self._state.inner)

    def destroy(self) -> None:
        """Let go of what PETSc holds."""
        self._state.inner = None
        self.wrapped.destroy()
        self._likeness.reset()

    # -- set-ups

    def set_up(self, pc: Any, anew: bool = False) -> None:
        """Set up for the matrix at hand.  Collective."""
        if self._check is not None:
            self._check(pc.getOperators()[1])
        began = perf_counter()
        anew = anew or not self.ready or self.rule.doubted
        self._state.inner = None  # until it is set up, which may end in an error
        _setting_up.begin()
        try:
            self.wrapped.set_up(pc, anew)
        finally:
            _setting_up.end()
        self._state.inner = self.wrapped.pc.handle
        self.meter.readings.set_up = took = perf_counter() - began
        self.set_ups, self.setting_up = self.set_ups + 1, self.setting_up + took
        self.rule.renewed()
        self.kept, self.new, self.meter.applications = False, anew, 0
        if self._looks():
            self._likeness.keep(pc.getOperators()[1])

    def matrix_changed(self, pc: Any, seen: bool, alone: bool) -> None:
        """Set up, or keep the set-up.  Collective.

        Parameters
        ----------
        seen : bool
            Whether KSP says where a solve ends, and what came of it.
        alone : bool
            Whether nobody tests an answer.
        """
        self._matrix = _version(pc)
        if not self.ready:
            self._comm = Comm(pc.comm)
            self.set_up(pc, anew=True)
            return
        self._first = self._decided = True
        distance = self._look(pc, not seen)
        trusted = seen or not alone and self.meter.telling and (distance is None or distance <= _APART)
        if self.rule.due(distance, trusted):
            self.set_up(pc)
        else:
            self.kept = True
            self.wrapped.keep(pc)

    def reuse(self, pc: Any) -> None:
        """The application has said that the set-up stays, so that PETSc doesn't say when the matrix changes."""
        version = _version(pc)
        new = version != self._matrix
        self.kept, self._first, self._matrix = self.kept or new, self._first or new, version

    def solve_begins(self, pc: Any) -> None:
        """Another right-hand side may be reason enough to set up.  Collective."""
        if self.kept and not self._decided and self.rule.due(self._distance):
            self.set_up(pc)

    def start_over(self, pc: Any, anew: bool) -> None:
        """Give a solve with the kept set-up up.  Collective."""
        self.rule.abandoned(self.meter.cost(self.kept))
        self.meter.given_up += self.meter.applications
        self.set_up(pc, anew)

    def was_set_up(self) -> None:
        """It was set up for the matrix at hand without anybody looking."""
        self.set_ups += 1
        self.rule.rested()
        self.kept = self.new = False

    def _looks(self) -> bool:
        return not self._every and self.meter.looks

    def _look(self, pc: Any, scaled: bool) -> float | None:
        """How unlike the matrix is to that of the set-up, where that is cheap."""
        self._distance = None
        if self._looks():
            began = perf_counter()
            _looking.begin()
            self._distance = self._likeness.distance(pc.getOperators()[1], scaled)
            _looking.end()
            self.meter.readings.look = perf_counter() - began
        return self._distance

    # -- what solves cost

    def begin(self) -> None:
        """A solve begins."""
        self._decided = False
        self.meter.begin()

    def applied(self, seconds: float, alone: bool) -> None:
        """An application took this long; `alone` where nobody says which solve it belongs to.  Collective."""
        if self.meter.applications == 1:
            self.meter.applied_first(seconds, kept=self.kept, fresh=not self.rule.age)
            self.wrapped.settle()
        elif alone:
            self.meter.readings.applied()

    def passed(self, outcome: Outcome, applications: int, seconds: float) -> LagRecord:
        """So did a solve that was set up for, and all is well."""
        self.was_set_up()
        if applications:
            self.rule.spent(applications - 1.0, kept=False)
        else:
            self.rule.passed_by()
        self.meter.applications, self.meter.given_up = applications, 0
        record = self._record(outcome)._replace(seconds=seconds)
        self.meter.applications = 0
        return record

    def count(self, outcome: Outcome | None, wanted: bool, last: bool = False) -> LagRecord | None:
        """Close a solve or, where nobody says when one ends, all since the last matrix.

        Collective, but for the `last` before the set-up is let go of.

        Returns
        -------
        LagRecord or None
            None unless it is wanted, and where no solve ended and nothing was applied.
        """
        rule, meter = self.rule, self.meter
        meter.settle()
        if not meter.applications:
            if outcome is None:
                return None
            rule.passed_by()
            return self._record(outcome) if wanted else None
        if not (rule.age or last):
            assert self._comm is not None
            rule.worth = meter.agree(self._comm)
        cost = meter.count(self.kept, rule.fresh)
        helpless = outcome is not None and outcome.failed and not outcome.worked
        whole = outcome is None or not outcome.rescued or outcome.worked > 0.0
        rule.spent(cost, kept=self.kept, first=self._first, whole=whole and not helpless)
        if helpless:
            rule.failed(outcome is not None and outcome.reason != MAX_IT)
        elif outcome is not None:
            rule.worked()
        if outcome is not None and outcome.iterations and not outcome.rescued:
            meter.per_iteration = max(meter.applications / outcome.iterations, 1.0)
        record = self._record(outcome) if wanted else None
        self._first, meter.applications = False, 0
        return record

    def _record(self, outcome: Outcome | None) -> LagRecord:
        age, meter = self.rule.age + self.rule.idle, self.meter
        before = meter.readings.set_up if age == 1 and not meter.given_up else 0.0  # that of a repair was in the solve
        return LagRecord(
            solve=self._tally.solves,
            age=age,
            iterations=outcome.iterations if outcome else None,
            reason=outcome.reason if outcome else None,
            applications=meter.applications + meter.given_up,
            seconds=meter.seconds() + before if outcome else None,
            worth=self.rule.worth,
            distance=self._distance if self.kept else None,
            rescued=outcome.rescued if outcome else False,
        )
