"""Solving once more what a trial ω left unsolved or worse solved, with everything that the user set on the KSP."""

from __future__ import annotations

from typing import Any, NamedTuple

from petsc4py import PETSc


class Outcome(NamedTuple):
    """How a solve ended: KSPConvergedReason, iterations, and the error that ended it, if any."""

    reason: int
    iterations: int
    error: PETSc.Error | None = None


def relative_residual(A: Any, b: Any, x: Any, work: Any) -> float:
    """‖b − Ax‖/‖b‖ in the 2-norm; 0 where b is zero.  Collective."""
    scale = b.norm()
    A.mult(x, work)
    work.aypx(-1.0, b)
    return work.norm() / scale if scale > 0.0 else 0.0


def solve_again(ksp: Any, b: Any, x: Any, nonzero_guess: bool) -> Outcome:
    """Run the KSP again from x (or from zero) inside its own postSolve.

    PETSc allows one embedded solve.  Tolerances, norms, null spaces, monitors and convergence tests are the user's,
    because the KSP is.  Collective; an error inside counts as a failed solve.
    """
    guess, strict = ksp.getInitialGuessNonzero(), ksp.getErrorIfNotConverged()
    ksp.setInitialGuessNonzero(nonzero_guess)
    ksp.setErrorIfNotConverged(False)
    try:
        ksp.solve(b, x)
        return Outcome(ksp.getConvergedReason(), ksp.getIterationNumber())
    except PETSc.Error as error:
        return Outcome(int(PETSc.KSP.ConvergedReason.DIVERGED_BREAKDOWN), ksp.getIterationNumber(), error)
    finally:
        ksp.setErrorIfNotConverged(strict)
        ksp.setInitialGuessNonzero(guess)
