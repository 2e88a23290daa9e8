"""A PC for applications under test: after every solve PETSc's own SOR solves the same system, and is compared.

What is promised: answers pass the user's own test, as the safe ω computes it, within a factor of 1.5 in 99 % of all
solves and within 3 in all; true residuals are on geometric average no larger than native SOR's.
"""

from __future__ import annotations

import atexit
import json
import os

import numpy as np
from petsc4py import PETSc
from systems import true_residual, user_test

import sorlearn

#: File that a judged C application leaves its verdicts in.
FILE = "SORLEARN_TEST_JUDGE"
_all: list[Judge] = []


def kept(tests, ratios):
    """Whether such answers keep the promise; why not, where they don't, as text.

    Parameters
    ----------
    tests : sequence
        What is left of the user's test, 1 where it is just passed.
    ratios : sequence
        True residuals over native SOR's; on geometric average at most 1.25, as what native SOR leaves is known from a
        few solves at the safe ω only.
    """
    tests, logs = np.array(tests), np.log(ratios)
    faults = []
    if max(tests) > 3.0:
        faults.append(f"fails the user's test by a factor of {max(tests):.2f}")
    if np.mean(tests > 1.5) > 0.01:
        faults.append(f"{np.sum(tests > 1.5)} of {len(tests)} solves fail it by more than 1.5")
    if np.mean(logs) > np.log(1.25):
        faults.append(f"true residuals are {np.exp(np.mean(logs)):.2f} times native SOR's")
    return "; ".join(faults)


class Judge(sorlearn.PC):
    """sorlearn's PC, which notes of every solve what is left of the user's test, and its true residual over native's.

    Attributes
    ----------
    tests, native_tests : list
        Residuals in units of the user's tolerance, as ω = 1 computes them; of solves that native SOR can do.
    ratios : list
        (true residual)/(native SOR's true residual) of the same solves.
    """

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.tests, self.native_tests = [], []
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
            self.tests.append(user_test(ksp, b, x))
            self.native_tests.append(user_test(reference, b, y))
            self.ratios.append(true_residual(A, b, x) / max(true_residual(A, b, y), 1e-15))
        self.iterations += ksp.getIterationNumber()
        self.native_iterations += reference.getIterationNumber()
        reference.destroy()
        y.destroy()


@atexit.register
def _write():
    if FILE in os.environ:
        with open(os.environ[FILE], "w") as file:
            names = ("tests", "ratios", "iterations", "checks")
            json.dump([{name: getattr(judge, name) for name in names} for judge in _all], file)
