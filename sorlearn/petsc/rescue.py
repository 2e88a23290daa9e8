"""Solving once more what a trial ω left unsolved or worse solved, with everything that the user set on the KSP."""

from __future__ import annotations

from math import log10
from typing import Any, Callable, NamedTuple

import numpy as np
from petsc4py import PETSc

from ..tuning.session import Decision, Session
from . import position
from .collective import Comm

_MAX_IT = int(PETSc.KSP.ConvergedReason.DIVERGED_MAX_IT)
#: KSP types that apply the preconditioner itself even when they solve the transposed system.
_NEVER_TRANSPOSE = ("lsqr",)
#: KSPSolve takes an explicit transpose back; earlier, KSPSolveTranspose would transpose it once more.
_SOLVE_RESTORES = PETSc.Sys.getVersion() >= (3, 26, 0)
_checking = PETSc.Log.Event("SorlearnCheck")


class Outcome(NamedTuple):
    """How a solve ended: KSPConvergedReason, iterations, and the error that ended it, if any."""

    reason: int
    iterations: int
    error: PETSc.Error | None = None


def relative_residual(A: Any, b: Any, x: Any, work: Any, transposed: bool) -> float:
    """‖b − Ax‖/‖b‖ in the 2-norm, of Aᵀ where `transposed`; 0 where b is zero.  Collective."""
    scale = b.norm()
    (A.multTranspose if transposed else A.mult)(x, work)
    work.aypx(-1.0, b)
    return work.norm() / scale if scale > 0.0 else 0.0


def first_residual(ksp: Any) -> float | None:
    """The first residual norm of the last solve, where the history holds no other."""
    history = ksp.getConvergenceHistory()
    return float(history[0]) if len(history) == 1 else None


def _gain(ksp: Any) -> float:
    """Decimal digits that an iteration of the last solve gained in the KSP's norm; 0 where that isn't known."""
    before, after = first_residual(ksp), ksp.getResidualNorm()
    return log10(before / after) / ksp.getIterationNumber() if before and 0.0 < after < before else 0.0


def solve_again(ksp: Any, b: Any, x: Any, nonzero_guess: bool, transposed: bool) -> Outcome:
    """Run the KSP again from x (or from zero) inside its own postSolve.

    PETSc allows one embedded solve.  Tolerances, norms, null spaces, monitors and convergence tests are the user's,
    because the KSP is.  Collective; an error inside counts as a failed solve.
    """
    guess, strict = ksp.getInitialGuessNonzero(), ksp.getErrorIfNotConverged()
    ksp.setInitialGuessNonzero(nonzero_guess)
    ksp.setErrorIfNotConverged(False)
    try:
        (ksp.solveTranspose if transposed else ksp.solve)(b, x)
        return Outcome(ksp.getConvergedReason(), ksp.getIterationNumber())
    except PETSc.Error as error:
        return Outcome(int(PETSc.KSP.ConvergedReason.DIVERGED_BREAKDOWN), ksp.getIterationNumber(), error)
    finally:
        ksp.setErrorIfNotConverged(strict)
        ksp.setInitialGuessNonzero(guess)


class Rescue:
    """Keeps from the application what a trial ω did to a solve: failures, answers that lack digits, excessive cost.

    `prepare` comes before a solve, `finish` after it; in between the KSP may have tolerances that aren't the user's,
    until `give_back`.

    Attributes
    ----------
    safe : float
        The safe ω.
    repairable : bool
        Whether PETSc can repeat a solve at all.
    applied_transpose : bool
        Whether the solve has applied the transpose of the preconditioner.
    nested : bool
        Whether a repeat is running, inside the postSolve of the solve that it repairs.
    omega : float
        ω of this repeat.
    refused : PETSc.Error or None
        The error that ended the last repeat: the application is to get it, as nothing has helped.
    """

    def __init__(self) -> None:
        self.safe = self.omega = 1.0
        self.repairable, self.applied_transpose, self.nested = True, False, False
        self.refused: PETSc.Error | None = None
        self._decision = Decision(1.0, 1.0)
        self._strict = False
        self._tolerances: tuple[float, float, float, int] | None = None
        self._guess: Any = None
        self._work: Any = None

    def reset(self) -> None:
        """Let go of the vectors."""
        for vector in (self._guess, self._work):
            if vector is not None:
                vector.destroy()
        self._guess = self._work = None

    # -- before a solve

    def prepare(self, ksp: Any, x: Any, decision: Decision) -> None:
        """Keep what a repair would need."""
        self.applied_transpose = False
        self._decision = decision
        if decision.tighten or decision.limit:
            self._tighten(ksp, decision.tighten, decision.limit)
        if decision.omega == decision.fallback == self.safe or not self.repairable:
            return
        if ksp.guess_nonzero:
            if self._guess is None:
                self._guess = x.duplicate()
            x.copy(self._guess)
        if ksp.getErrorIfNotConverged():  # the repair comes first; postSolve restores it, then PETSc looks
            self._strict = True
            ksp.setErrorIfNotConverged(False)

    def _tighten(self, ksp: Any, digits: float, limit: float = 0.0) -> None:
        """Ask for more digits, and for no more iterations than the guard allows, until `give_back`."""
        rtol, atol, _, max_it = self._tolerances = ksp.getTolerances()
        shrink = 10.0**-digits
        ksp.setTolerances(
            rtol=max(rtol * shrink, min(rtol, 1e-14)),
            atol=atol * shrink,
            max_it=min(max_it, int(limit)) if limit else max_it,
        )

    def give_back(self, ksp: Any) -> None:
        """The user's settings of the KSP; also where the last solve ended in an error and never came to postSolve."""
        if self._strict:
            self._strict = False
            ksp.setErrorIfNotConverged(True)
        if self._tolerances is not None:
            rtol, atol, _, max_it = self._tolerances
            ksp.setTolerances(rtol=rtol, atol=atol, max_it=max_it)
            self._tolerances = None

    # -- after a solve

    def finish(
        self, ksp: Any, b: Any, x: Any, session: Session | None, comm: Comm, guarded: Callable[..., Any]
    ) -> tuple[int, int, bool]:
        """Continue, repeat or check the solve that has just ended, as need be.  Collective.

        Parameters
        ----------
        session : Session or None
            To be told of it; on rank 0 only, and where learning goes on.
        guarded : callable
            ``guarded(call, *arguments)`` keeps the session's errors from the solve.

        Returns
        -------
        tuple
            All iterations, KSPConvergedReason, whether another ω has had a part in the answer.
        """
        iterations, reason, omega = ksp.getIterationNumber(), ksp.getConvergedReason(), self._decision.omega
        total, rescued = iterations, False
        if self._cut(ksp, reason, iterations):
            outcome = self._safely(ksp, b, x, self._decision.overshoot)
            total, reason, rescued = iterations + outcome.iterations, outcome.reason, outcome.reason > 0
        if reason < 0:
            total, worked = self._repair(ksp, b, x, total)
            reason, rescued = ksp.getConvergedReason(), worked > 0.0
            if session:
                guarded(session.failed, omega, worked)
        elif self._decision.check and total == iterations > 0:
            total += self._check(ksp, b, x, session, comm, guarded)
            rescued = total > iterations
        if total != ksp.getIterationNumber():
            ksp.setIterationNumber(total)
        return total, reason, rescued

    def _cut(self, ksp: Any, reason: int, iterations: int) -> bool:
        """Whether this solve ended at the guard's limit, not at the user's: the safe ω goes on from its iterate."""
        at_limit = 0 < self._decision.limit <= iterations < ksp.max_it
        return at_limit and reason == _MAX_IT and self._decision.omega != self.safe

    def _transposes(self, ksp: Any) -> bool:
        """Whether the KSP multiplies by Aᵀ for A; with `-ksp_use_explicittranspose` its operator is Aᵀ already."""
        may_be = self.applied_transpose or ksp.getType() in _NEVER_TRANSPOSE
        return may_be and position.solves_transposed()

    def _again(self, ksp: Any, b: Any, x: Any, omega: float, nonzero_guess: bool) -> Outcome:
        self.nested, self.omega = True, omega
        try:
            transposed = position.solves_transposed() if _SOLVE_RESTORES else self._transposes(ksp)
            return solve_again(ksp, b, x, nonzero_guess, transposed)
        finally:
            self.nested = False

    def _safely(self, ksp: Any, b: Any, x: Any, digits: float) -> Outcome:
        """Go on from x with the safe ω, some digits past the tolerance: from far away it would have stepped over it."""
        self._tighten(ksp, digits)
        try:
            return self._again(ksp, b, x, self.safe, True)
        finally:
            self.give_back(ksp)

    def _repair(self, ksp: Any, b: Any, x: Any, iterations: int) -> tuple[int, float]:
        """Solve again from the initial guess; (all iterations, ω that worked or 0).  Collective.

        If nothing works, the safe ω comes last, so that the application gets what PETSc's own SOR would have left:
        the same error, where it would have raised one.
        """
        tried, fallback, safe = self._decision.omega, self._decision.fallback, self.safe
        candidates = [omega for omega in dict.fromkeys((fallback, safe)) if omega != tried]
        if candidates and tried == safe:
            candidates.append(safe)
        total = iterations
        for omega in candidates if self.repairable else ():
            nonzero_guess = ksp.guess_nonzero
            if nonzero_guess:
                self._guess.copy(x)
            outcome = self._again(ksp, b, x, omega, nonzero_guess)
            total += outcome.iterations
            self.refused = outcome.error if omega == safe else None
            if outcome.reason > 0:
                return total, omega
        return (ksp.getIterationNumber() if candidates else iterations), 0.0

    def _check(
        self, ksp: Any, b: Any, x: Any, session: Session | None, comm: Comm, guarded: Callable[..., Any]
    ) -> int:
        """Measure the true residual; where it is too large, go on with the safe ω.  Returns its iterations."""
        _checking.begin()
        A, omega = ksp.getOperators()[0], self._decision.omega
        if self._work is None:
            self._work = b.duplicate()
        transposed = self._transposes(ksp)
        relative = relative_residual(A, b, x, self._work, transposed)
        digits = np.zeros(1)
        if session and relative > 0.0:
            digits[0] = guarded(session.accuracy.shortfall, omega, relative, _gain(ksp)) or 0.0
        comm.share(digits)
        iterations = 0
        if digits[0] and self.repairable:
            iterations = self._go_on(ksp, b, x, float(digits[0]))
            after = relative_residual(A, b, x, self._work, transposed)
            if session:
                guarded(session.accuracy.settle, omega, relative, after, float(digits[0]))
        _checking.end()
        return iterations

    def _go_on(self, ksp: Any, b: Any, x: Any, digits: float) -> int:
        """From an answer that may be worse than the safe ω's, let the safe ω judge it; returns its iterations."""
        if self._guess is None:
            self._guess = x.duplicate()
        x.copy(self._guess)
        reason, iterations = ksp.getConvergedReason(), ksp.getIterationNumber()
        outcome = self._safely(ksp, b, x, digits)
        if outcome.reason < 0:
            self._guess.copy(x)
            ksp.setConvergedReason(reason)
            ksp.setIterationNumber(iterations)
        return outcome.iterations
