"""What may go wrong with arms in ways that answers don't show at once: PETSc's own states, answers worse than none."""

from __future__ import annotations

from math import log

import pytest
from armed import BLOCKS, N, arms_of, force, python_pc, rule_of, solve, with_arms
from petsc4py import PETSc
from systems import fill, from_options, laplacian, random_rhs, true_residual, user_test
from test_ksp import trying

from sorlearn.errors import OptionError
from sorlearn.learners import NO_CONTEXT
from sorlearn.petsc import delegate, fast
from sorlearn.petsc.rescue import keeps_guess
from sorlearn.records.arms import Tally
from sorlearn.tuning.arms import Rule
from sorlearn.tuning.clocks import Paces
from sorlearn.tuning.play import Played

RIGHT = {"ksp_pc_side": "right", "ksp_norm_type": "unpreconditioned", "ksp_rtol": 1e-6}


def fail(ksp, its, norm):
    if its == 2:
        raise ZeroDivisionError


def forgets(ksp_type):
    """Whether natively a solve from zero is the same after one from another guess."""
    ksp = PETSc.KSP().create()
    ksp.setType(ksp_type)
    ksp.getPC().setType("bjacobi")
    ksp.setOperators(laplacian(N))
    ksp.setPCSide(PETSc.PC.Side.RIGHT)
    ksp.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
    lengths = []
    for guess in (0.0, 0.3, 0.0):
        b, x = random_rhs(ksp.getOperators()[0])
        x.set(guess)
        ksp.setInitialGuessNonzero(guess > 0.0)
        ksp.solve(b, x)
        lengths.append(true_residual(ksp.getOperators()[0], b, x))
    return ksp, lengths[2] <= 2.0 * lengths[0]


@pytest.mark.parametrize("ksp_type", ["bcgs", "gmres", "fgmres", "cgs", "tfqmr", "fbcgs", "ibcgs", "gcr", "lgmres"])
def test_which_methods_never_forget_a_guess(ksp_type):
    ksp, found = forgets(ksp_type)
    assert keeps_guess(ksp) is not found


@pytest.mark.parallel(1, 2)
def test_a_method_that_never_forgets_a_guess_is_given_none():
    """What is cut off is done by another arm, whose own answers are as good as ever after that."""
    A = laplacian(N)
    ksp = with_arms(A, "sor,bjacobi", "bcgs", **RIGHT)
    solve(ksp)
    for seed in range(12):
        force(ksp, **({"arm": 0} if seed % 3 else {"arm": 1, "limit": 2.0, "heir": 0}))
        b, x = solve(ksp, seed)
        assert ksp.getConvergedReason() > 0 and true_residual(A, b, x) <= 1.5e-6


def test_after_an_error_in_eisenstat_s_form_the_matrix_is_the_application_s_again():
    A = laplacian(N)
    ksp = with_arms(A, "sor,eisenstat", ksp_rtol=1e-6)
    solve(ksp)
    for seed in range(6):
        force(ksp, arm=1)
        if seed % 2 == 0:
            ksp.setMonitor(fail)
            with pytest.raises((ZeroDivisionError, PETSc.Error)):
                solve(ksp, seed)
            assert arms_of(ksp).all[1].pc.getOperators()[0] == A
            delegate.cancel_monitors(ksp)
        fill(A, N, -0.01)
        b, x = solve(ksp, seed)
        assert true_residual(A, b, x) <= 1e-4
    references = A.getRefCount()
    ksp.destroy()
    assert 1 <= A.getRefCount() < references


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize("first", ["sor", "bjacobi"])
def test_an_answer_that_is_worse_than_none_is_no_answer(first):
    """Going on from it would end at once in DIVERGED_DTOL."""
    A = laplacian(N)
    ksp = with_arms(A, f"{first},spoiling", "gmres", ksp_rtol=1e-5, sorlearn_spoiling_ksp_type="preonly",
                    **python_pc("spoiling", "Spoiling"))  # fmt: skip
    solve(ksp)
    force(ksp, arm=1)
    for seed in range(4):
        b, x = solve(ksp, seed)
        assert ksp.getConvergedReason() > 0 and true_residual(A, b, x) <= 1e-3


@pytest.mark.parallel(1, 2)
def test_a_safe_arm_that_has_no_set_up_is_set_up_to_judge():
    A = laplacian(N)
    ksp = with_arms(A, "jacobi,bjacobi", ksp_rtol=1e-6)
    for seed in range(3):
        solve(ksp, seed)
    force(ksp, arm=1)
    ksp.reset()
    ksp.setOperators(A)
    b, x = solve(ksp, 4)
    assert ksp.getConvergedReason() > 0 and true_residual(A, b, x) <= 1e-4


@pytest.mark.parallel(1, 2)
def test_errors_of_the_application_leave_no_solve_under_way():
    ksp = with_arms(laplacian(N), "sor,bjacobi")
    for seed in range(4):
        ksp.setMonitor(fail)
        with pytest.raises((ZeroDivisionError, PETSc.Error)):
            solve(ksp, seed)
        delegate.cancel_monitors(ksp)
        solve(ksp, seed)
        assert ksp.getConvergedReason() > 0


@pytest.mark.parallel(1, 2)
@pytest.mark.both_ways
def test_a_right_hand_side_of_zero_says_nothing_of_digits(monkeypatch):
    """PETSc's own test measures against the first residual there, and so would leave 42 digits too few."""
    A = laplacian(N)
    ksp = with_arms(A, "sor,bjacobi", ksp_norm_type="unpreconditioned", ksp_rtol=1e-6)
    ksp.setInitialGuessNonzero(True)
    for seed in range(60):
        if seed % 20 == 1:
            force(ksp, arm=1, repeats=20)
        b, x = random_rhs(A, seed)
        x.set(0.1)
        if seed % 7 == 6:
            b.set(0.0)
        ksp.solve(b, x)
        rule = rule_of(ksp)
        assert rule is None or max(arm.tighten for arm in rule.arms) <= 1.0, (seed, fast.library())


def test_an_arm_whose_answers_failed_isn_t_advised():
    tally = Tally(["sor", "ilu"], ["-pc_type sor", "-pc_type ilu"])
    tally.solves, tally.rescued, tally.seconds = [100, 4], [0, 3], [1.0, 0.1]
    tally.alone[:] = [[1.1, 0.1]] * 3
    assert "-pc_type sor is expected" in tally.summary("")
    tally.rescued[1] = 1
    assert "-pc_type ilu is expected" in tally.summary("")


def test_the_guarded_solver_s_answers_pass_after_one_was_gone_on_with():
    A = laplacian(30, -0.3)
    ksp = trying(A, "bcgs", **RIGHT)
    for seed in range(40):
        b, x = solve(ksp, seed)
        assert true_residual(A, b, x) <= 1.5e-6
    assert user_test(ksp, b, x) <= 1.5


@pytest.mark.parametrize("ksp_type", ["cg", "gmres"])
def test_extreme_singular_values(ksp_type):
    """KSPs make room for them when they are set up, which is before an arm solves."""
    A = laplacian(N)
    ksp, found = with_arms(A, "sor,jacobi", ksp_type), []
    for at_first in (False, True):  # of an arm that has solved already, or not
        ksp.setComputeSingularValues(at_first)
        for arm in (0, 1):
            solve(ksp)
            force(ksp, arm=arm)
            solve(ksp)
            assert ksp.getConvergedReason() > 0
        if at_first:
            found.append(ksp.computeExtremeSingularValues())
    (largest, least), = found
    assert 0.5 < largest < 2.5 and 0.0 < least < 0.2  # of what the last arm to solve has seen of M⁻¹A


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize(("rtol", "atol"), [(1e-6, 1e-4), (0.0, 1e-6), (1e-5, 1e-50)])
@pytest.mark.parametrize("norm", ["unpreconditioned", "preconditioned"])
def test_going_on_where_rtol_is_of_the_first_residual(rtol, atol, norm):
    """It is that of an answer there, which mustn't loosen what else was asked for."""
    A = laplacian(N, -0.01)
    asked = {"ksp_rtol": rtol, "ksp_atol": atol, "ksp_norm_type": norm,
             "ksp_converged_use_initial_residual_norm": None}  # fmt: skip
    ksp = with_arms(A, "sor,blocks", **BLOCKS, sorlearn_blocks_ksp_type="preonly", **asked)
    for seed in range(8):
        solve(ksp, seed)
    for seed in range(8):
        force(ksp, arm=1)
        b, x = solve(ksp, seed)
        assert ksp.getConvergedReason() > 0
        test = user_test(ksp, b, x)
        assert test <= 1.5


def test_a_clock_s_single_accident_in_a_batch_counts_no_more_than_alone():
    """One solve in which the process stood still, looked at or among 64 that nobody did."""
    alone, batches = Paces(), Paces()
    for _ in range(30):
        for _ in range(64):
            alone.note(5e-6, 10)
        batches.note(5e-6, 10, 64)
    alone.note(5e-3, 10)
    batches.note(5e-6 + 50e-3 / 64 / 10, 10, 64)
    assert alone.at(log(10)) == batches.at(log(10)) == 5e-6


def test_what_another_arm_has_to_do_counts_where_answers_fail():
    """An arm that doesn't iterate can't be told to solve further."""
    rule, plays = Rule(["sor", "jacobi"], 0.04), []
    for _ in range(400):
        play = rule.choose(NO_CONTEXT)
        plays.append(int(play.arm))
        played = Played(20, 2e-3) if not play.arm else Played(1, 1e-4, rest=2e-3, lacks=2.0)
        rule.note(played, 1e-6)
    assert plays.count(1) < 20


@pytest.mark.parallel(1, 2)
def test_the_preconditioner_outside_a_solve_is_that_of_the_matrix_at_hand():
    A, B, lengths = laplacian(N), laplacian(N, -1.0), []
    for arms in ("sor,blocks", "blocks,sor"):
        ksp = with_arms(A, arms, **BLOCKS, pc_sorlearn_learner="fixed")
        for matrix in (A, B) if arms.startswith("sor") else (A,):  # the other is kept
            ksp.setOperators(matrix)
            ksp.setUp()
            b, x = random_rhs(A)
            ksp.getPC().apply(b, x)
            plain = from_options(matrix, f"plain{arms[0]}_")
            plain.getPC().setType("sor" if arms.startswith("sor") else "bjacobi")
            plain.setUp()
            y = x.duplicate()
            plain.getPC().apply(b, y)
            y.axpy(-1.0, x)
            lengths.append(y.norm() / x.norm())
            solve(ksp)
    assert max(lengths) < 1e-12


@pytest.mark.parametrize("arms", [None, "sor,jacobi"])
def test_a_guarded_solver_in_another_one_is_refused(arms):
    own = {"sorlearn_ksp_type": "python", "sorlearn_ksp_python_type": "sorlearn.KSP",
           "sorlearn_sorlearn_ksp_type": "cg"}  # fmt: skip
    options = {"ksp_type": "python", "ksp_python_type": "sorlearn.KSP", **own}
    database = PETSc.Options("nested_")
    for name, value in {**options, **({"sorlearn_sorlearn_arms": arms} if arms else {})}.items():
        database[name] = value
    with pytest.raises((OptionError, PETSc.Error)) as raised:
        from_options(laplacian(N), "nested_")
    error = raised.value.__cause__ if isinstance(raised.value, PETSc.Error) else raised.value
    assert "remedy: -nested_sorlearn_ksp_type cg" in str(error)


@pytest.mark.parametrize("again", [False, True])
def test_singular_values_beside_trials_that_are_cut_off(again):
    """CG allows no other limit then than the one that it was set up for."""
    A = laplacian(40)
    ksp = with_arms(A, "blocks,sor", **BLOCKS)
    ksp.setComputeSingularValues(True)
    for seed in range(60):
        fill(A, 40, -0.01 * (seed % 7))
        if again and seed % 20 == 10:
            ksp.reset()
            ksp.setOperators(A)
        solve(ksp, seed)
        assert ksp.getConvergedReason() > 0
    largest, least = ksp.computeExtremeSingularValues()
    assert largest > least > 0.0
