"""Whole solvers to choose among: whichever solves, the answer is what the safe one would have been asked for."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from armed import BLOCKS, DIRECT, N, arms_of, force, new_prefix, python_pc, rule_of, solve, with_arms
from petsc4py import PETSc
from systems import fill, from_options, laplacian, native, one_sided, random_rhs, true_residual, user_test

from sorlearn.errors import OptionError
from sorlearn.petsc import beforehand, fast
from sorlearn.petsc.answers import Answers
from sorlearn.petsc.arm import KeptArm
from sorlearn.petsc.beforehand import factorisation
from sorlearn.petsc.heard import Heard
from sorlearn.petsc.ksp import KSP
from sorlearn.tuning.record import MET

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
    own = native(A, new_prefix(), ksp_type="cg", **flags)
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


def test_a_trial_of_eisenstat_s_form_that_is_cut_off_says_nothing_of_omega():
    ksp = with_arms(laplacian(40), "sor,eisenstat", ksp_norm_type="unpreconditioned")
    solve(ksp)
    learner = arms_of(ksp).all[0].pc.getPythonContext()
    counts = []
    for limit in (0, 5, 0):
        force(ksp, arm=1, limit=limit, trial=1)
        solve(ksp, 1)
        assert arms_of(ksp).in_use.name == ("sor" if limit else "eisenstat")
        counts.append(len(learner.records))
    assert counts == [2, 2, 3] and all(record.iterations > 5 and record.reason in MET for record in learner.records)


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
@pytest.mark.parametrize("heard", [False, True])
@pytest.mark.parametrize("arm", ["Refusing", "GivingUp", "Misspelt", "nosuch"])
def test_an_arm_that_is_not_there_or_refuses_the_matrix_is_left_out_with_one_line(arm, heard, capfd):
    A = laplacian(N)
    ksp = with_arms(A, f"sor,{arm},jacobi", **(python_pc(arm, arm) if arm != "nosuch" else {}))
    if heard:
        ksp.setMonitor(lambda ksp, its, norm: None)
    solve(ksp)
    there, rule = arm not in ("Misspelt", "nosuch"), rule_of(ksp)
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


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize("start", [None, 0.5])
def test_what_is_cut_off_of_the_safe_arm_is_gone_on_with_too(start):
    A = laplacian(40)
    ksp = with_arms(A, "sor,jacobi", ksp_norm_type="unpreconditioned")
    solve(ksp)
    force(ksp, arm=0, heir=1, limit=4, trial=1)
    b, x = solve(ksp, 1, start)
    assert ksp.getIterationNumber() > 4 and true_residual(A, b, x) < 1.5e-5


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize("norm", ["unpreconditioned", "preconditioned", "natural"])
@pytest.mark.parametrize("ksp_type", ["cg", "gmres", "fcg", "bcgs", "lsqr"])
def test_where_nobody_watches_petsc_cuts_it_off_by_itself(ksp_type, norm, monkeypatch):
    lacking = {"gmres": ["natural"], "bcgs": ["natural", "unpreconditioned"], "lsqr": ["natural", "preconditioned"]}
    if norm in lacking.get(ksp_type, []):
        pytest.skip("PETSc has no such norm there")
    A = laplacian(40)
    ksp = with_arms(A, "sor,jacobi", ksp_type, ksp_norm_type=norm)
    solve(ksp)
    monkeypatch.setattr(Heard, "_converged", lambda *_: pytest.fail("Python was asked in an iteration"))
    notes, rule = [], rule_of(ksp)
    if rule:
        monkeypatch.setattr(rule, "note", lambda played, *_: notes.append(played))
    for limit in (20, 10000):
        force(ksp, arm=1, heir=0, limit=limit, trial=1)
        b, x = solve(ksp, 1)
        assert ksp.getConvergedReason() > 0
        assert ksp_type == "lsqr" or user_test(ksp, b, x) < 1.5  # LSQR may have ended by the normal equations
        assert ksp.getTolerances()[3] == 10000
    if rule:
        short, whole = notes
        assert short.cut and short.iterations == 20 and not short.failed and short.lacks is None
        assert not whole.cut and whole.iterations > 20 and whole.lacks is not None


@pytest.mark.parametrize("norm, goes_by", [("unpreconditioned", True), ("preconditioned", False)])
def test_clocks_leave_out_what_python_does_where_most_solves_do_without_it_and_there_only(norm, goes_by, monkeypatch):
    if fast.library() is None:
        goes_by = False

    def slow(method):
        def slower(*arguments):
            time.sleep(0.02)
            return method(*arguments)

        return slower

    A = laplacian(N)
    ksp = with_arms(A, "sor,blocks", ksp_norm_type=norm, **BLOCKS)
    solve(ksp)
    notes = []
    monkeypatch.setattr(rule_of(ksp), "note", lambda played, *_: notes.append(played.seconds))
    monkeypatch.setattr(KeptArm, "undisturbed", 1e6)
    monkeypatch.setattr(KeptArm, "ended", slow(KeptArm.ended))
    monkeypatch.setattr(Answers, "_judge", slow(Answers._judge))
    force(ksp, arm=1)
    solve(ksp, 1)
    assert notes == [1e6] if goes_by else 0.04 < notes[0] < 1e6


def test_the_clock_of_another_solve_isn_t_read():
    """Where the preconditioner's own callbacks go by without Python, they say nothing of the time."""
    ksp = with_arms(laplacian(N), "sor,jacobi")
    solve(ksp)
    arm = arms_of(ksp).all[0]
    assert arm.undisturbed is not None
    arm.pc.getPythonContext().undisturbed = 999.0
    arm.set_up(ksp)
    assert arm.undisturbed is None


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


@pytest.mark.parametrize(("kind", "stem"), [
    ("cholesky", ""), ("lu", ""), ("redundant", "redundant_"), ("gamg", "mg_coarse_sub_"), ("bjacobi", "sub_"),
])  # fmt: skip
@pytest.mark.parametrize(("declared", "ordering", "begun"), [
    (True, None, False), (True, "qmd", False), (True, "rcm", True), (False, None, True),
])  # fmt: skip
def test_nor_is_a_search_for_an_ordering_that_would_go_on_for_ever(declared, ordering, begun, kind, stem, capfd):
    """PETSc's does where a matrix is declared symmetric and an entry, here a zero, stands on one side only."""
    A, own = one_sided(40), f"sorlearn_{kind}_{stem}"
    options = {f"{own}pc_type": "lu"} if kind == "bjacobi" else {}
    if ordering:
        options[f"{own}pc_factor_mat_ordering_type"] = ordering
    if declared:
        A.setOption(PETSc.Mat.Option.SYMMETRIC, True)
    ksp = with_arms(A, f"sor,{kind}", **options)
    solve(ksp)
    force(ksp, arm=1)
    b, x = solve(ksp)
    assert true_residual(A, b, x) < 1e-4 and rule_of(ksp).arms[1].absent is not begun
    said = capfd.readouterr().err
    assert ("declared symmetric" in said and f"{own}pc_factor_mat_ordering_type rcm" in said) is not begun


def test_what_a_factorisation_takes_goes_by_the_width_of_the_graph_however_it_is_numbered(monkeypatch):
    searched, search = [], beforehand._widest
    monkeypatch.setattr(beforehand, "_widest", lambda *graph: searched.append(0) or search(*graph))
    A = laplacian(60)
    order = PETSc.IS().createGeneral(np.random.default_rng(0).permutation(3600).astype(PETSc.IntType))
    shuffled = A.permute(order, order)
    natural = factorisation(A)
    assert not searched
    other = factorisation(shuffled)
    assert len(searched) == 1
    assert natural / 2 <= other <= 8 * natural  # as wide as from side to side, or from corner to corner
    assert factorisation(laplacian(120)) == pytest.approx(8 * natural)


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
        prefix = new_prefix()
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


# -- put in by code


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize("set_up", [False, True])
def test_arms_of_a_context_that_was_put_in_by_code(set_up):
    """Options are read in KSPSetUp, which goes on with the PC that the KSP had before, in newer PETScs."""
    A, prefix = laplacian(N), new_prefix()
    database = PETSc.Options(prefix)
    for name, value in {"sorlearn_arms": "sor,blocks", "sorlearn_ksp_type": "cg", **BLOCKS}.items():
        database[name] = value
    ksp = PETSc.KSP().create(A.comm)
    ksp.setOptionsPrefix(prefix)
    ksp.setType("python")
    ksp.setPythonContext(KSP())
    ksp.setOperators(A)
    if set_up:
        ksp.setUp()
    for seed in range(3):
        solve(ksp, seed)
        assert ksp.getConvergedReason() > 0
    assert len(arms_of(ksp).all) == 2
    ksp.destroy()


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize("ends", [lambda ksp: solve(ksp), lambda ksp: ksp.reset(), lambda ksp: ksp.destroy()],
                         ids=["solve", "reset", "destroy"])  # fmt: skip
@pytest.mark.parametrize("read_in", ["setFromOptions", "setUp"])
def test_the_preconditioner_before_arms_is_let_go_of(read_in, ends):
    """It may hold factors."""
    A, prefix = laplacian(N), new_prefix()
    ksp = PETSc.KSP().create(A.comm)
    ksp.setOptionsPrefix(prefix)
    ksp.setOperators(A)
    ksp.getPC().setType("bjacobi")
    solve(ksp)
    former = ksp.getPC()
    database = PETSc.Options(prefix)
    for name, value in {"sorlearn_arms": "sor,blocks", "sorlearn_ksp_type": "cg", **BLOCKS}.items():
        database[name] = value
    ksp.setType("python")
    ksp.setPythonContext(KSP())
    getattr(ksp, read_in)()
    assert ksp.getPC() != former and former.getRefCount() == 2
    ends(ksp)
    assert former.getRefCount() == 1


@pytest.mark.parametrize("arms", [{"sorlearn_arms": "sor"}, {}])
def test_what_is_said_of_arms_where_there_are_none(arms, capfd):
    A, prefix = laplacian(N), new_prefix()
    database = PETSc.Options(prefix)
    flags = {"ksp_type": "python", "ksp_python_type": "sorlearn.KSP", "sorlearn_arms_summary": "", **arms}
    for name, value in flags.items():
        database[name] = value
    ksp = from_options(A, prefix)
    solve(ksp)
    said = capfd.readouterr().err
    assert f"-{prefix}sorlearn_arms_summary has no effect" in said and f"remedy: -{prefix}pc_sorlearn_summary" in said
    ksp.destroy()
