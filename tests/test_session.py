"""Short solves, which aren't decided one by one: ω follows the matrix, and whatever calls for a decision gets one."""

from __future__ import annotations

import os

import numpy as np
import pytest
from petsc4py import PETSc
from systems import fill, laplacian, random_rhs, solver, true_residual
from test_rescue import HELMHOLTZ, limit, trial_solver

from sorlearn.tuning.repeat import Repeats

WARM_UP, SOLVES = 100, 400


def tuner(ksp):
    return ksp.getPC().getPythonContext()


def diffusion(t):
    """Over three decades and back, every 100 solves."""
    return 10.0 ** (1.5 * np.sin(2 * np.pi * t / 100))


def march(prefix, **options):
    """Iterations, ω and records of implicit steps (I + κ(t) L) u = b."""
    A = laplacian(8)
    ksp = solver(A, prefix, ksp_norm_type="unpreconditioned", ksp_rtol="1e-8", **options)
    iterations, omegas = [], []
    for t in range(SOLVES):
        fill(A, 8, shift=-1.0, scale=diffusion(t))
        b, x = random_rhs(A, t)
        ksp.solve(b, x)
        assert true_residual(A, b, x) < 1.01e-8
        iterations.append(ksp.getIterationNumber())
        omegas.append(tuner(ksp).omega)
    return np.array(iterations), np.array(omegas), tuner(ksp).records


@pytest.mark.both_ways
def test_omega_follows_the_matrix_between_decisions(monkeypatch, way):
    """As good as when each solve is decided."""
    short, omegas, records = march(f"short_{way}_")
    decided = np.zeros(SOLVES, bool)
    decided[[record.solve - 1 for record in records]] = True
    assert 0.2 * SOLVES < decided.sum() < 0.8 * SOLVES
    repeated = ~decided[1:] & (omegas[1:] != 1.0)  # where the safe omega is as good as any it stays
    assert (repeated & (np.diff(omegas) != 0)).sum() > 0.8 * repeated.sum() > 50
    monkeypatch.setattr(Repeats, "plan", lambda *_: 0)
    each, _, records = march(f"each_{way}_")
    assert len(records) == SOLVES
    assert short[WARM_UP:].sum() <= 1.03 * each[WARM_UP:].sum()


@pytest.mark.both_ways
@pytest.mark.parametrize("watched", [{"pc_sorlearn_journal": os.devnull}, {"pc_sorlearn_monitor": ""}])
def test_a_run_that_is_watched_is_the_same_run(watched, capfd, way):
    """Solves that repeat a decision are written down, too, and nothing else is different."""
    name = next(iter(watched)) + way  # nothing has been learned under it
    plain, omegas, records = march(f"plain_{name}_")
    seen, same, all_records = march(f"watched_{name}_", **watched)
    assert np.array_equal(seen, plain) and np.array_equal(same, omegas)
    assert len(all_records) == SOLVES
    decided = [record for record in all_records if not record.held]
    assert [(record.solve, record.omega, record.iterations) for record in decided] == [
        (record.solve, record.omega, record.iterations) for record in records
    ]
    assert len(decided) < SOLVES
    assert [record.omega for record in all_records] == same.tolist()
    assert capfd.readouterr().out.count(" held\n") == (SOLVES - len(decided)) * ("pc_sorlearn_monitor" in watched)


def test_a_user_s_context_is_asked_in_every_solve():
    A = laplacian(8)
    ksp = solver(A, "asked_")
    seen = []
    tuner(ksp).context = lambda: seen.append(len(seen)) or float(len(seen) % 2)
    b, x = random_rhs(A)
    for _ in range(SOLVES):
        ksp.solve(b, x)
    assert len(seen) == len(tuner(ksp).records) == SOLVES


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize("given", ["tuple", "array", "function", "options"])
def test_a_user_s_context_may_be_several_numbers(given):
    A = laplacian(8)
    option = {"pc_sorlearn_context_option": "kappa,dt"} if given == "options" else {}
    ksp = solver(A, f"several_{given}_", **option)
    b, x = random_rhs(A)
    for t in range(3):
        numbers = (3.5, float(t))
        assigned = {"tuple": numbers, "array": np.array(numbers), "function": lambda numbers=numbers: numbers}
        tuner(ksp).context = assigned.get(given)
        PETSc.Options()["kappa"], PETSc.Options()["dt"] = numbers
        ksp.solve(b, x)
        assert A.comm.rank > 0 or tuner(ksp).records[-1].context.user == numbers


def test_omega_is_that_of_the_trial_after_a_repair():
    A = laplacian(16, HELMHOLTZ)
    b, x = random_rhs(A)
    ksp = trial_solver(A, ksp_max_it=limit(A, b, ksp_type="cg"))
    ksp.solve(b, x)
    assert tuner(ksp).records[-1].rescued
    assert tuner(ksp).omega == tuner(ksp).records[-1].omega == 1.9


@pytest.mark.parametrize("where", [
    "petsc.context.Features.glance", "tuning.standing.Standing.follow", "learners.course.Course.at",
    "tuning.session.Session.repeated", "tuning.session.Session._passed",
])  # fmt: skip
def test_an_error_between_decisions_is_told_once(where, monkeypatch, capfd, in_python):
    A = laplacian(8)
    ksp = solver(A, f"{where}_", ksp_norm_type="unpreconditioned")
    b, x = random_rhs(A)
    ksp.solve(b, x)
    while tuner(ksp)._tuned.left < 8:
        ksp.solve(b, x)

    def fails(*arguments):
        raise RuntimeError("injected")

    monkeypatch.setattr(f"sorlearn.{where}", fails)
    after = []
    for t in range(50):
        fill(A, 8, shift=-1.0, scale=diffusion(t))
        ksp.setOperators(A)
        broken = tuner(ksp)._tuned.broken
        ksp.solve(b, x)
        assert ksp.getConvergedReason() > 0
        after += [tuner(ksp).omega] * broken
    assert set(after) == {1.0}
    assert capfd.readouterr().err.count("RuntimeError: injected") == 1


def test_a_failure_between_decisions_ends_them():
    A = laplacian(8)
    ksp = solver(A, "held_")
    b, x = random_rhs(A)
    for _ in range(SOLVES):
        ksp.solve(b, x)
    while tuner(ksp)._tuned.left == 0:
        ksp.solve(b, x)
    tuner(ksp)._take_back()
    solves = tuner(ksp)._tuned.session.books.solves
    ksp.setTolerances(max_it=1)
    ksp.solve(b, x)
    assert ksp.getConvergedReason() == PETSc.KSP.ConvergedReason.DIVERGED_MAX_IT
    assert tuner(ksp)._tuned.left == 0
    ksp.setTolerances(max_it=1000)
    ksp.solve(b, x)
    assert ksp.getConvergedReason() > 0
    assert tuner(ksp)._tuned.session.books.solves == solves + 2


@pytest.mark.both_ways
def test_without_a_context_decisions_are_repeated_as_with_one():
    A, decided = laplacian(24), {}
    for context in ("auto", "none"):
        ksp = solver(A, f"repeats_{context}_", ksp_norm_type="unpreconditioned", pc_sorlearn_context=context)
        for seed in range(300):
            ksp.solve(*random_rhs(A, seed))
        decided[context] = len(tuner(ksp).records)
    assert decided["none"] <= 1.2 * decided["auto"] < 200


@pytest.mark.both_ways
def test_a_user_s_context_that_stays_decides_no_more_often_than_the_matrix():
    """It is asked for before each solve all the same, once, and ω is decided again as soon as it is another."""
    A, decided, asked = laplacian(24), {}, []
    for context in ("auto", "user"):
        ksp = solver(A, f"stays_{context}_", ksp_norm_type="unpreconditioned")
        if context == "user":
            tuner(ksp).context = lambda: asked.append(None) or (1.0 if len(asked) <= 300 else 2.0)
        for seed in range(302):
            ksp.solve(*random_rhs(A, seed))
        decided[context] = [record.context.user for record in tuner(ksp).records]
    assert len(asked) == 302
    assert len(decided["user"]) <= 1.2 * len(decided["auto"]) < 200 and decided["user"][-1] == (2.0,)
