"""Solves that go by without Python, in fast.c: what it may do by itself, and what it has done."""

from __future__ import annotations

import ctypes
from typing import Any

from petsc4py import PETSc

from ..tuning.record import Outcome, Passed, Solve
from . import fast
from .context import identity
from .rescue import Rescue
from .sor import Sweeps
from .tuned import Tuned

#: PETSC_ERR_PYTHON of either version: behind that is an exception of the application's.
_PYTHON = (-1, 101)


class Unattended:
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

    def attach(self, pc: Any, sweeps: Sweeps, wanted: bool) -> None:
        """Have C sweep, and call Python for the rest, where that is wanted."""
        state = self.state
        self.stop()
        state.kind, state.countdown = b"", 0
        state.flags, state.shift, state.its, state.lits = sweeps.flags, sweeps.shift, sweeps.its, sweeps.lits
        if wanted and fast.library() and not self.attached:
            fast.call("sorlearn_attach", ctypes.c_void_p(pc.handle), ctypes.byref(state))
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
        if self.state.running:
            fast.call("sorlearn_give_back", ctypes.byref(self.state))
            self.state.running = 0

    def hold(self, ksp: Any) -> None:
        """ω is held in this KSP's solves: nothing is to be done in them."""
        if self.attached:
            self._name(ksp)
            self.state.holds = 1

    def _name(self, ksp: Any) -> None:
        self.state.solver, self.state.norm = identity(ksp), int(ksp.norm_type)

    def hand_over(self, ksp: Any, tuned: Tuned, rescue: Rescue) -> None:
        """Let solves repeat the decision without Python, as far as they may.  Collective where it is to be repeated."""
        plan = tuned.plan() if self.attached and tuned.offered else None
        if plan is None or not plan.left:
            return
        state, course = self.state, plan.course
        self._name(ksp)
        rescue.hand_over(ksp, plan.decision, state)
        state.chosen, state.left, state.patience = plan.decision.omega, plan.left, plan.patience
        state.least, state.most, state.rho = plan.least, plan.most, plan.rho
        (state.matrix, state.matrix_state), state.here, (state.row, state.place, state.rows) = tuned.watched()
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
        if state.solves:
            tuned.repeat_as(state.chosen, state.rho, state.left)
            if tuned.session is not None:
                kept = state.kept[: min(state.solves, fast.KEPT)] if tuned.session.log.observed else []
                solves = [Solve(Outcome(one.iterations, one.reason), seconds=one.seconds) for one in kept]
                passed = Passed(state.solves, state.iterations)
                tuned.passed([one.omega for one in kept], solves, passed, state.seconds)
            state.solves = state.iterations = 0
            state.seconds = 0.0
