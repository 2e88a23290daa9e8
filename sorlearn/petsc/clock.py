"""What is measured of one solve: time, work, and what the KSP says when it has ended."""

from __future__ import annotations

from math import log10
from time import perf_counter
from typing import Any

from petsc4py import PETSc

from ..tuning.decision import Decision
from ..tuning.record import Outcome, Solve
from .rescue import first_residual

#: Digits that are asked for where nobody says how many.
_DIGITS = 8.0


class Clock:
    """Runs from preSolve's end to postSolve's beginning; what lies outside is sorlearn's own time.

    Attributes
    ----------
    seconds : float
        Of the last solve.
    """

    def __init__(self) -> None:
        self._began = self._before = self.seconds = self._flops = 0.0
        self._counts = False

    def start(self, entered: float, counts: bool) -> None:
        """The solve begins; preSolve was `entered` then, and flops count or don't."""
        self._counts = counts
        self._flops = PETSc.Log.getFlops() if counts else 0.0
        self._began = perf_counter()
        self._before = self._began - entered

    def resume(self, elapsed: float) -> None:
        """A solve ends whose beginning took so long, and was nobody's business."""
        self._began, self._before, self._counts = perf_counter() - elapsed, 0.0, False

    def stop(self) -> None:
        """The solve has ended."""
        self.seconds = perf_counter() - self._began

    def own(self) -> float:
        """Seconds so far that sorlearn itself took for the solve."""
        return self._before + perf_counter() - self._began - self.seconds

    def plain(self, iterations: int, reason: int) -> Solve:
        """The solve that has ended, where nothing else is asked of it."""
        return Solve(Outcome(iterations, reason), seconds=self.seconds)

    def told(self, ksp: Any, decision: Decision) -> Solve:
        """The solve that has ended as the KSP tells it; its outcome is still to be found out."""
        before, after, (rtol, atol, _, _) = first_residual(ksp), ksp.getResidualNorm(), ksp.getTolerances()
        target = None
        if before and not ksp.guess_nonzero:
            target = max(rtol * 10.0**-decision.tighten * before, atol * 10.0**-decision.tighten_atol)
        asked = -log10(rtol) if 0.0 < rtol < 1.0 else _DIGITS
        flops = PETSc.Log.getFlops() - self._flops if self._counts else 0.0
        outcome = Outcome(ksp.getIterationNumber(), ksp.getConvergedReason())
        return Solve(outcome, before, after, target, asked, self.seconds, flops=flops)
