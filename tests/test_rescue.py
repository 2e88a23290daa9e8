"""A trial that fails is repaired before the application looks; where nothing helps, it gets what native SOR gives."""

from __future__ import annotations

import ctypes
import itertools
import re
import sys

import numpy as np
import pytest
from conftest import FLAGS, ROOT, run
from petsc4py import PETSc
from systems import laplacian, native, random_rhs, solver, true_residual, user_test

from sorlearn.learners import LEARNERS
from sorlearn.petsc.clib import PetscBool, has, library
from sorlearn.tuning.bins import bin_of
from sorlearn.tuning.vetoes import LONGEST_WAIT

EX13 = "-ts_max_steps 20 -da_grid_x 32 -da_grid_y 32 -ksp_type cg -ksp_max_it 20"
RANGE = "-pc_sorlearn_context_min 0 -pc_sorlearn_context_max 1"
DIVERGED_ITS = int(PETSc.KSP.ConvergedReason.DIVERGED_MAX_IT)
_numbers = itertools.count()


def trial_solver(A, **options):
    """A KSP that tries ω = 1.9; none goes on with what another has learned."""
    return solver(A, f"trial{next(_numbers)}_", pc_python_type="systems.Trial", **options)


def limit(A, b, start=None, **options):
    """Iterations that ω = 1 takes and ω = 1.9 doesn't keep to."""
    one, bad = (native(A, f"w{w}_", pc_sor_omega=w, **options) for w in (1.0, 1.9))
    for ksp in (one, bad):
        ksp.setInitialGuessNonzero(start is not None)
        ksp.solve(b, b.duplicate() if start is None else start.copy())
    assert one.getIterationNumber() < bad.getIterationNumber()
    return one.getIterationNumber()


#: ω = 1 is the better one here, so that a limit may stand between it and 1.9.
HELMHOLTZ = -2.0


@pytest.mark.parametrize("learner", LEARNERS)
def test_ex13_runs_through(tutorial, tmp_path, learner):
    program = tutorial("ts/tutorials/ex13.c")
    options = f"{FLAGS} -pc_sorlearn_learner {learner} {RANGE} -pc_sorlearn_context_option step"
    options += " -step 0.5 -pc_sorlearn_summary"
    result = run(1, program, *EX13.split(), "-ts_monitor", options=options, cwd=tmp_path)
    assert "\n20 TS dt" in result.stdout
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(("nprocs", "omega"), [(1, 1.95), (2, 1.9)])
def test_ex13_is_dangerous(tutorial, tmp_path, nprocs, omega):
    program, arguments = tutorial("ts/tutorials/ex13.c"), [*EX13.split(), "-ts_monitor"]
    result = run(nprocs, program, *arguments, options=f"-pc_type sor -pc_sor_omega {omega}", cwd=tmp_path, check=False)
    assert "\n20 TS dt" not in result.stdout
    assert "\n20 TS dt" in run(nprocs, program, *arguments, options="-pc_type sor", cwd=tmp_path).stdout


def test_ex13_trials_fail_and_are_repaired(tutorial, tmp_path):
    program = tutorial("ts/tutorials/ex13.c")
    options = f"{FLAGS} -pc_sorlearn_learner tsallis_inf -pc_sorlearn_omega_min 1.8 -pc_sorlearn_summary"
    result = run(2, program, *EX13.split(), "-ts_monitor", options=options, cwd=tmp_path)
    assert "\n20 TS dt" in result.stdout
    failed, repaired = re.search(r"failed: (\d+), repaired: (\d+)", result.stdout).groups()
    assert int(failed) == int(repaired) > 0


@pytest.mark.parametrize(("name", "arguments"), [
    ("ksp/ksp/tutorials/ex45.c", "-da_grid_x 15 -da_grid_y 15 -da_grid_z 15 -ksp_type cg -ksp_max_it 16"),
    ("ksp/ksp/tutorials/ex9.c", "-m 20 -n 20 -ksp_max_it 18"),
    ("snes/tutorials/ex19.c", "-da_grid_x 8 -da_grid_y 8 -ksp_type bcgs -ksp_max_it 12"),
])  # fmt: skip
def test_tutorials_whose_first_trial_fails(tutorial, tmp_path, name, arguments):
    """They end at the first failure natively."""
    program, arguments = tutorial(name), [*arguments.split(), "-ksp_error_if_not_converged"]
    sor = run(2, program, *arguments, options="-pc_type sor -pc_sor_omega 1.95", cwd=tmp_path, check=False)
    assert sor.returncode != 0
    options = f"-python -pc_type python -pc_python_type {ROOT}/tests/systems.py:Trial -pc_sorlearn_summary"
    result = run(2, program, *arguments, options=options, cwd=tmp_path)
    failed, repaired = re.search(r"failed: (\d+), repaired: (\d+)", result.stdout).groups()
    assert int(failed) == int(repaired) > 0
    assert "Traceback" not in result.stderr


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("guess", [False, True])
@pytest.mark.parametrize("ksp_type", ["cg", "gmres", "bcgs", "minres"])
def test_exceeded_limit(ksp_type, guess, strict):
    A = laplacian(16, HELMHOLTZ)
    b, x = random_rhs(A)
    start = random_rhs(A, 7)[0]
    start.scale(0.1)
    options = {"ksp_type": ksp_type, "ksp_max_it": limit(A, b, start if guess else None, ksp_type=ksp_type)}
    ksp, sor = trial_solver(A, **options), native(A, **options)
    y = x.duplicate()
    for one, vector in ((ksp, x), (sor, y)):
        one.setErrorIfNotConverged(strict and one is ksp)
        one.setInitialGuessNonzero(guess)
        start.copy(vector)
        one.setTolerances(rtol=1e-5)
        one.solve(b, vector)
    assert sor.getConvergedReason() > 0
    assert ksp.getConvergedReason() == sor.getConvergedReason()
    assert np.array_equal(x.getArray(), y.getArray())  # the guess was restored exactly
    assert ksp.getIterationNumber() == options["ksp_max_it"] + sor.getIterationNumber()
    assert ksp.getErrorIfNotConverged() is strict
    assert ksp.getInitialGuessNonzero() is guess


@pytest.mark.parallel(1, 2)
def test_neighbourhood_is_left_alone():
    A = laplacian(16, HELMHOLTZ)
    b, x = random_rhs(A)
    ksp = trial_solver(A, ksp_max_it=limit(A, b, ksp_type="cg"))
    tuner = ksp.getPC().getPythonContext()
    started = []
    for seed in range(8):
        tuner.wanted = 1.9 - 0.001 * seed
        b, x = random_rhs(A, seed)
        ksp.solve(b, x)
        started.append(tuner._tuned.decision.omega)
    assert started[0] == 1.9
    assert set(started[1:8]) == {1.0}
    session = tuner._tuned.session
    if session:
        assert session.review.tally.failed == session.review.tally.repaired >= 1
        assert not session.vetoes.allows(1.9) and session.vetoes.allows(1.3)
        assert session.vetoes.failed_loss[bin_of(1.9)] > 0.0


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize("guess", [False, True])
@pytest.mark.parametrize("ksp_type", ["cg", "gmres", "bcgs", "minres"])
def test_where_nothing_helps_the_application_gets_what_native_sor_gives(ksp_type, guess):
    A = laplacian(16)
    options = {"ksp_type": ksp_type, "ksp_max_it": 3}
    ksp, sor = trial_solver(A, **options), native(A, **options)
    for seed in range(6):
        b, x = random_rhs(A, seed)
        y = x.duplicate()
        for one, vector in ((ksp, x), (sor, y)):
            one.setInitialGuessNonzero(guess)
            vector.set(0.25)
            one.solve(b, vector)
        assert ksp.getConvergedReason() == sor.getConvergedReason() == DIVERGED_ITS
        tried = ksp.getPC().getPythonContext()._tuned.decision.omega != 1.0
        assert ksp.getIterationNumber() == (1 + tried) * sor.getIterationNumber()  # the trial's are counted, too
        assert np.array_equal(x.getArray(), y.getArray())


def test_hopeless_systems_do_not_cost_double_for_ever(in_python):
    A = laplacian(12)
    ksp = trial_solver(A, ksp_max_it=3)
    tuner, applications = ksp.getPC().getPythonContext(), 0
    sweep = tuner._sweeping.sweeps.sweep

    def count(*arguments):
        nonlocal applications
        applications += 1
        sweep(*arguments)

    tuner._sweeping.sweeps.sweep = count
    b, x = random_rhs(A)
    for _ in range(300):
        ksp.solve(b, x)
    assert 300 * 4 < applications < 1.15 * 300 * 4
    assert tuner._tuned.session.vetoes.backoff <= LONGEST_WAIT


@pytest.mark.parametrize("kind", ["trial_solver(A, ", "native(A, ksp_type='cg', "])
def test_error_is_raised_where_nothing_helps_and_the_user_wants_it(kind):
    """In its own process: after one such error PETSc takes every solve for an inner one, whose limit is no error."""
    code = f"""
import sys
sys.path[:0] = [{str(ROOT / "tests")!r}]
from test_rescue import *
A = laplacian(12)
ksp = {kind}ksp_max_it=3)
ksp.setErrorIfNotConverged(True)
try:
    ksp.solve(*random_rhs(A))
except PETSc.Error as error:
    print("refused", error.ierr, ksp.getErrorIfNotConverged())
"""
    assert "refused 91 True" in run(1, sys.executable, "-c", code).stdout


@pytest.mark.parametrize("ksp_type", ["cg", "gmres", "bcgs"])
@pytest.mark.parametrize("entry", ["matrix", "right-hand side"])
def test_nan_ends_as_with_native_sor(ksp_type, entry):
    A = laplacian(8)
    b, x = random_rhs(A)
    if entry == "matrix":
        A.setValue(3, 3, np.nan)
        A.assemble()
    else:
        b.setValue(5, np.nan)
        b.assemble()
    ksp, sor = trial_solver(A, ksp_type=ksp_type), native(A, ksp_type=ksp_type)
    for one in (ksp, sor):
        x.set(0.0)
        one.solve(b, x)
    assert ksp.getConvergedReason() == sor.getConvergedReason() < 0


def test_indefinite_preconditioner_of_a_trial():
    """CG notices that forward sweeps aren't symmetric or an ω isn't positive; the repair ends as native SOR does."""
    A = laplacian(16, 0.6)
    b, x = random_rhs(A)
    options = {"ksp_type": "cg", "ksp_max_it": 400}
    ksp, sor = trial_solver(A, **options), native(A, **options)
    y = x.duplicate()
    ksp.solve(b, x)
    sor.solve(b, y)
    if sor.getConvergedReason() > 0:
        assert ksp.getConvergedReason() > 0
        assert user_test(ksp, b, x) <= 1.5
    else:
        assert ksp.getConvergedReason() == sor.getConvergedReason()


@pytest.mark.parametrize("guess_type", ["fischer", "pod"])
def test_ksp_guess(guess_type):
    A = laplacian(16, HELMHOLTZ)
    b, x = random_rhs(A)
    options = {"ksp_max_it": limit(A, b, ksp_type="cg"), "ksp_guess_type": guess_type}
    ksp = trial_solver(A, **options)
    tuner = ksp.getPC().getPythonContext()
    for seed in range(6):
        tuner.wanted = (1.9, 1.6, 1.8)[seed % 3]
        b, x = random_rhs(A, seed % 4)
        ksp.solve(b, x)
        assert ksp.getConvergedReason() > 0
        assert user_test(ksp, b, x) <= 3.0
    assert tuner._tuned.session.review.tally.failed > 0


def test_null_space():
    n = 16
    A = laplacian(n)
    ones, sums = A.createVecs()
    ones.set(1.0)
    A.mult(ones, sums)
    sums.scale(-1.0)
    A.setDiagonal(sums, PETSc.InsertMode.ADD_VALUES)  # Neumann: rows sum to zero
    A.setNullSpace(PETSc.NullSpace().create(constant=True))
    b, x = random_rhs(A)
    A.getNullSpace().remove(b)
    ksp = trial_solver(A, ksp_max_it=60)
    tuner = ksp.getPC().getPythonContext()
    ksp.setTolerances(rtol=1e-8)
    for seed in range(8):
        tuner.wanted = 1.2 + 0.1 * seed
        x.set(0.0)
        ksp.solve(b, x)
        assert ksp.getConvergedReason() > 0
        assert true_residual(A, b, x) < 1e-6
        assert abs(x.sum()) < 1e-8


def test_monitor_and_convergence_test_of_the_user_apply_to_the_repair():
    A = laplacian(16, HELMHOLTZ)
    b, x = random_rhs(A)
    most = limit(A, b, ksp_type="cg")
    ksp, seen, tested = trial_solver(A, ksp_max_it=most), [], []
    ksp.setMonitor(lambda ksp, its, norm: seen.append(its))

    def test(ksp, its, norm):
        tested.append(its)
        return 2 if norm < 1e-3 else DIVERGED_ITS if its >= most else 0

    ksp.setConvergenceTest(test)
    ksp.solve(b, x)
    assert ksp.getConvergedReason() == 2
    assert seen.count(0) == tested.count(0) >= 1


@pytest.mark.parametrize("by_call", [False, True])
def test_a_diagonally_scaled_system_is_left_alone(by_call):
    """A repeat would scale it once more."""
    A = laplacian(12)
    ksp = trial_solver(A, **{} if by_call else {"ksp_diagonal_scale": ""})
    if by_call:
        if not has("KSPSetDiagonalScale"):
            pytest.skip("this PETSc scales no more")
        library().KSPSetDiagonalScale(ctypes.c_void_p(ksp.handle), PetscBool(True))
    ksp.solve(*random_rhs(A))
    assert ksp.getConvergedReason() > 0
    assert ksp.getPC().getPythonContext().omega == 1.0
