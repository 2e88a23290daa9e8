"""Solves that go by without Python, in fast.c: what it may do by itself, and what it has done."""

from __future__ import annotations

import ctypes
from typing import Any

from petsc4py import PETSc

from ..records.lag import LagRecord
from ..tuning.cost import LOOSE
from ..tuning.decision import Decision
from ..tuning.record import Outcome, Passed, Solve
from . import fast
from .borrowed import Borrowed
from .clib import convergence_test
from .context import identity
from .rescue import Rescue
from .sor import Sweeps
from .tuned import Tuned
from .upkeep import Upkeep

#: PETSC_ERR_PYTHON of either version: behind that is an exception of the application's.
_PYTHON = (-1, 101)
#: Callbacks that fast.c stands in for, unless a subclass has its own.
_REPLACED = ("setUp", "apply", "applyTranspose", "preSolve", "postSolve")


def overrides(context: Any, kind: type) -> bool:
    """Whether a PC's Python context is of a subclass that has callbacks of its own, which fast.c would pass by."""
    return any(getattr(type(context), name) is not getattr(kind, name) for name in _REPLACED)


class Attached:
    """One PC's share in fast.c, where that is there.

    Attributes
    ----------
    state : fast.State
        What C and Python both know.
    attached : bool
        Whether C stands in for petsc4py's callbacks.
    """

    def __init__(self) -> None:
        self.state = fast.State()
        self.attached = False
        self._ksp = Borrowed(self._forget)

    def attach(self, pc: Any, wanted: bool) -> None:
        """Have C do what it can by itself, and call Python for the rest, where that is wanted."""
        self.stop()
        if wanted and fast.library() and not self.attached:
            fast.call("sorlearn_attach", ctypes.c_void_p(pc.handle), ctypes.byref(self.state))
            self.attached = True
        elif not wanted:
            self.detach(pc)

    def detach(self, pc: Any) -> None:
        """Leave the PC to petsc4py again."""
        if self.attached and self.state.pc == pc.handle:
            fast.call("sorlearn_detach", ctypes.c_void_p(pc.handle), ctypes.byref(self.state))
            self.attached = False

    def stop(self) -> None:
        """Have Python called in every solve; a solve under way that will never end gives its KSP back."""
        self.state.left = self.state.holds = 0
        if self.state.running and self._ksp.get() is not None:
            fast.call("sorlearn_give_back", ctypes.byref(self.state.loan))
        self.state.running, self.state.ksp = 0, None

    def _forget(self) -> None:
        """The KSP isn't there any more; an error that ended its solve has given back what it had."""
        self.state.ksp = self.state.loan.ksp = None

    def name(self, ksp: Any) -> None:
        """It is this KSP that all is said of."""
        self._ksp.hold(ksp)
        self.state.solver, self.state.norm = identity(ksp), int(ksp.norm_type)
        self.state.test = convergence_test(ksp.handle)[0]


class Unattended(Attached):
    """Sweeps, and solves that repeat a decision."""

    def sweep(self, pc: Any, sweeps: Sweeps, wanted: bool) -> None:
        """Have C sweep, and call Python for the rest, where that is wanted."""
        state = self.state
        state.kind, state.countdown = b"", 0
        state.flags, state.shift, state.its, state.lits = sweeps.flags, sweeps.shift, sweeps.its, sweeps.lits
        self.attach(pc, wanted)

    def hold(self, ksp: Any) -> None:
        """ω is held in this KSP's solves: nothing is to be done in them, unless the next may ask for more than this."""
        if self.attached and ksp.rtol <= LOOSE:
            self.name(ksp)
            self.state.holds = 1

    def hand_over(self, ksp: Any, tuned: Tuned, rescue: Rescue) -> None:
        """Let solves repeat the decision without Python, as far as they may.  Collective where it is to be repeated."""
        plan = tuned.plan() if self.attached and tuned.offered else None
        if plan is None or not plan.left:
            return
        state, course = self.state, plan.course
        self.name(ksp)
        rescue.hand_over(ksp, plan.decision, state)
        state.chosen, state.left, state.patience = plan.decision.omega, plan.left, plan.patience
        state.least, state.most, state.rho = plan.least, plan.most, plan.rho
        (state.matrix, state.matrix_state), state.here, (state.row, state.place, state.rows) = tuned.watched()
        state.drift, state.rate = plan.drift, plan.rate
        if course is None:
            state.row = -1
            return
        state.u, state.gap, state.scale, state.epsilon = course.u, course.gap, course.scale, course.epsilon
        state.weight, state.farthest = course.weight, course.farthest
        state.u_low, state.u_high, state.u_least, state.u_most = course.u_least, course.u_most, *plan.u_range

    def take_over(self, tuned: Tuned, rescue: Rescue) -> float:
        """Let Python finish a solve that isn't what it should be; returns the seconds that it took."""
        state = self.state
        self.take_back(tuned)
        tuned.repeat_as(state.chosen, state.rho, state.left)
        rescue.take_over(tuned.decision, bool(state.limited), bool(state.transposed))
        self.stop()
        return float(state.elapsed)

    def returns(self, error: PETSc.Error) -> bool:
        """Whether C returns this error's code; petsc4py alone has one for all that is raised in Python."""
        if self.attached and error.ierr not in _PYTHON and error.__cause__ is None:
            self.state.error = error.ierr
        return bool(self.state.error)

    def take_back(self, tuned: Tuned) -> None:
        """Account for what has gone by."""
        state = self.state
        if state.solves or state.idle:
            tuned.repeat_as(state.chosen, state.rho, state.left)
            if tuned.session is not None:
                kept = state.kept[: min(state.solves + state.idle, fast.KEPT)] if tuned.session.log.observed else []
                solves = [Solve(Outcome(one.iterations, one.reason), seconds=one.seconds) for one in kept]
                passed = Passed(state.solves, state.iterations, state.idle)
                tuned.passed([one.omega for one in kept], solves, passed, state.seconds)
            state.solves = state.iterations = state.idle = 0
            state.seconds = 0.0


class UnattendedUpkeep(Attached):
    """Applications of a wrapped PC, and solves that are all set up for."""

    def __init__(self) -> None:
        super().__init__()
        self.state.wraps = 1

    def rest(self, ksp: Any, rescue: Rescue, decision: Decision, solves: int) -> None:
        """Have so many solves set up for without Python."""
        state = self.state
        self.name(ksp)
        rescue.hand_over(ksp, decision, state)
        state.chosen, state.left, state.fresh = decision.omega, solves, 0
        state.least, state.most, state.drift, state.easy = 0.0, float(2**53), 0.0, 0.0

    def take_back(self, upkeep: Upkeep, wanted: bool) -> list[LagRecord]:
        """Account for what has gone by; returns what is to be written down, where that is wanted."""
        state = self.state
        if not (state.solves or state.fresh or state.running):
            return []
        passed = state.kept[: state.solves]
        found = [upkeep.passed(Outcome(one.iterations, one.reason), one.applications, one.seconds) for one in passed]
        for _ in range(bool(state.fresh) + bool(state.running)):  # not solved with, or not to an end
            upkeep.was_set_up()
        state.solves = state.iterations = state.fresh = 0
        return found if wanted else []

    def take_over(self, rescue: Rescue, decision: Decision) -> float:
        """Let Python finish a solve that isn't what it should be; returns the seconds that it took."""
        rescue.take_over(decision, False, bool(self.state.transposed))
        self.stop()
        return float(self.state.elapsed)
