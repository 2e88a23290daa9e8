"""Whole solvers to choose among: whichever solves, the answer is what the safe one would have been asked for."""

from __future__ import annotations

import itertools
import json
import re
import resource
import sys

import pytest
from conftest import ROOT, run
from petsc4py import PETSc
from systems import fill, from_options, laplacian, native, random_rhs, true_residual, user_test

from sorlearn.errors import OptionError
from sorlearn.petsc import arms as room
from sorlearn.petsc import deciding
from sorlearn.records import journal, report
from sorlearn.tuning import arm_session
from sorlearn.tuning.play import Play

N = 16
_numbers = itertools.count()
RANKS = PETSc.COMM_WORLD.getSize()
#: A complete factorisation, an incomplete one and multigrid, on any number of ranks.
DIRECT = {"sorlearn_direct_pc_type": "cholesky" if RANKS == 1 else "redundant"}
BLOCKS = {"sorlearn_blocks_pc_type": "bjacobi"}
FLAGS = "-ksp_type python -ksp_python_type sorlearn.KSP -sorlearn_ksp_type cg"


class Broken:
    """A preconditioner that makes every solve break down."""

    def apply(self, pc, x, y):
        y.set(float("nan"))


class Refusing:
    """One that can't be set up."""

    def setUp(self, pc):
        raise RuntimeError("a matrix that I don't like")

    def apply(self, pc, x, y):
        x.copy(y)


class Lenient:
    """One whose norm is blind to nearly all that a residual has: left-preconditioned GMRES stops far too early."""

    def apply(self, pc, x, y):
        x.copy(y)
        values = y.getArray()
        values[3:] *= 1e-4


def python_pc(name, kind):
    return {f"sorlearn_{name}_pc_type": "python", f"sorlearn_{name}_pc_python_type": f"test_arms.{kind}"}


def with_arms(A, names, ksp_type="cg", **options):
    """A solver with arms, under a prefix that nobody has had before."""
    prefix = f"arms{next(_numbers)}_"
    flags = {"ksp_type": "python", "ksp_python_type": "sorlearn.KSP", "sorlearn_ksp_type": ksp_type, **options}
    database = PETSc.Options(prefix)
    for name, value in {**flags, "sorlearn_arms": names}.items():
        database[name] = value
    return from_options(A, prefix)


def arms_of(ksp):
    return ksp.getPythonContext().arms


def rule_of(ksp):
    """What chooses, on rank 0; None on the others."""
    session = arms_of(ksp).choosing.session
    return session and session.rule


def force(ksp, **play):
    """Have every further solve decided like this."""
    rule = rule_of(ksp)

    def choose(*_):
        rule._play = Play(**play)
        return rule._play

    if rule is not None:
        rule.choose = choose
    arms_of(ksp).state()  # takes back what goes by without Python
    arms_of(ksp).choosing.left = 0


def solve(ksp, seed=0, start=None):
    """(b, x) of one solve."""
    b, x = random_rhs(ksp.getOperators()[0], seed)
    if start is not None:
        x.set(start)
    ksp.setInitialGuessNonzero(start is not None)
    ksp.solve(b, x)
    return b, x


# -- answers


@pytest.mark.parallel(1, 2, 4)
def test_answers_of_every_arm_pass_the_users_own_test():
    A = laplacian(N)
    for norm, start in itertools.product(("preconditioned", "unpreconditioned", "natural"), (None, 0.3)):
        ksp = with_arms(A, "sor,blocks,gamg,direct", ksp_norm_type=norm, ksp_rtol=1e-6, **DIRECT, **BLOCKS)
        solve(ksp)
        used = set()
        for arm, seed in itertools.product(range(4), range(5)):
            force(ksp, arm=arm)
            fill(A, N, shift=-0.02 * seed)
            b, x = solve(ksp, seed, start)
            used.add(arms_of(ksp).in_use.name)
            assert ksp.getConvergedReason() > 0 and ksp.guess_nonzero is (start is not None)
            left = user_test(ksp, b, x) if norm != "unpreconditioned" else true_residual(A, b, x) / 1e-6
            assert left <= 1.5, (norm, start, arm, seed, left)
            assert ksp.getTolerances()[0] == 1e-6
        assert used == {"sor", "blocks", "gamg", "direct"}
        ksp.destroy()


@pytest.mark.parallel(1, 2)
def test_a_decision_is_repeated_until_iterations_grow():
    A = laplacian(N)
    ksp = with_arms(A, "sor,blocks", ksp_rtol=1e-6, **BLOCKS)
    fill(A, N, shift=-4.0)
    solve(ksp)
    force(ksp, arm=0, repeats=60)
    left = []
    for number in range(12):
        fill(A, N, shift=-4.0 if number < 6 else 0.0)
        solve(ksp, number)
        arms_of(ksp).state()
        left.append(arms_of(ksp).choosing.left)
    assert left[:8] == [60, 59, 58, 57, 56, 55, 0, 60], left


@pytest.mark.parallel(1, 2)
def test_an_answer_that_fails_is_gone_on_with_by_the_safe_arm_and_its_arm_tightens():
    A = laplacian(N)
    ksp = with_arms(A, "sor,lenient", "gmres", ksp_rtol=1e-6, **python_pc("lenient", "Lenient"))
    solve(ksp)
    force(ksp, arm=1)
    tried = []
    for seed in range(4):
        b, x = solve(ksp, seed)
        tried.append(arms_of(ksp).in_use.name)
        assert ksp.getConvergedReason() > 0 and user_test(ksp, b, x) <= 1.5
    assert "sor" in tried
    rule = rule_of(ksp)
    assert rule is None or rule.arms[1].tighten > 0.0


@pytest.mark.parallel(1, 2)
def test_the_safe_arm_s_own_preconditioner_is_what_the_test_is_made_with():
    """As that of PETSc's own block Jacobi would judge it."""
    A = laplacian(N)
    ksp = with_arms(A, "blocks,sor", ksp_rtol=1e-6, **BLOCKS)
    blocks = native(A, ksp_type="cg")
    blocks.getPC().setType("bjacobi")
    blocks.setTolerances(rtol=1e-6)
    solve(ksp)
    force(ksp, arm=1)
    r, z = A.createVecs()
    for seed in range(5):
        b, x = solve(ksp, seed)
        blocks.setUp()
        norms = []
        A.mult(x, r)
        r.aypx(-1.0, b)
        for vector in (r, b):
            blocks.getPC().apply(vector, z)
            norms.append(z.norm())
        assert norms[0] <= 1.5e-6 * norms[1]


@pytest.mark.parametrize("norm", ["preconditioned", "unpreconditioned"])
@pytest.mark.parametrize("start", [None, 0.3])
def test_eisenstat_s_form_takes_the_iterations_of_petsc_s_own(norm, start):
    A, flags = laplacian(40), {"ksp_norm_type": norm, "ksp_rtol": 1e-8}
    ksp = with_arms(A, "sor,eisenstat", pc_sorlearn_learner="fixed", pc_sorlearn_omega=1.7, **flags)
    own = native(A, f"eisenstat{next(_numbers)}_", ksp_type="cg", **flags)
    prefix = own.getOptionsPrefix()
    PETSc.Options(prefix)["pc_type"] = "eisenstat"
    PETSc.Options(prefix)["pc_eisenstat_omega"] = 1.7
    own.setFromOptions()
    own.setInitialGuessNonzero(start is not None)
    solve(ksp)
    force(ksp, arm=1)
    for seed in range(3):
        b, x = solve(ksp, seed, start)
        y = x.duplicate()
        y.set(start or 0.0)
        own.solve(b, y)
        eisenstat = arms_of(ksp).all[1]
        assert eisenstat.ksp.getIterationNumber() == own.getIterationNumber() and eisenstat.omega == 1.7
        if arms_of(ksp).in_use is eisenstat:
            assert (x - y).norm() == 0.0
        left = user_test(ksp, b, x, omega=1.7) if norm == "preconditioned" else true_residual(A, b, x) / 1e-8
        assert left <= 1.5


def test_where_eisenstat_s_form_fails_the_right_hand_side_is_as_it_was(monkeypatch):
    A = laplacian(N)
    ksp = with_arms(A, "sor,eisenstat")
    solve(ksp)
    force(ksp, arm=1)
    solver = ksp.getPythonContext()
    solve_with, failing = solver.solve_with, arms_of(ksp).all[1].ksp

    def failing_after_its_solve_began(inner, b, x, **how):
        if inner is failing:
            b.scale(3.0)
            raise PETSc.Error(76)
        return solve_with(inner, b, x, **how)

    monkeypatch.setattr(solver, "solve_with", failing_after_its_solve_began)
    given, _ = random_rhs(A, 3)
    b, x = solve(ksp, 3)
    assert (b - given).norm() == 0.0 and true_residual(A, given, x) < 1e-4
    b.set(1.0)


def test_eisenstat_s_form_and_sor_share_what_they_learn_of_omega():
    A = laplacian(60)
    ksp = with_arms(A, "sor,eisenstat", ksp_norm_type="unpreconditioned")
    solve(ksp)
    at_one, its = ksp.getIterationNumber(), []
    force(ksp, arm=1)
    for seed in range(30):
        b, x = solve(ksp, seed)
        assert true_residual(A, b, x) <= 1.5e-5
        its.append(ksp.getIterationNumber())
    assert sum(its[-10:]) < 0.75 * 10 * at_one
    force(ksp, arm=0)
    solve(ksp)
    assert arms_of(ksp).all[0].omega > 1.2


# -- what goes wrong


@pytest.mark.parallel(1, 2)
def test_a_failing_arm_s_solve_is_done_by_the_safe_arm_before_the_application_notices():
    A = laplacian(N)
    ksp = with_arms(A, "sor,broken", **python_pc("broken", "Broken"))
    ksp.setErrorIfNotConverged(True)
    solve(ksp)
    force(ksp, arm=1)
    for seed, start in enumerate((None, 0.3, None, 0.3)):
        b, x = solve(ksp, seed, start)
        assert ksp.getConvergedReason() > 0 and true_residual(A, b, x) < 1e-4
        assert arms_of(ksp).in_use.name == "sor"
    rule = rule_of(ksp)
    assert rule is None or rule.arms[1].wait > 0


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize("arm", ["refusing", "nosuch"])
def test_an_arm_that_is_not_there_or_refuses_the_matrix_is_left_out_with_one_line(arm, capfd):
    A = laplacian(N)
    ksp = with_arms(A, f"sor,{arm},jacobi", **(python_pc(arm, "Refusing") if arm == "refusing" else {}))
    solve(ksp)
    there, rule = arm != "nosuch", rule_of(ksp)
    force(ksp, arm=1)
    b, x = solve(ksp)
    assert ksp.getConvergedReason() > 0 and true_residual(A, b, x) < 1e-4
    b.set(1.0)
    x.set(0.0)  # neither is locked
    assert [arm.name for arm in arms_of(ksp).all] == ["sor", *[arm] * there, "jacobi"]
    assert rule is None or rule.arms[1].absent is there
    said = [line for line in capfd.readouterr().err.splitlines() if "left out" in line]
    if rule is not None:
        assert len(said) == 1 and f"arm {arm}" in said[0] and f"sorlearn_{arm}_pc_type" in said[0], said


def test_a_trial_is_cut_off_and_gone_on_with(capfd):
    A = laplacian(40)
    ksp = with_arms(A, "sor,jacobi", ksp_norm_type="unpreconditioned")
    solve(ksp)
    force(ksp, arm=1, heir=0, limit=20, trial=1)
    seen = []
    ksp.setMonitor(lambda ksp, its, norm: seen.append((its, norm)))
    b, x = solve(ksp, 1)
    counts = [its for its, _ in seen]
    assert counts == sorted(counts) and counts.count(20) == 2 and counts[-1] == ksp.getIterationNumber()
    assert seen[21][1] == pytest.approx(seen[20][1])  # where it was cut off
    assert ksp.getConvergedReason() > 0 and true_residual(A, b, x) < 1.5e-5
    solves = arms_of(ksp).all[0].pc.getPythonContext().records
    assert len(solves) == 1  # what it went on with taught sorlearn.PC nothing


def test_after_an_exception_where_a_trial_is_gone_on_with_sor_goes_on_learning():
    A = laplacian(40)
    ksp = with_arms(A, "sor,jacobi", ksp_norm_type="unpreconditioned")
    solve(ksp)
    force(ksp, arm=1, heir=0, limit=20, trial=1)
    seen = []

    def monitor(ksp, its, norm):
        seen.append(its)
        if its == 25 and seen.count(25) == 1:
            raise KeyError("mine")

    ksp.setMonitor(monitor)
    with pytest.raises((KeyError, PETSc.Error)):
        solve(ksp, 1)
    assert seen.count(20) == 2  # it was in the continuation
    sor = arms_of(ksp).all[0].pc.getPythonContext()
    force(ksp, arm=0)
    before = len(sor.records)
    solve(ksp, 2)
    assert len(sor.records) == before + 1


def test_an_exception_of_the_application_s_reaches_it():
    A = laplacian(N)
    ksp = with_arms(A, "sor,jacobi")
    solve(ksp)
    force(ksp, arm=1)

    def monitor(ksp, its, norm):
        raise KeyError("mine")

    ksp.setMonitor(monitor)
    with pytest.raises((KeyError, PETSc.Error)) as caught:
        solve(ksp)
    assert isinstance(caught.value, KeyError) or "mine" in str(caught.value.__cause__)
    assert not rule_of(ksp).arms[1].absent


def test_an_error_in_choosing_is_told_once_and_the_safe_arm_solves(capfd):
    A = laplacian(N)
    ksp = with_arms(A, "sor,jacobi")
    solve(ksp)
    rule_of(ksp).choose = lambda *_: 1 / 0
    arms_of(ksp).choosing.left = 0
    for seed in range(3):
        b, x = solve(ksp, seed)
        assert true_residual(A, b, x) < 1e-4 and arms_of(ksp).in_use.name == "sor"
    assert capfd.readouterr().err.count("ZeroDivisionError") == 1


# -- choosing


@pytest.mark.parallel(1, 2)
def test_the_best_arm_is_found():
    """A factorisation of a matrix that doesn't change takes one iteration, SOR a hundred: clocks show it in the end."""
    A = laplacian(80)
    ksp = with_arms(A, "sor,direct", **DIRECT)
    used = []
    while len(used) < (2000 if RANKS == 1 else 150) and used[-50:].count("direct") <= 40:
        b, x = solve(ksp, len(used) % 10)
        assert true_residual(A, b, x) < 1e-4
        used.append(arms_of(ksp).in_use.name)
    assert used[0] == "sor"
    if RANKS == 1:
        assert used[-50:].count("direct") > 40


@pytest.mark.parallel(2, 4)
def test_ranks_with_clocks_of_their_own_decide_alike(monkeypatch):
    from time import perf_counter

    scale = 1.0 + 5.0 * PETSc.COMM_WORLD.getRank()
    for module in (room, arm_session):
        monkeypatch.setattr(module, "perf_counter", lambda: scale * perf_counter())
    A = laplacian(N)
    ksp = with_arms(A, "sor,blocks,gamg", **BLOCKS)
    for seed in range(60):
        fill(A, N, shift=-2.0 * (seed // 15))
        solve(ksp, seed)
        names = A.comm.tompi4py().allgather((arms_of(ksp).in_use.name, ksp.getIterationNumber()))
        assert len(set(names)) == 1


def test_an_arm_that_is_not_played_lets_go_of_its_memory(monkeypatch):
    monkeypatch.setattr(room, "IDLE", 5)
    A = laplacian(N)
    ksp = with_arms(A, "sor,direct", **DIRECT)
    solve(ksp)
    force(ksp, arm=1)
    solve(ksp)
    lag = arms_of(ksp).all[1].pc.getPythonContext()
    assert lag._upkeep.wrapped.pc is not None
    force(ksp, arm=0)
    for seed in range(5):
        solve(ksp, seed)
    assert lag._upkeep.wrapped.pc is None
    force(ksp, arm=1)
    b, x = solve(ksp)
    assert arms_of(ksp).in_use.name == "direct" and true_residual(A, b, x) < 1e-4


@pytest.mark.parallel(1, 2)
def test_a_solver_that_is_built_anew_goes_on_and_so_does_one_that_loads_what_was_saved(tmp_path_factory):
    comm = PETSc.COMM_WORLD.tompi4py() if RANKS > 1 else None
    path = str(tmp_path_factory.mktemp("arms") / "saved.json")
    path = comm.bcast(path) if comm else path
    A = laplacian(N)
    options = {"sorlearn_arms_save": path, "sorlearn_arms_load": path}
    first = with_arms(A, "sor,jacobi", **options)
    for seed in range(10):
        solve(first, seed)
    prefix, rule = first.getOptionsPrefix(), rule_of(first)
    tried = [arm.tried for arm in rule.arms] if rule else []
    first.destroy()
    again = from_options(A, prefix)
    solve(again)
    assert rule_of(again) is rule and arms_of(again).choosing.solves == 11
    again.destroy()
    deciding.registry.waiting.clear()
    loaded = from_options(A, prefix)
    solve(loaded)
    if rule:
        assert rule_of(loaded) is not rule
        assert sum(arm.tried for arm in rule_of(loaded).arms) > sum(tried) > 0


def test_nothing_is_left_of_solvers_that_come_and_go():
    """No vector, of which one has 80,000 bytes."""
    A, prefix = laplacian(100), "gone_"
    for name, value in {"ksp_type": "python", "ksp_python_type": "sorlearn.KSP", "sorlearn_ksp_type": "cg",
                        "sorlearn_arms": "sor,eisenstat,cholesky,jacobi"}.items():  # fmt: skip
        PETSc.Options(prefix)[name] = value
    b, x = random_rhs(A)

    def some(solvers):
        for _ in range(solvers):
            ksp = from_options(A, prefix)
            for arm in range(4):
                ksp.solve(b, x)
                force(ksp, arm=arm)
            ksp.destroy()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    before = some(10)
    assert (some(40) - before) / 40 < 40_000


def test_an_option_of_its_own_and_those_that_all_arms_share():
    A = laplacian(N)
    ksp = with_arms(A, "sor,jacobi,blocks", sorlearn_ksp_gmres_restart=7, sorlearn_jacobi_ksp_type="minres", **BLOCKS)
    arms = arms_of(ksp).all
    assert [arm.ksp.getType() for arm in arms] == ["cg", "minres", "cg"]
    assert all(arm.ksp.getOptionsPrefix().endswith(f"_sorlearn_{arm.name}_") for arm in arms)
    pc = "-heat_pc_type python -heat_pc_python_type sorlearn.Lag -heat_lag_pc_type jacobi"
    assert arms[1].words("heat_") == pc


@pytest.mark.parametrize(
    ("ksp_type", "known", "name"), [("cg", None, "icc"), ("gmres", None, "ilu"), ("gmres", True, "icc")]
)
def test_auto_offers_what_suits_the_matrix(ksp_type, known, name):
    A = laplacian(N)
    if known:
        A.setOption(PETSc.Mat.Option.SYMMETRIC, True)
    ksp = with_arms(A, "auto", ksp_type)
    b, x = solve(ksp)
    names = [arm.name for arm in arms_of(ksp).all]
    assert names[0] == "sor" and name in names and "mg" not in names
    assert true_residual(A, b, x) < 1e-4


# -- the solver that the application knows


def test_a_single_arm_sor_is_the_guarded_solver():
    A = laplacian(N)
    assert arms_of(with_arms(A, "sor")) is None


@pytest.mark.parametrize(("shift", "skew", "says"), [(9.0, 0.0, "diagonal"), (0.0, 0.5, "symmetric")])
@pytest.mark.parametrize("kind", ["icc", "cholesky"])
def test_a_set_up_that_might_never_end_is_not_begun(kind, shift, skew, says, capfd):
    """Manteuffel's shift of a matrix that isn't symmetric positive definite."""
    A = laplacian(N, shift)
    A.setValue(0, 1, -1.0 - skew)
    A.assemble()
    ksp = with_arms(A, f"sor,{kind}", "gmres")
    solve(ksp)
    force(ksp, arm=1)
    b, x = solve(ksp)
    assert true_residual(A, b, x) < 1e-3 and rule_of(ksp).arms[1].absent
    assert says in capfd.readouterr().err


def test_what_rounding_left_on_one_side_makes_no_matrix_unsymmetric():
    A = laplacian(N)
    A.setOption(PETSc.Mat.Option.NEW_NONZERO_ALLOCATION_ERR, False)
    A.setValue(0, A.getSize()[1] - 1, 1e-17)
    A.assemble()
    assert not A.isSymmetric(1e-8)
    ksp = with_arms(A, "sor,icc")
    solve(ksp)
    force(ksp, arm=1)
    b, x = solve(ksp)
    assert arms_of(ksp).in_use.name == "icc" and true_residual(A, b, x) < 1e-4


@pytest.mark.parallel(1, 2)
def test_matrices_come_and_go():
    """Other values, another matrix, another size with reset; and the safe arm solves transposed systems."""
    A, B, C = laplacian(N), laplacian(N, -1.0), laplacian(9)
    A.setOption(PETSc.Mat.Option.SYMMETRIC, True)
    ksp = with_arms(A, "sor,blocks", **BLOCKS)
    for matrix in (A, B, C):
        if matrix is C:
            ksp.reset()
        ksp.setOperators(matrix)
        for arm in (0, 1):
            if arm:
                force(ksp, arm=arm)
            b, x = solve(ksp)
            assert ksp.getConvergedReason() > 0 and true_residual(matrix, b, x) < 1e-4
    ksp.reset()
    ksp.setOperators(A)
    b, x = random_rhs(A)
    ksp.solveTranspose(b, x)
    assert true_residual(A, b, x) < 1e-4 and arms_of(ksp).in_use.name == "sor"


def test_reuse_that_the_application_asks_for_is_respected():
    A = laplacian(N)
    ksp = with_arms(A, "sor,direct", **DIRECT)
    solve(ksp)
    force(ksp, arm=1)
    solve(ksp)
    ksp.getPC().setReusePreconditioner(True)
    for shift in (-1.0, -2.0, -3.0):
        fill(A, N, shift)
        solve(ksp)
    assert arms_of(ksp).all[1].pc.getPythonContext().tally.set_ups == 1


@pytest.mark.parametrize("options", [{"ksp_norm_type": "none", "ksp_max_it": 5}, {"ksp_convergence_test": "skip",
                                     "ksp_max_it": 5}], ids=["no norm", "no test"])  # fmt: skip
def test_where_solves_say_nothing_the_safe_arm_stays(options, tmp_path):
    A = laplacian(N)
    ksp = with_arms(A, "sor,jacobi", **options)
    for seed in range(5):
        solve(ksp, seed)
        assert arms_of(ksp).in_use.name == "sor"
    assert any("held" in line and "remedy" in line for line in arms_of(ksp).state())


def test_inside_another_solver_the_safe_arm_stays_unless_that_is_flexible():
    A, used = laplacian(N), {}
    for outer in ("gmres", "fgmres"):
        prefix = f"outer{next(_numbers)}_"
        database = PETSc.Options(prefix)
        for name, value in {"ksp_type": outer, "pc_type": "ksp", "ksp_ksp_type": "python", "ksp_ksp_rtol": 1e-2,
                            "ksp_ksp_python_type": "sorlearn.KSP", "ksp_sorlearn_ksp_type": "cg",
                            "ksp_sorlearn_arms": "sor,jacobi"}.items():  # fmt: skip
            database[name] = value
        ksp = from_options(A, prefix)
        solve(ksp)
        assert ksp.getConvergedReason() > 0
        used[outer] = arms_of(ksp.getPC().getKSP())._held
    assert used["fgmres"] is None and "flexible" in used["gmres"]


@pytest.mark.parametrize(("given", "says"), [("sor,,icc", "must be different names"), ("icc,icc", "must be different"),
                                             ("nosuch,sor", "remedy: begin with sor"),
                                             ("eisenstat,sor", "remedy: begin with sor")])  # fmt: skip
def test_wrong_arms_are_named(given, says):
    with pytest.raises((OptionError, PETSc.Error)) as caught:
        with_arms(laplacian(8), given)
    text = str(caught.value) + str(caught.value.__cause__)
    assert "sorlearn_arms" in text and says in text


# -- what is said


@pytest.mark.parametrize("nprocs", [1, 2])
def test_a_c_application_by_flags(compiled, tmp_path, nprocs):
    """Its answer, and all that is said: view, monitor, journal, report, summary with its advice."""
    program, arguments = compiled(ROOT / "demos/c/heat.c"), ["-da_grid_x", 64, "-da_grid_y", 64, "-ts_max_steps", 100]
    direct = "-sorlearn_direct_pc_type " + ("cholesky" if nprocs == 1 else "redundant")
    plain = run(nprocs, program, *arguments, options="-ksp_type cg -pc_type sor -ksp_rtol 1e-9", cwd=tmp_path).stdout
    more = "-sorlearn_arms_monitor -sorlearn_arms_summary -sorlearn_arms_journal run.jsonl -ksp_view -options_left"
    flags = f"-python {FLAGS} -sorlearn_arms sor,jacobi,direct {direct} -ksp_rtol 1e-9"
    ours = run(nprocs, program, *arguments, options=f"{flags} {more}", cwd=tmp_path).stdout
    entries = journal.read(str(tmp_path / "run.jsonl"))
    assert {entry["schema"] for entry in entries} == {2} and entries[0]["arm"] == "sor"
    assert {"sor"} < {entry["arm"] for entry in entries} <= {"sor", "jacobi", "direct"}
    assert all((entry["omega"] is None) == (entry["arm"] != "sor") for entry in entries)
    assert [entry["solve"] for entry in entries] == list(range(1, len(entries) + 1))
    table = report.table(entries)
    assert f"(no prefix) {entries[-1]['arm']}" in table
    report.draw(entries, str(tmp_path / "run.png"))
    for words in ("solve 1: arm sor with omega 1.0000", "sorlearn.KSP: arm ", "sorlearn.KSP summary of (no prefix)",
                  "advice: of single solvers, -ksp_type cg -pc_type python", "no unused options"):  # fmt: skip
        assert words in ours, ours
    norms = [float(re.search(r"norm of the solution (\S+)", text)[1]) for text in (plain, ours)]
    assert norms[0] == pytest.approx(norms[1], rel=1e-6)


def test_journals_of_both_schemas_are_read_together(tmp_path):
    A, path = laplacian(N), str(tmp_path / "both.jsonl")
    ksp = with_arms(A, "sor,jacobi", sorlearn_arms_journal=path, pc_sorlearn_journal=path)
    for seed in range(3):
        solve(ksp, seed)
    entries = journal.read(path)
    assert {entry["schema"] for entry in entries} == {1, 2}
    assert all("arm" not in entry for entry in entries if entry["schema"] == 1)
    assert json.loads(journal.line("x", arm_record()))["schema"] == 1


def arm_record():
    from sorlearn.records.arms import ArmRecord

    return ArmRecord(solve=1, arm="icc", omega=None, iterations=3, reason=2, cost=0.1, seconds=0.1)


def test_inside_ts(tutorial, tmp_path):
    program = tutorial("ts/tutorials/ex13.c")
    arguments = "-ts_max_steps 40 -da_grid_x 32 -da_grid_y 32 -ts_monitor -ksp_converged_reason".split()
    plain = run(1, program, *arguments, options="-ksp_type cg -pc_type sor", cwd=tmp_path).stdout
    flags = f"-python {FLAGS} -sorlearn_arms sor,icc,mg,cholesky -options_left"
    ours = run(1, program, *arguments, options=flags, cwd=tmp_path).stdout
    steps = [[line for line in text.splitlines() if "TS dt" in line] for text in (plain, ours)]
    assert steps[0] == steps[1] != [] and "did not" not in ours and "no unused options" in ours


def test_end_of_the_interpreter(tmp_path):
    """Solvers that nobody destroyed don't crash it, and the summary comes."""
    script = tmp_path / "app.py"
    script.write_text(f"""
import sys
sys.path[:0] = [{str(ROOT / "tests")!r}]
from systems import *
ksp = from_options(laplacian(8), "")
b, x = random_rhs(ksp.getOperators()[0])
for _ in range(12):
    ksp.solve(b, x)
print("end")
""")
    output = run(1, sys.executable, script, options=f"{FLAGS} -sorlearn_arms sor,icc,gamg -sorlearn_arms_summary",
                 cwd=tmp_path).stdout  # fmt: skip
    assert "end" in output and "summary of (no prefix): 12 solves" in output


def test_the_advice_counts_all_solves():
    """Those that have repeated the last decision, too."""
    ksp = with_arms(laplacian(N), "sor,blocks", ksp_rtol=1e-6, **BLOCKS, sorlearn_arms_summary=True)
    for number in range(20):
        solve(ksp, number)
    rule, tally = rule_of(ksp), arms_of(ksp).choosing.session.tally
    before, since = float(tally.alone[1][0]), rule._since
    ksp.destroy()
    assert since > 0 == rule._since and tally.alone[1][0] > before


def test_solvers_of_one_name_share_a_summary_where_their_arms_are_the_same():
    A, more = laplacian(N), laplacian(N + 1)
    ksp = with_arms(A, "sor,jacobi", sorlearn_arms_summary=True)
    prefix, sessions = ksp.getOptionsPrefix(), []
    for matrix, arms in ((A, "sor,jacobi"), (more, "sor,jacobi"), (more, "sor,jacobi,blocks")):
        PETSc.Options(prefix)["sorlearn_arms"] = arms
        PETSc.Options(prefix)["sorlearn_blocks_pc_type"] = "bjacobi"
        ksp = from_options(matrix, prefix)
        for number in range(12):
            fill(matrix, N + (matrix is more), shift=-0.01 * number)
            solve(ksp, number)
        sessions.append(arms_of(ksp).choosing.session)
        ksp.destroy()
    one, other, third = (session.tally for session in sessions)
    assert one is other is not third
    assert sum(one.solves) == 24 and sum(third.solves) == 12
    assert sessions[0].rule.total is sessions[1].rule.total is one.alone
