"""The user's own test of an answer, against the formula with PETSc's own SOR in its place."""

from __future__ import annotations

import itertools
from math import log10
from typing import NamedTuple

import numpy as np
import pytest
from petsc4py import PETSc
from systems import laplacian, native, random_rhs, solver, true_residual, user_test

from sorlearn.petsc.usertest import test_of as stopping_test

OMEGA, N = 1.6, 16
_numbers = itertools.count()


def symmetric():
    A = laplacian(N)
    A.setOption(PETSc.Mat.Option.SYMMETRIC, True)
    return A, A


def unsymmetric():
    """With a stronger flow in one direction, so that the transposed system is another one."""
    A = laplacian(N)
    low, high = A.getOwnershipRange()
    for row in range(low, high):
        if row % N:
            A.setValue(row, row - 1, -1.6)
        if row % N < N - 1:
            A.setValue(row, row + 1, -0.4)
    A.assemble()
    return A, A


def neumann():
    """Rows sum to zero."""
    A = laplacian(N)
    ones, sums = A.createVecs()
    ones.set(1.0)
    A.mult(ones, sums)
    sums.scale(-1.0)
    A.setDiagonal(sums, PETSc.InsertMode.ADD_VALUES)
    A.setNullSpace(PETSc.NullSpace().create(constant=True, comm=A.comm))
    A.setTransposeNullSpace(PETSc.NullSpace().create(constant=True, comm=A.comm))
    return A, A


def other_operator():
    """P isn't A."""
    return laplacian(N, -0.3), laplacian(N)


class Case(NamedTuple):
    """Matrices, options, and how the application solves.

    Attributes
    ----------
    guess, history : bool
        Whether there is an initial guess, and whether the application keeps a history of residuals.
    from_first : bool
        Whether it is the guess's residual that is measured against.
    """

    make: object = symmetric
    options: dict = {}
    guess: bool = False
    solve: str = "solve"
    from_first: bool = False
    history: bool = False


CG, GMRES, NATURAL = {"ksp_type": "cg"}, {"ksp_type": "gmres"}, {"ksp_type": "cg", "ksp_norm_type": "natural"}
FIRST = {"ksp_converged_use_initial_residual_norm": ""}
CASES = {
    "cg": Case(options=CG),
    "gmres": Case(unsymmetric, GMRES),
    "natural norm": Case(options=NATURAL),
    "guess": Case(unsymmetric, GMRES, guess=True),
    "guess, natural norm": Case(options=NATURAL, guess=True),
    "atol": Case(options={**CG, "ksp_atol": 1e-2}),
    "atol, natural norm, guess": Case(options={**NATURAL, "ksp_atol": 1e-2}, guess=True),
    "first residual": Case(unsymmetric, {**GMRES, **FIRST}, guess=True, from_first=True),
    "first residual, no guess": Case(unsymmetric, {**GMRES, **FIRST}),
    "first residual, natural norm": Case(options={**NATURAL, **FIRST}, guess=True, from_first=True),
    "null space": Case(neumann, CG),
    "null space, gmres, guess": Case(neumann, GMRES, guess=True),
    "P is not A": Case(other_operator, GMRES),
    "P is not A, guess": Case(other_operator, GMRES, guess=True),
    "history": Case(unsymmetric, GMRES, history=True),
    "history, first residual": Case(unsymmetric, {**GMRES, **FIRST}, guess=True, from_first=True, history=True),
    "transposed": Case(symmetric, GMRES, solve="solveTranspose"),
    "transposed, guess": Case(symmetric, GMRES, guess=True, solve="solveTranspose"),
}


def measured(case, omega, omega_safe=1.0):
    """(verdict, b, answer, guess, ksp) of one solve at `omega`, as it was before anything was repaired."""
    A, P = case.make()
    ksp = solver(A, f"usertest{next(_numbers)}_", pc_python_type="systems.Trial", pc_sorlearn_omega=omega_safe,
                 pc_sorlearn_omega_max=1.9, ksp_rtol=1e-4, **case.options)  # fmt: skip
    ksp.setOperators(A, P)
    tuner, found = ksp.getPC().getPythonContext(), []
    tuner.wanted = omega
    if case.history:
        ksp.setConvergenceHistory(reset=True)
    b, x = random_rhs(A, 1)
    if A.getNullSpace():
        A.getNullSpace().remove(b)
    start = random_rhs(A, 2)[0] if case.guess else None
    if start:
        start.scale(3.0)
        start.copy(x)
        ksp.setInitialGuessNonzero(True)
    intact = tuner._rescue._test.judge

    def judge(ksp, b, x, **what):
        verdict = intact(ksp, b, x, **what)
        found.append((verdict, b.copy(), x.copy(), start, ksp))
        return verdict

    tuner._rescue._test.judge = judge
    getattr(ksp, case.solve)(b, x)
    (one,) = found
    return one


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize(("name", "omega"), [
    (name, omega) for name in CASES for omega in (OMEGA, 1.0)
    if omega != 1.0 or not CASES[name].from_first  # the guess isn't kept where there is nothing to repair
])  # fmt: skip
def test_as_the_formula_says(name, omega):
    case = CASES[name]
    verdict, b, x, start, ksp = measured(case, omega)

    def left(at):
        return user_test(ksp, b, x, start, omega=at, from_first=case.from_first,
                         transposed=case.solve == "solveTranspose")  # fmt: skip

    assert verdict.lacks == pytest.approx(log10(left(1.0)), abs=0.01)
    rtol = ksp.getTolerances()[0]
    ksp.setTolerances(atol=0.0)
    own, safe = left(omega), left(1.0)
    assert verdict.relative == pytest.approx(log10(safe / own), abs=0.01)
    residual = true_residual(ksp.getOperators()[0], b, x)
    if case.from_first:
        residual /= true_residual(ksp.getOperators()[0], b, start)
    assert verdict.true == pytest.approx(log10(residual / (rtol * own)), abs=0.01)
    if omega == 1.0:
        assert verdict.relative == verdict.absolute == 0.0
    else:
        assert verdict.relative != 0.0


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize("name", ["cg", "guess", "natural norm"])
def test_another_safe_omega_is_the_users(name):
    case = CASES[name]
    verdict, b, x, start, ksp = measured(case, OMEGA, omega_safe=1.3)
    assert verdict.lacks == pytest.approx(log10(user_test(ksp, b, x, start, omega=1.3)), abs=0.01)


@pytest.mark.parallel(1, 2)
def test_absolute_norms_are_compared_without_the_right_hand_side():
    verdict, b, x, _, ksp = measured(CASES["cg"], OMEGA)
    ksp.setTolerances(rtol=1e-300, atol=1.0)
    norms = [user_test(ksp, b, x, omega=omega) for omega in (OMEGA, 1.0)]
    assert verdict.absolute == pytest.approx(log10(norms[1] / norms[0]), abs=0.01)


def test_without_the_guess_that_is_measured_against_no_work_is_done():
    """At the safe ω it isn't kept."""
    A, P = unsymmetric()
    products = []

    class Counted:
        def mult(self, _, x, y):
            products.append(1)
            A.mult(x, y)

    counted = PETSc.Mat().createPython(A.getSizes(), Counted(), comm=A.comm)
    counted.setUp()
    counts = {}
    for make in (solver, native):
        ksp = make(A, f"usertest{next(_numbers)}_", ksp_type="gmres", pc_sorlearn_learner="tsallis_inf",
                   pc_sorlearn_omega_max=1.0, **FIRST)  # fmt: skip
        ksp.setOperators(counted, P)
        ksp.setInitialGuessNonzero(True)
        for seed in range(10):
            b, x = random_rhs(A, seed)
            x.set(1.0)
            ksp.solve(b, x)
        counts[make], products[:] = len(products), []
    assert counts[solver] == counts[native]


def test_a_guess_that_solves_the_system_says_nothing():
    A = laplacian(N)
    ksp = solver(A, "solved_", pc_python_type="systems.Trial")
    b, x = random_rhs(A)
    ksp.setInitialGuessNonzero(True)
    b.zeroEntries()
    ksp.solve(b, x)
    assert ksp.getConvergedReason() > 0 and x.norm() == 0.0
    records = ksp.getPC().getPythonContext().records
    assert np.isfinite([record.cost for record in records]).all()


@pytest.mark.parametrize(("options", "default", "from_initial"), [
    ({}, True, False), (FIRST, True, True), ({"ksp_converged_use_min_initial_residual_norm": ""}, True, True),
    ({"ksp_convergence_test": "skip"}, False, False),
])  # fmt: skip
def test_the_ksps_convergence_test_is_known(options, default, from_initial):
    ksp = solver(laplacian(4), f"usertest{next(_numbers)}_", ksp_max_it=3, **options)
    found = stopping_test(ksp)
    assert (found.default, found.from_initial, found.foreign) == (default, from_initial, False)


def test_a_test_of_the_applications_is_not_petscs():
    ksp = solver(laplacian(4), f"usertest{next(_numbers)}_")
    ksp.setConvergenceTest(lambda ksp, its, norm: 2)
    found = stopping_test(ksp)
    assert not found.default and not found.foreign
