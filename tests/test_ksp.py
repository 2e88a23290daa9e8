"""The guarded solver is a KSP like any other, and its total cost stays near the safe ω's whatever trials cost."""

from __future__ import annotations

import itertools
import re
import sys

import numpy as np
import pytest
from conftest import ROOT, run
from petsc4py import PETSc
from systems import fill, from_options, laplacian, native, random_rhs, true_residual, user_test
from test_clients import SOLVED

from sorlearn.tuning.strict import CONSTANT

GUARDED = "-python -ksp_type python -ksp_python_type sorlearn.KSP -sorlearn_ksp_type"
DIVERGED_ITS = int(PETSc.KSP.ConvergedReason.DIVERGED_MAX_IT)
#: ω = 1.9 takes twice the iterations of ω = 1 here.
HELMHOLTZ = -2.0
_numbers = itertools.count()


def guarded(A, ksp_type="cg", **options):
    """The guarded solver under a prefix that nobody has had before."""
    prefix = f"guarded{next(_numbers)}_"
    database = PETSc.Options(prefix)
    flags = {"ksp_type": "python", "ksp_python_type": "sorlearn.KSP", "sorlearn_ksp_type": ksp_type, **options}
    for name, value in flags.items():
        database[name] = value
    return from_options(A, prefix)


def trying(A, ksp_type="cg", **options):
    """The same, with a learner that insists on ω = 1.9."""
    return guarded(A, ksp_type, pc_type="python", pc_python_type="systems.Trial", **options)


def forget():
    """Empty the options database, which has room for 512 of them."""
    database = PETSc.Options()
    for name in database.getAll():
        database.delValue(name)


def tuner(ksp):
    return ksp.getPC().getPythonContext()


def solved(ksp, seed=0, start=None, *, watched=True):
    """(reason, iterations, residual norms, solution) of one solve, as monitors and callers see it.

    Without a monitor the last norm stands for all.
    """
    A = ksp.getOperators()[0]
    norms = []
    if watched:
        ksp.setMonitor(lambda ksp, its, norm: norms.append((its, norm)))
    b, x = random_rhs(A, seed)
    ksp.setInitialGuessNonzero(start is not None)
    x.set(start or 0.0)
    ksp.solve(b, x)
    getattr(
        ksp, "monitorCancel" if PETSc.Sys.getVersion() > (3, 19, 9) else "cancelMonitor"
    )()  # the name changed after 3.18
    norms = norms if watched else [ksp.getResidualNorm()]
    return ksp.getConvergedReason(), ksp.getIterationNumber(), norms, x.getArray().tolist()


# -- its total cost, with PETSc


def applications(ksp):
    """List that grows by one an application of SOR; all that a solve costs."""
    context, count = tuner(ksp), []
    sweep = context._sweeping.sweeps.sweep

    def counted(*arguments):
        count.append(context.omega)
        sweep(*arguments)

    context._sweeping.sweeps.sweep = counted
    return count


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize("ksp_type", ["cg", "gmres"])
def test_total_cost_of_bad_trials(ksp_type, in_python):
    A = laplacian(16, HELMHOLTZ)
    ksp, sor = trying(A, ksp_type), native(A, ksp_type=ksp_type)
    swept, safe, first = applications(ksp), 0, 0
    for seed in range(400):
        b, x = random_rhs(A, seed % 50)
        ksp.solve(b, x)
        assert ksp.getConvergedReason() > 0
        sor.solve(b, x)
        safe += sor.getIterationNumber() + 1
        first = first or safe
    assert swept.count(1.9) > 0
    assert len(swept) <= 1.05 * safe + (CONSTANT + 2) * first


@pytest.mark.parallel(1, 2)
def test_total_cost_where_there_is_something_to_learn():
    A = laplacian(40)
    ksp, sor = guarded(A), native(A, ksp_type="cg")
    total = safe = 0
    for seed in range(150):
        b, x = random_rhs(A, seed % 30)
        ksp.solve(b, x)
        total += ksp.getIterationNumber()
        sor.solve(b, x)
        safe += sor.getIterationNumber()
    assert total < 0.75 * safe


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize("ksp_type", ["cg", "gmres", "minres"])
def test_a_trial_is_cut_off_and_continued(ksp_type, in_python):
    A = laplacian(16, HELMHOLTZ)
    ksp, sor = trying(A, ksp_type), native(A, ksp_type=ksp_type)
    swept, cuts = applications(ksp), 0
    tuner(ksp).wanted = 1.97
    for seed in range(12):
        del swept[:]
        reason, iterations, norms, x = solved(ksp, seed)
        limit = int(tuner(ksp)._tuned.decision.limit)
        assert reason > 0
        counted = [its for its, _ in norms]
        assert counted == sorted(counted) and counted[-1] == iterations
        assert ksp.guess_nonzero is False
        continued = [norm for its, norm in norms if its == limit > 0]
        if len(continued) != 2:  # the trial's last residual and the first of the continuation, each in its norm
            continue
        cuts += 1
        assert set(swept) == {1.0, 1.97}
        assert norms[-1][1] < norms[0][1]
        assert continued[1] < 0.5 * solved(sor, seed)[2][0][1]  # not from the beginning
    assert cuts >= 1


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize("kind", [trying, guarded])
@pytest.mark.parametrize(("ksp_type", "shift"), [("gmres", 0.3), ("cg", 0.0), ("cg", HELMHOLTZ), ("bcgs", 0.0)])
def test_answers_pass_the_users_own_test(kind, ksp_type, shift):
    """GMRES "converges" at ω = 1.9 to a wrong answer of the indefinite system."""
    A = laplacian(24, shift)
    ksp, tests = kind(A, ksp_type, ksp_rtol=1e-6, ksp_max_it=2000), []
    for seed in range(40):
        b, x = random_rhs(A, seed)
        ksp.solve(b, x)
        assert ksp.getConvergedReason() > 0
        tests.append(user_test(ksp, b, x))
    assert max(tests) <= 3.0 and np.sum(np.array(tests) > 1.5) <= 1, np.round(tests, 2)


# -- what the user set on the outer solver


TYPES = ["cg", "gmres", "fgmres", "bcgs", "minres", "tfqmr", "chebyshev", "richardson", "gcr"]


OPTIONS = [
    {}, {"ksp_rtol": 1e-9}, {"ksp_atol": 1e-2}, {"ksp_max_it": 5}, {"ksp_divtol": 1.01}, {"ksp_gmres_restart": 4},
    {"ksp_norm_type": "unpreconditioned"}, {"ksp_norm_type": "natural"}, {"ksp_norm_type": "none", "ksp_max_it": 7},
    {"ksp_pc_side": "right"}, {"ksp_converged_use_initial_residual_norm": ""}, {"ksp_initial_guess_knoll": ""},
    {"ksp_lag_norm": ""}, {"ksp_diagonal_scale": "", "ksp_diagonal_scale_fix": ""}, {"ksp_guess_type": "fischer"},
]  # fmt: skip


@pytest.mark.parallel(1, 2)
def test_options_of_the_outer_solver():
    A = laplacian(11)
    for options in OPTIONS:
        supported = 0
        for ksp_type, start in itertools.product(TYPES, (None, 0.3)):
            watched = [True, True, ksp_type == "richardson"]  # which natively doesn't test without a monitor
            try:
                sor = native(A, f"native{next(_numbers)}_", ksp_type=ksp_type, pc_sor_omega=1.5, **options)
                expected = [solved(sor, seed, start, watched=each) for seed, each in enumerate(watched)]
            except PETSc.Error:
                continue
            supported += 1
            ksp = guarded(A, ksp_type, pc_sorlearn_learner="fixed", pc_sorlearn_omega=1.5, **options)
            got = [solved(ksp, seed, start, watched=each) for seed, each in enumerate(watched)]
            assert repr(got) == repr(expected), (ksp_type, start, options)  # as text, in which NaN equals NaN
            forget()
        assert supported >= 2, options


@pytest.mark.parallel(1, 2)
def test_settings_by_call():
    A = laplacian(11)
    calls = [
        lambda ksp: ksp.setTolerances(rtol=1e-8, atol=1e-3, divtol=1e3, max_it=17),
        lambda ksp: ksp.setTolerances(max_it=2),
        lambda ksp: ksp.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED),
        lambda ksp: ksp.setNormType(PETSc.KSP.NormType.NATURAL),
        lambda ksp: ksp.setNormType(PETSc.KSP.NormType.PRECONDITIONED),
        lambda ksp: ksp.setPCSide(PETSc.PC.Side.LEFT),
    ]
    right = [
        lambda ksp: ksp.setPCSide(PETSc.PC.Side.RIGHT),
        lambda ksp: ksp.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED),
    ]
    ksp = guarded(A, pc_sorlearn_learner="fixed", pc_sorlearn_omega=1.5)
    sor = native(A, ksp_type="cg", pc_sor_omega=1.5)
    for call in calls[:2]:
        call(ksp), call(sor)
        tolerances = ksp.getTolerances()
        for watched in (True, False):
            assert solved(ksp, watched=watched) == solved(sor, watched=watched)
            assert ksp.getTolerances() == tolerances == sor.getTolerances()
    cases = [("cg", call) for call in calls[2:]] + [
        (ksp_type, call) for ksp_type in ("gmres", "bcgs") for call in right
    ]
    for number, (ksp_type, call) in enumerate(cases):
        ksp = guarded(A, ksp_type, pc_sorlearn_learner="fixed", pc_sorlearn_omega=1.5)
        sor = native(A, f"sor{number}_", ksp_type=ksp_type, pc_sor_omega=1.5)
        call(ksp), call(sor)
        assert solved(ksp) == solved(sor)


@pytest.mark.parallel(1, 2)
def test_convergence_test_of_the_user():
    A = laplacian(16, HELMHOLTZ)
    ksp, asked = trying(A), []

    def test(ksp, its, norm, least):
        asked.append((ksp.handle, its))
        return 2 if norm < least else 0

    ksp.setConvergenceTest(test, args=(1e-9,))
    for seed in range(6):
        del asked[:]
        reason, _, norms, _ = solved(ksp, seed)
        assert reason == 2 and norms[-1][1] < 1e-9 <= norms[-2][1]
        assert {handle for handle, _ in asked} == {ksp.handle}
        assert ksp.getTolerances() == (1e-5, 1e-50, 1e4, 10000)


@pytest.mark.parallel(1, 2)
def test_convergence_history_of_the_user():
    A = laplacian(16, HELMHOLTZ)
    ksp = trying(A)
    ksp.setConvergenceHistory(200, reset=True)
    for seed in range(5):
        norms = solved(ksp, seed)[2]
        assert ksp.getConvergenceHistory().tolist() == [norm for _, norm in norms]


def test_null_space():
    A = laplacian(16)
    ones, sums = A.createVecs()
    ones.set(1.0)
    A.mult(ones, sums)
    sums.scale(-1.0)
    A.setDiagonal(sums, PETSc.InsertMode.ADD_VALUES)
    A.setNullSpace(PETSc.NullSpace().create(constant=True))
    ksp = trying(A, ksp_rtol=1e-8)
    for seed in range(8):
        b, x = random_rhs(A, seed)
        A.getNullSpace().remove(b)
        ksp.solve(b, x)
        assert ksp.getConvergedReason() > 0
        assert true_residual(A, b, x) < 1e-6 and abs(x.sum()) < 1e-8


def test_failure_is_the_failure_of_the_safe_omega():
    A = laplacian(16)
    ksp, sor = trying(A, ksp_max_it=4), native(A, ksp_type="cg", ksp_max_it=4)
    for seed in range(5):
        expected, got = solved(sor, seed), solved(ksp, seed)
        assert got[0] == expected[0] == DIVERGED_ITS
        assert got[3] == expected[3]


def test_error_where_nothing_helps_and_the_user_wants_it():
    """In its own process, because PETSc doesn't recover from such an error."""
    code = f"""
import sys
sys.path[:0] = [{str(ROOT / "tests")!r}]
from test_ksp import *
ksp = trying(laplacian(12), ksp_max_it=3, ksp_error_if_not_converged="")
try:
    ksp.solve(*random_rhs(ksp.getOperators()[0]))
except PETSc.Error as error:
    print("refused", error.ierr)
"""
    assert "refused 91" in run(1, sys.executable, "-c", code).stdout


@pytest.mark.parallel(1, 2)
def test_transpose():
    A = laplacian(11)
    A.setOption(PETSc.Mat.Option.SYMMETRIC, True)
    ksp = guarded(A, "gmres", pc_sorlearn_learner="fixed", pc_sorlearn_omega=1.5)
    sor = native(A, ksp_type="gmres", pc_sor_omega=1.5)
    b, x = random_rhs(A)
    y = x.duplicate()
    ksp.solveTranspose(b, x)
    sor.solveTranspose(b, y)
    assert ksp.getConvergedReason() == sor.getConvergedReason() > 0
    assert np.array_equal(x.getArray(), y.getArray())


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize("ksp_type", ["cg", "chebyshev", "gmres"])
def test_matrices_come_and_go(ksp_type):
    """Other values, another matrix, another size with reset: as native SOR."""
    A, B, C = laplacian(11), laplacian(11, -1.0), laplacian(7)
    ksp = guarded(A, ksp_type, pc_sorlearn_learner="fixed", pc_sorlearn_omega=1.5)
    sor = native(A, ksp_type=ksp_type, pc_sor_omega=1.5)
    assert solved(ksp) == solved(sor)
    fill(A, 11, shift=-3.0)
    for one in (ksp, sor):
        one.setOperators(A)
    assert solved(ksp) == solved(sor)
    for one in (ksp, sor):
        one.setOperators(B)
    assert solved(ksp) == solved(sor)
    for one in (ksp, sor):
        one.reset()
        one.setOperators(C)
    assert solved(ksp) == solved(sor)


# -- inside applications that weren't written for it


@pytest.mark.parametrize("nprocs", [1, 2])
def test_inside_ts(tutorial, tmp_path, nprocs):
    program = tutorial("ts/tutorials/ex13.c")
    arguments = "-ts_max_steps 40 -da_grid_x 32 -da_grid_y 32 -ts_monitor -ksp_converged_reason".split()
    plain = run(nprocs, program, *arguments, options="-ksp_type cg -pc_type sor", cwd=tmp_path).stdout
    ours = run(nprocs, program, *arguments, options=f"{GUARDED} cg -options_left", cwd=tmp_path).stdout
    native_its, its = ([int(count) for _, _, count in SOLVED.findall(output)] for output in (plain, ours))
    assert len(its) == len(native_its) == 80 and "did not" not in ours
    assert sum(its) < sum(native_its)
    assert re.findall("TS dt .*", ours) == re.findall("TS dt .*", plain)
    assert "no unused options" in ours


@pytest.mark.parametrize("nprocs", [1, 2])
def test_inside_snes(tutorial, tmp_path, nprocs):
    program = tutorial("snes/tutorials/ex19.c")
    arguments = ["-snes_converged_reason", "-ksp_converged_reason", "-snes_monitor_short"]
    plain = run(nprocs, program, *arguments, options="-pc_type sor -ksp_gmres_restart 9", cwd=tmp_path).stdout
    flags = f"{GUARDED} gmres -ksp_gmres_restart 9 -options_left"
    ours = run(nprocs, program, *arguments, options=flags, cwd=tmp_path).stdout
    assert re.findall("Nonlinear solve converged.*", ours) == re.findall("Nonlinear solve converged.*", plain) != []
    its, native_its = (sum(int(count) for _, _, count in SOLVED.findall(output)) for output in (ours, plain))
    assert 0 < its <= 1.05 * native_its + 6 * native_its / 2
    assert "no unused options" in ours, ours


def test_view(tutorial, tmp_path):
    program = tutorial("ts/tutorials/ex13.c")
    output = run(1, program, "-ts_max_steps", "6", "-ksp_view", options=f"{GUARDED} cg", cwd=tmp_path).stdout
    last = output.rpartition("Python: sorlearn.KSP")[2]
    assert "(sorlearn_)" in last and "type: cg" in last
    assert "sorlearn: learner auto, learning, 12 solves so far" in last


@pytest.mark.parametrize("pc", ["", "-pc_type python -pc_python_type sorlearn.PC"])
def test_end_of_the_interpreter(tmp_path, pc):
    """Solvers that nobody destroyed don't crash it."""
    script = tmp_path / "app.py"
    script.write_text(f"""
import sys
sys.path[:0] = [{str(ROOT / "tests")!r}]
from systems import *
ksp = from_options(laplacian(8), "")
ksp.setMonitor(lambda *state: None)
b, x = random_rhs(ksp.getOperators()[0])
for _ in range(3):
    ksp.solve(b, x)
print("end")
""")
    flags = GUARDED.replace("-python ", "", 1)
    assert "end" in run(1, sys.executable, script, options=f"{flags} cg {pc}", cwd=tmp_path).stdout
