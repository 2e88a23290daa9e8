"""The guarded solver: an inner KSP whose trials are cut off before they cost more than the safe ω would."""

from __future__ import annotations

import ctypes
from typing import Any

from petsc4py import PETSc

from . import alive, delegate, tolerances, usertest
from .clib import library
from .pc import PC

#: Options of the outer KSP that don't concern the iteration, or that the outer KSP takes care of.
_OUTER = ("type", "python_type", "monitor", "view", "converged_reason", "converged_rate", "error_if_not_converged",
          "guess", "knoll", "norm_type", "pc_side", "diagonal_scale")  # fmt: skip


class KSP:
    """Runs the KSP given under the prefix `sorlearn_` and keeps its total cost near the safe ω's or below.

    Use it as `-ksp_type python -ksp_python_type sorlearn.KSP -sorlearn_ksp_type cg`.  The preconditioner is the outer
    KSP's, `sorlearn.PC` unless `-pc_type` says otherwise.  Tolerances, norm and side, convergence test, monitors, null
    spaces and initial guess are the outer KSP's, too.
    """

    def __init__(self) -> None:
        self.inner: Any = None
        self._outer: Any = None
        self._done = self._last = 0
        self._tests: bool | None = None

    def setFromOptions(self, ksp: Any) -> None:
        """Create the inner KSP and the preconditioner.  Collective."""
        prefix = ksp.getOptionsPrefix() or ""
        pc = ksp.getPC()
        if not (PETSc.Options(prefix).hasName("pc_type") or _tuner(pc)):
            pc.setType("python")
            pc.setPythonContext(PC())
            pc.setFromOptions()
        self.destroy(ksp)
        alive.enter(ksp)
        self.inner = PETSc.KSP().create(ksp.comm)
        self.inner.setOptionsPrefix(prefix + "sorlearn_")
        self.inner.incrementTabLevel(1, parent=ksp)
        self.inner.setPC(pc)
        _set_from(self.inner, prefix)
        delegate.copy_norms(self.inner, ksp)
        delegate.stand_for(ksp, self.inner)
        self.inner.setMonitor(self._monitor)
        self._tests = None

    def setUp(self, ksp: Any) -> None:
        """Have an inner KSP.  Collective."""
        if self.inner is None:
            self.setFromOptions(ksp)
        tuner = _tuner(ksp.getPC())
        if tuner:
            tuner.guarded = True

    def solve(self, ksp: Any, b: Any, x: Any) -> None:
        """Solve with the inner KSP.  Collective."""
        self._run(ksp, b, x, self.inner.solve)

    def solveTranspose(self, ksp: Any, b: Any, x: Any) -> None:
        """Solve the transposed system with the inner KSP.  Collective."""
        self._run(ksp, b, x, self.inner.solveTranspose)

    def _run(self, ksp: Any, b: Any, x: Any, solve: Any) -> None:
        self._hand_on(ksp)
        given, guess = tolerances.read(ksp), ksp.guess_nonzero
        self._outer, self._done, self._last = ksp, 0, 0
        usertest.outer_of[self.inner.handle] = ksp.handle
        failure: BaseException | None = None
        try:
            solve(b, x)
        except PETSc.Error as error:
            failure = _origin(error)
        finally:
            self._outer = None
            del usertest.outer_of[self.inner.handle]
            tolerances.write(ksp, rtol=given.rtol, atol=given.atol)
            ksp.setInitialGuessNonzero(guess)
        if failure:
            raise failure
        ksp.setIterationNumber(self.inner.getIterationNumber())
        delegate.set_residual_norm(ksp, self.inner.getResidualNorm())
        ksp.setConvergedReason(self.inner.getConvergedReason())

    def _hand_on(self, ksp: Any) -> None:
        """Settings that the user may have changed; PETSc doesn't call setUp for them."""
        inner = self.inner
        inner.setOperators(*ksp.getOperators())
        inner.setNormType(ksp.getNormType())
        inner.setPCSide(ksp.getPCSide())
        inner.setComputeSingularValues(ksp.getComputeSingularValues())
        inner.setInitialGuessNonzero(ksp.guess_nonzero)
        tolerances.write(inner, **tolerances.read(ksp)._asdict())
        tests = delegate.has_test(ksp)
        if tests != self._tests:
            self._tests = tests
            inner.setConvergenceTest(self._converged) if tests else delegate.set_no_test(inner)

    def _monitor(self, inner: Any, iteration: int, norm: float) -> None:
        """Show the outer KSP's monitors an iteration; a continued solve goes on counting."""
        if iteration == 0:
            self._done, self._last = self._last, self._last
        self._show(iteration, norm)
        self._outer.logConvergenceHistory(norm)
        self._outer.monitor(self._last, norm)

    def _show(self, iteration: int, norm: float) -> None:
        """Have the outer KSP say where the inner one is; some types test before they monitor, and some after."""
        if iteration:
            self._last = self._done + iteration
        self._outer.setIterationNumber(self._last)
        delegate.set_residual_norm(self._outer, norm)

    def _converged(self, inner: Any, iteration: int, norm: float) -> Any:
        """The outer KSP's test; it measures against the right-hand side where a guess isn't zero."""
        if iteration == 0:
            now = tolerances.read(inner)
            tolerances.write(self._outer, rtol=now.rtol, atol=now.atol)
            self._outer.setInitialGuessNonzero(inner.getInitialGuessNonzero())
        self._show(iteration, norm)
        return delegate.ask_test(self._outer, iteration, norm)

    def buildResidual(self, ksp: Any, t: Any, v: Any) -> None:
        """v = b − Ax of the inner iterate.  Collective."""
        self.inner.buildResidual(v)

    def view(self, ksp: Any, viewer: Any) -> None:
        """Show the inner KSP below the outer one, to those who read text."""
        if self.inner is not None and viewer.getType() == PETSc.Viewer.Type.ASCII:
            self.inner.view(viewer)

    def reset(self, ksp: Any) -> None:
        """Let go of the operators."""
        if self.inner is not None:
            self.inner.reset()

    def destroy(self, ksp: Any) -> None:
        """Destroy the inner KSP."""
        alive.leave(ksp)
        delegate.stand_alone(ksp)
        if self.inner is not None:
            self.inner.destroy()
            self.inner = None


def _origin(error: BaseException) -> BaseException:
    """What went wrong at first: newer PETScs wrap an exception once for each solver that it passes."""
    while isinstance(error, PETSc.Error) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _tuner(pc: Any) -> PC | None:
    """The sorlearn.PC in this PC, if there is one."""
    context = pc.getPythonContext() if pc.getType() == "python" else None
    return context if isinstance(context, PC) else None


def _set_from(inner: Any, prefix: str) -> None:
    """Configure the inner KSP by its own options and, where it has none, by the outer KSP's."""
    database = PETSc.Options()
    own, outer = f"{prefix}sorlearn_ksp_", f"{prefix}ksp_"
    lent = []
    for name, value in database.getAll().items():
        option = name[len(outer) :]
        if name.startswith(outer) and not option.startswith(_OUTER) and not database.hasName(own + option):
            database.setValue(own + option, value)
            lent.append(option)
    try:
        inner.setFromOptions()
    finally:
        for option in lent:
            used = ctypes.c_int()
            library().PetscOptionsUsed(None, (own + option).encode(), ctypes.byref(used))
            if used.value:
                database.getString(outer + option, "")  # so that -options_left doesn't list it
            database.delValue(own + option)
