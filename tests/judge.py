"""A PC for applications under test: after every solve PETSc's own SOR solves the same system, and is compared."""

from __future__ import annotations

import atexit
import json
import os

from petsc4py import PETSc
from systems import true_residual

import sorlearn

#: File that a judged C application leaves its verdicts in.
FILE = "SORLEARN_TEST_JUDGE"
_all: list[Judge] = []


class Judge(sorlearn.PC):
    """sorlearn's PC, which notes (true residual)/(native SOR's true residual) of every solve in `ratios`."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.ratios, self.iterations, self.native_iterations, self.tolerances = [], 0, 0, set()
        self.checks, self.inside, self.reference = 0, False, None
        _all.append(self)

    def preSolve(self, pc, ksp, b, x):
        if not self.inside:
            self.inside, self.start = True, x.copy() if ksp.guess_nonzero else None
            super().preSolve(pc, ksp, b, x)
            self.checks += self._tuned.decision.check
        else:
            super().preSolve(pc, ksp, b, x)

    def postSolve(self, pc, ksp, b, x):
        nested = self._rescue.nested
        super().postSolve(pc, ksp, b, x)
        if not nested:
            self.inside = False
            self.compare(ksp, b, x)

    def compare(self, ksp, b, x):
        A, y = ksp.getOperators()[0], x.duplicate()
        rtol, atol, divtol, max_it = ksp.getTolerances()
        self.tolerances.add((rtol, atol, divtol, max_it))
        reference = PETSc.KSP().create(ksp.comm)
        reference.setOperators(*ksp.getOperators())
        reference.setType(ksp.getType())
        reference.setPCSide(ksp.getPCSide())
        reference.setNormType(ksp.norm_type)
        reference.setTolerances(rtol, atol, divtol, max_it)
        reference.getPC().setType("sor")
        reference.setMonitor(lambda *state: None)  # without one, Richardson and SOR don't look at the tolerance
        if self.start is not None:
            reference.setInitialGuessNonzero(True)
            self.start.copy(y)
        reference.solve(b, y)
        if reference.getConvergedReason() > 0:
            assert ksp.getConvergedReason() > 0, f"native SOR converges here, omega = {self.omega} doesn't"
            self.ratios.append(true_residual(A, b, x) / max(true_residual(A, b, y), 1e-15))
        self.iterations += ksp.getIterationNumber()
        self.native_iterations += reference.getIterationNumber()
        reference.destroy()
        y.destroy()


@atexit.register
def _write():
    if FILE in os.environ:
        with open(os.environ[FILE], "w") as file:
            json.dump([{name: getattr(judge, name) for name in ("ratios", "iterations", "checks")} for judge in _all],
                      file)  # fmt: skip
