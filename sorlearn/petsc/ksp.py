"""The guarded solver: an inner KSP whose trials are cut off before they cost more than the safe ω would."""

from __future__ import annotations

import atexit
import ctypes
from typing import Any

from petsc4py import PETSc

from .clib import library
from .pc import PC

_NORM, _SIDE = PETSc.KSP.NormType, PETSc.PC.Side
#: Norms that PETSc's Python KSP doesn't offer by itself, with low priorities so that none becomes the default; and
#: the left side first, so that the right one is the user's wish or the inner KSP's default.
_NORMS = (
    (_NORM.NATURAL, _SIDE.LEFT, 1), (_NORM.NONE, _SIDE.LEFT, 2), (_NORM.NONE, _SIDE.RIGHT, 1),
    (_NORM.UNPRECONDITIONED, _SIDE.LEFT, 4),
)  # fmt: skip
#: Priority above all others: the inner KSP's default is the outer one's.
_DEFAULT = 5
#: PC_SIDE_DEFAULT: the side that the KSP type takes for the norm.
_ANY_SIDE = -1
#: Options of the outer KSP that don't concern the iteration, or that the outer KSP takes care of.
_OUTER = ("type", "python_type", "monitor", "view", "converged_reason", "converged_rate", "error_if_not_converged",
          "guess")  # fmt: skip
_live: dict[int, KSP] = {}


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

    def setFromOptions(self, ksp: Any) -> None:
        """Create the inner KSP and the preconditioner.  Collective."""
        prefix = ksp.getOptionsPrefix() or ""
        pc = ksp.getPC()
        if not PETSc.Options(prefix).hasName("pc_type"):
            pc.setType("python")
            pc.setPythonContext(PC())
            pc.setFromOptions()
        self.destroy(ksp)
        _live[ksp.handle] = self
        self.inner = PETSc.KSP().create(ksp.comm)
        self.inner.setOptionsPrefix(prefix + "sorlearn_")
        self.inner.incrementTabLevel(1, parent=ksp)
        self.inner.setPC(pc)
        _set_from(self.inner, prefix)
        for norm, side, priority in (*_NORMS, (self.inner.getNormType(), self.inner.getPCSide(), _DEFAULT)):
            library().KSPSetSupportedNorm(ctypes.c_void_p(ksp.handle), int(norm), int(side), priority)
        self.inner.setMonitor(self._monitor)
        self.inner.setConvergenceTest(self._converged)

    def setUp(self, ksp: Any) -> None:
        """Hand on norm and side.  Collective."""
        if self.inner is None:
            self.setFromOptions(ksp)
        context = ksp.getPC().getPythonContext() if ksp.getPC().getType() == "python" else None
        if isinstance(context, PC):
            context.guarded = True
        self.inner.setNormType(ksp.getNormType())
        self.inner.setPCSide(_SIDE.RIGHT if ksp.getPCSide() == _SIDE.RIGHT else _ANY_SIDE)

    def solve(self, ksp: Any, b: Any, x: Any) -> None:
        """Solve with the inner KSP.  Collective."""
        self._run(ksp, b, x, self.inner.solve)

    def solveTranspose(self, ksp: Any, b: Any, x: Any) -> None:
        """Solve the transposed system with the inner KSP.  Collective."""
        self._run(ksp, b, x, self.inner.solveTranspose)

    def _run(self, ksp: Any, b: Any, x: Any, solve: Any) -> None:
        self.inner.setOperators(*ksp.getOperators())  # PETSc doesn't call setUp for another matrix
        rtol, atol, divtol, max_it = ksp.getTolerances()
        self.inner.setTolerances(rtol=rtol, atol=atol, divtol=divtol, max_it=max_it)
        self.inner.setInitialGuessNonzero(ksp.guess_nonzero)
        self._outer, self._done, self._last = ksp, 0, 0
        try:
            solve(b, x)
        finally:
            self._outer = None
            ksp.setTolerances(rtol=rtol, atol=atol)
        ksp.setIterationNumber(self.inner.getIterationNumber())
        ksp.setResidualNorm(self.inner.getResidualNorm())
        ksp.setConvergedReason(self.inner.getConvergedReason())

    def _monitor(self, inner: Any, iteration: int, norm: float) -> None:
        """Show the outer KSP's monitors an iteration; a continued solve goes on counting."""
        if iteration == 0:
            self._done, self._last = self._last, self._last
        self._last = self._done + iteration
        outer = self._outer
        outer.setIterationNumber(self._last)
        outer.setResidualNorm(norm)
        outer.logConvergenceHistory(norm)
        outer.monitor(self._last, norm)

    def _converged(self, inner: Any, iteration: int, norm: float) -> Any:
        """The outer KSP's test; it measures against the right-hand side where a guess isn't zero."""
        if iteration == 0:
            rtol, atol, _, _ = inner.getTolerances()
            self._outer.setTolerances(rtol=rtol, atol=atol)
            self._outer.setInitialGuessNonzero(inner.getInitialGuessNonzero())
        return self._outer.callConvergenceTest(iteration, norm)

    def buildResidual(self, ksp: Any, t: Any, v: Any) -> None:
        """v = b − Ax of the inner iterate.  Collective."""
        self.inner.buildResidual(v)

    def view(self, ksp: Any, viewer: Any) -> None:
        """Show the inner KSP below the outer one."""
        if self.inner is not None:
            self.inner.view(viewer)

    def reset(self, ksp: Any) -> None:
        """Let go of the operators."""
        if self.inner is not None:
            self.inner.reset()

    def destroy(self, ksp: Any) -> None:
        """Destroy the inner KSP."""
        _live.pop(ksp.handle, None)
        if self.inner is not None:
            self.inner.destroy()
            self.inner = None


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


def _at_exit() -> None:
    """Let go of solvers that are still alive: on 3.18 they would crash the interpreter's end."""
    if PETSc.Sys.isInitialized() and not PETSc.Sys.isFinalized():
        for handle in list(_live):
            library().KSPSetType(ctypes.c_void_p(handle), b"preonly")


atexit.register(_at_exit)
