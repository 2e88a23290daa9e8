"""Solves of an arm that go by without Python are what they would have been with it."""

from __future__ import annotations

import os
from contextlib import suppress

import numpy as np
import pytest
from armed import BLOCKS, N, arms_of, force, rule_of, solve, with_arms
from conftest import SWITCH
from petsc4py import PETSc
from systems import fill, laplacian, true_residual

from sorlearn.errors import OptionError
from sorlearn.petsc import fast, usertest
from sorlearn.petsc.arms import Arms
from sorlearn.petsc.clib import origin
from sorlearn.petsc.turns import Turns

LEFT, SOLVES = 6, 30
TRUE = {"ksp_norm_type": "unpreconditioned"}
FIXED = {"sorlearn_blocks_lag_solves": 3}  # clocks have no say in when it is set up
pytestmark = pytest.mark.skipif(os.environ.get(SWITCH) == "0" or not fast.library(), reason="there is no fast.c")


@pytest.fixture
def called(monkeypatch):
    """Numbers of the solves that come to Python."""
    found, original = [], Arms.solve

    def watched(self, solver, *arguments):
        found.append(solver.outer.getIterationNumber())
        return original(self, solver, *arguments)

    monkeypatch.setattr(Arms, "solve", watched)
    return found


def begun(names="sor,blocks", ksp_type="cg", repeats=LEFT, arm=0, **options):
    """A solver in which it is an arm's turn for so many solves."""
    ksp = with_arms(laplacian(N), names, ksp_type, ksp_rtol=1e-6, **BLOCKS, **options)
    solve(ksp)
    force(ksp, arm=arm, repeats=repeats)
    solve(ksp)
    return ksp


def march(ksp):
    """(iterations, reason, residual norm, solution) of solves with a matrix that changes slowly."""
    A, found = ksp.getOperators()[0], []
    for number in range(SOLVES):
        fill(A, N, shift=-0.1 * number)
        _, x = solve(ksp, number, start=0.5 if number % 7 == 3 else None)
        found.append((ksp.getIterationNumber(), ksp.getConvergedReason(), ksp.getResidualNorm(), x.norm()))
    return np.array(found)


@pytest.mark.parallel(1, 2, 3)
@pytest.mark.parametrize(("names", "arm"), [("sor,blocks", 0), ("blocks,sor", 0), ("sor,blocks", 1)])
def test_answers_and_counts_are_those_of_python(names, arm, called, monkeypatch):
    options = {**FIXED, **TRUE, "arm": arm}
    with monkeypatch.context() as without:
        without.setattr(Turns, "attach", lambda *_: None)
        slow = begun(names, **options)
        expected, calls = march(slow), len(called)
    called.clear()
    quick = begun(names, **options)
    assert np.array_equal(march(quick), expected)
    assert len(called) < calls / 2
    assert arms_of(quick).state()[-1] == arms_of(slow).state()[-1]
    for ksp in slow, quick:
        choosing = arms_of(ksp).choosing
        assert choosing.solves == SOLVES + 2 and (rule_of(ksp) is None or rule_of(ksp)._solves == choosing.solves)
        ksp.destroy()


CHANGES = {
    "a monitor": lambda ksp: ksp.setMonitor(lambda *_: None),
    "a history": lambda ksp: ksp.setConvergenceHistory(100),
    "a norm": lambda ksp: ksp.setNormType(PETSc.KSP.NormType.NATURAL),
    "a test": lambda ksp: ksp.setConvergenceTest(lambda *_: 1),
    "a tolerance that PETSc's setter refuses": lambda ksp: PETSc.Options(ksp.getOptionsPrefix()).setValue(
        "ksp_atol", -1.0) or ksp.setFromOptions(),
}  # fmt: skip


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize("change", CHANGES)
def test_what_python_has_to_know_calls_it(change, called):
    ksp = begun()
    before = len(called)
    solve(ksp)
    assert len(called) == before
    CHANGES[change](ksp)
    solve(ksp)
    assert len(called) == before + 1
    ksp.destroy()


@pytest.mark.parallel(1, 2)
def test_tolerances_and_reuse_are_handed_on(called):
    ksp = begun(repeats=60)
    before = len(called)
    few = ksp.getIterationNumber()
    ksp.setTolerances(rtol=1e-8)
    ksp.getPC().setReusePreconditioner(True)
    solve(ksp)
    assert ksp.getIterationNumber() > few and len(called) == before
    assert arms_of(ksp).in_use.ksp.getTolerances() == ksp.getTolerances()
    ksp.setTolerances(max_it=2)
    solve(ksp)
    assert ksp.getConvergedReason() == -3 and len(called) == before
    solve(ksp)
    assert len(called) == before + 1  # a solve that fails is the last
    ksp.destroy()


@pytest.mark.parallel(1, 2)
def test_a_solve_that_takes_much_more_is_the_last(called):
    ksp = begun(repeats=60)
    before = len(called)
    solve(ksp)
    ksp.setTolerances(rtol=1e-14)
    solve(ksp)
    assert len(called) == before
    solve(ksp)
    assert len(called) == before + 1
    ksp.destroy()


class Failing:
    """A preconditioner that raises when it is told to."""

    fails = False

    def apply(self, pc, x, y):
        if self.fails:
            raise RuntimeError("enough")
        x.copy(y)


def test_an_error_is_the_application_s_and_ends_the_turn(called):
    failing = {"sorlearn_own_pc_type": "python", "sorlearn_own_pc_python_type": "test_turns.Failing"}
    ksp = begun("own,sor", **failing)
    before, Failing.fails = len(called), True
    try:
        with pytest.raises((PETSc.Error, RuntimeError)):
            solve(ksp)
    finally:
        Failing.fails = False
    assert len(called) == before
    with suppress(PETSc.Error):  # PETSc 3.26 leaves a vector locked where a preconditioner has failed
        solve(ksp)
    assert len(called) == before + 1
    ksp.destroy()


class Refusing(Failing):
    """One that can't be set up when it is told so."""

    def setUp(self, pc):
        if self.fails:
            raise RuntimeError("enough of this matrix")

    def apply(self, pc, x, y):
        x.copy(y)


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize("start", [None, 3.0])
@pytest.mark.parametrize("kind", ["Failing", "Refusing"])
def test_another_arm_s_error_is_its_own(kind, start, called, monkeypatch, capfd):
    """It is left out, and the safe one solves before the application notices."""
    own = {"sorlearn_own_pc_type": "python", "sorlearn_own_pc_python_type": f"test_turns.{kind}"}
    ksp = begun("sor,own", arm=1, repeats=60, **TRUE, **own, sorlearn_own_lag_solves=1)
    before = len(called)
    solve(ksp, 1)
    assert len(called) == before
    monkeypatch.setattr(Failing, "fails", True)
    fill(ksp.getOperators()[0], N, shift=-1.0)
    b, x = solve(ksp, 2, start)
    assert len(called) == before + 1 and ksp.getConvergedReason() > 0
    assert true_residual(ksp.getOperators()[0], b, x) <= 1.5e-6
    b.set(1.0)
    x.set(0.0)  # neither is locked
    assert ("arm own is left out: enough" in capfd.readouterr().err) == (PETSc.COMM_WORLD.getRank() == 0)
    ksp.destroy()


class Changing:
    """A preconditioner that, when it is told to, is another one each time: right-preconditioned GMRES is deceived."""

    changes, breaks, times = False, False, 0

    def apply(self, pc, x, y):
        x.copy(y)
        Changing.times += 1
        y.scale(1.0 + self.changes * 0.5 * (self.times % 2))
        if self.breaks:
            y.set(float("nan"))


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize("start", [None, 3.0])
@pytest.mark.parametrize("how", ["changes", "breaks"])
def test_an_answer_that_is_no_good_is_made_anew(how, start, called, monkeypatch):
    changing = {"sorlearn_own_pc_type": "python", "sorlearn_own_pc_python_type": "test_turns.Changing"}
    restart = {"sorlearn_ksp_gmres_restart": 200}  # nobody looks at the true residual before
    ksp = begun("sor,own", "gmres", arm=1, repeats=60, ksp_pc_side="right", **changing, **restart)
    before = len(called)
    solve(ksp, 1)
    iterations = ksp.getIterationNumber()
    assert len(called) == before
    monkeypatch.setattr(Changing, how, True)
    b, x = solve(ksp, 2, start)
    assert len(called) == before + 1 and ksp.getConvergedReason() > 0
    assert true_residual(ksp.getOperators()[0], b, x) <= 1.5e-6
    assert ksp.getIterationNumber() > (how == "changes") * iterations
    arms = arms_of(ksp)
    if (session := arms.choosing.session) is not None:
        assert session.tally.rescued[1] >= 1 and session.tally.solves == [1, 3]
        assert session.rule.arms[1].tighten > 0.0 if how == "changes" else session.rule.arms[1].wait > 0
    ksp.destroy()


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize("end", ["reset", "destroy", "setType"])
def test_whatever_ends_a_turn_leaves_petsc_as_it_was(end):
    ksp = begun(sorlearn_arms_summary=True)
    arms, inner = arms_of(ksp), arms_of(ksp).in_use.ksp.handle
    for number in range(3):
        solve(ksp, number)
    assert inner in usertest.outer_of
    getattr(ksp, end)(*["cg"] * (end == "setType"))
    assert inner not in usertest.outer_of
    assert arms.choosing.session is None or arms.choosing.session.tally.solves[0] == 5
    if end == "reset":
        ksp.setOperators(laplacian(N))
        solve(ksp)
        assert ksp.getConvergedReason() > 0
        ksp.destroy()


@pytest.mark.parallel(1, 2)
def test_an_error_in_learning_leaves_all_ranks_together(capfd):
    ksp = begun()
    rule = rule_of(ksp)
    if rule is not None:
        rule.note = lambda *_: 1 / 0
    for number in range(3 * LEFT):
        solve(ksp, number)
        assert ksp.getConvergedReason() > 0
    assert ("stops; its first arm, sor, solves from now on" in capfd.readouterr().err) == (rule is not None)
    ksp.destroy()


def test_another_ksp_has_no_arms_to_be_preconditioned_by():
    ksp = begun()
    ksp.setType("cg")
    with pytest.raises((PETSc.Error, OptionError)) as caught:
        solve(ksp)
    assert "remedy: set -arms" in str(origin(caught.value))
    ksp.destroy()
