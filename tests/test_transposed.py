"""Solves that use the transpose: their trials are repaired and checked as others are."""

from __future__ import annotations

import numpy as np
import pytest
from petsc4py import PETSc
from systems import laplacian, native, random_rhs, solver, user_test
from test_rescue import HELMHOLTZ, trial_solver

#: An ω that takes longer than ω = 1, for each KSP type.
WORSE = {"cg": 1.9, "gmres": 1.9, "minres": 1.9, "bcgs": 1.9, "bicg": 1.9, "cgne": 1.9, "lsqr": 0.2}
SOLVES = ["solve", "solveTranspose"]


def symmetric(n, shift=0.0):
    A = laplacian(n, shift)
    A.setOption(PETSc.Mat.Option.SYMMETRIC, True)
    return A


def unsymmetric(n):
    """With rows of different scales, so that Aᵀx = b is another system than Ax = b."""
    A = laplacian(n, HELMHOLTZ)
    scale = A.createVecLeft()
    low, high = scale.getOwnershipRange()
    scale.setArray(1.0 + np.arange(low, high) % 7)
    A.diagonalScale(scale)
    return A


def fails(A, solve, omega, start, **options):
    """Most iterations that ω = 1 comes to an end within, and `omega` doesn't."""
    counts = []
    for w in (1.0, omega):
        ksp = native(A, f"w{w}_", pc_sor_omega=w, **options)
        ksp.setInitialGuessNonzero(True)
        getattr(ksp, solve)(random_rhs(A)[0], start.copy())
        counts.append(ksp.getIterationNumber())
    assert counts[0] < counts[1]
    return counts[0]


def check_repair(A, solve, omega, options):
    b, x = random_rhs(A)
    start = random_rhs(A, 7)[0]
    start.scale(0.1)
    options["ksp_max_it"] = fails(A, solve, omega, start, **options)
    ksp, sor = trial_solver(A, **options), native(A, **options)
    ksp.getPC().getPythonContext().wanted = omega
    y = x.duplicate()
    for one, vector in ((ksp, x), (sor, y)):
        one.setInitialGuessNonzero(True)
        start.copy(vector)
        getattr(one, solve)(b, vector)
    assert sor.getConvergedReason() > 0
    assert ksp.getConvergedReason() == sor.getConvergedReason()
    assert np.array_equal(x.getArray(), y.getArray())
    assert ksp.getIterationNumber() > sor.getIterationNumber()


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize("solve", SOLVES)
@pytest.mark.parametrize("ksp_type", WORSE)
def test_failed_trials_are_repaired(ksp_type, solve):
    check_repair(symmetric(16, HELMHOLTZ), solve, WORSE[ksp_type], {"ksp_type": ksp_type, "ksp_rtol": 1e-4})


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize(("ksp_type", "explicit"), [("lsqr", False), ("gmres", True), ("bcgs", True)])
def test_the_transposed_system_is_repaired_where_it_is_another_one(ksp_type, explicit):
    options = {"ksp_type": ksp_type, "ksp_rtol": 1e-4, **({"ksp_use_explicittranspose": ""} if explicit else {})}
    check_repair(unsymmetric(12), "solveTranspose", WORSE[ksp_type], options)


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize("solve", SOLVES)
@pytest.mark.parametrize("ksp_type", ["cg", "gmres", "bicg"])
def test_where_nothing_helps_the_application_gets_what_native_sor_gives(ksp_type, solve):
    A = symmetric(16)
    options = {"ksp_type": ksp_type, "ksp_max_it": 3}
    ksp, sor = trial_solver(A, **options), native(A, **options)
    for seed in range(4):
        b, x = random_rhs(A, seed)
        y = x.duplicate()
        getattr(ksp, solve)(b, x)
        getattr(sor, solve)(b, y)
        assert ksp.getConvergedReason() == sor.getConvergedReason() < 0
        tried = ksp.getPC().getPythonContext()._tuned.decision.omega != 1.0
        assert ksp.getIterationNumber() == (1 + tried) * sor.getIterationNumber()
        assert np.array_equal(x.getArray(), y.getArray())


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize(("ksp_type", "solve"), [("gmres", "solveTranspose"), ("bicg", "solve")])
def test_answers_pass_the_users_own_test(ksp_type, solve):
    """GMRES "converges" at ω = 1.9 to a wrong answer of this indefinite system.

    How many answers are beyond 1.5 hangs on rounding: 0 to 4 of 60 with other right-hand sides, ranks, BLAS kernels.
    """
    A = symmetric(20, 0.3)
    ksp = trial_solver(A, ksp_type=ksp_type, ksp_rtol=1e-6, ksp_max_it=3000)
    tuner, checks, tests = ksp.getPC().getPythonContext(), 0, []
    for seed in range(60):
        b, x = random_rhs(A, seed)
        tuner.wanted = (1.9, 1.5, 1.0)[seed % 3]
        getattr(ksp, solve)(b, x)
        checks += tuner._tuned.decision.check
        tests.append(user_test(ksp, b, x, transposed=solve == "solveTranspose"))
    assert checks > 0
    assert max(tests) <= 3.0 and np.sum(np.array(tests) > 1.5) <= 4, np.round(tests, 2)


@pytest.mark.parallel(1, 2)
def test_the_guarded_solver_goes_on_with_the_transposed_system():
    """A trial is cut off at its limit there, too."""
    A = symmetric(16, HELMHOLTZ)
    flags = {"ksp_type": "python", "ksp_python_type": "sorlearn.KSP", "sorlearn_ksp_type": "bicg", "ksp_rtol": 1e-8}
    ksp = solver(A, "guarded_", pc_python_type="systems.Trial", **flags)
    ksp.getPC().getPythonContext().wanted = 1.98
    cuts = 0
    for seed in range(12):
        b, x = random_rhs(A, seed)
        ksp.solveTranspose(b, x)
        limit = int(ksp.getPC().getPythonContext()._tuned.decision.limit)
        cuts += 0 < limit < ksp.getIterationNumber()
        assert ksp.getConvergedReason() > 0
        assert user_test(ksp, b, x, transposed=True) <= 3.0
    assert cuts > 0
