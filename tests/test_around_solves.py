"""What applications do around, inside and between solves: callbacks, histories, another KSP, and what they see then."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from petsc4py import PETSc
from systems import laplacian, native, random_rhs, solver, true_residual, user_test
from test_rescue import trial_solver

from sorlearn.petsc import unheard
from sorlearn.petsc.clib import library
from sorlearn.tuning.vetoes import Vetoes

pytestmark = pytest.mark.both_ways
N = 16
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)


def tuner(ksp):
    return ksp.getPC().getPythonContext()


def convection(n, strength, shift=0.0):
    """−Δ + strength·(∂x + ∂y/2) − shift, h² times."""
    h = 1.0 / (n + 1)
    A = laplacian(n, shift * h * h)
    for row in range(*A.getOwnershipRange()):
        for k, speed, inside in ((row - n, -0.25, row >= n), (row + n, 0.25, row < n * (n - 1)),
                                 (row - 1, -0.5, row % n > 0), (row + 1, 0.5, row % n < n - 1)):  # fmt: skip
            if inside:
                A.setValue(row, k, -1.0 + strength * h * speed)
    A.assemble()
    return A


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize("ksp_type", ["cg", "gmres"])
def test_callbacks_around_solves_are_called_once_each(ksp_type):
    """An application that scales its equations for as long as they are solved (KSPSetPreSolve, KSPSetPostSolve)."""
    A, calls, b = laplacian(N), [], None

    def before(ksp, rhs, x, ctx):
        calls.append("before")
        b.scale(1000.0)
        return 0

    def after(ksp, rhs, x, ctx):
        calls.append("after")
        b.scale(1e-3)
        return 0

    functions = [_CALLBACK(before), _CALLBACK(after)]
    scaled = A.copy()
    scaled.scale(1000.0)
    ksp = trial_solver(scaled, ksp_type=ksp_type, ksp_max_it=60)
    for name, function in zip(("KSPSetPreSolve", "KSPSetPostSolve"), functions):
        library()[name](ctypes.c_void_p(ksp.handle), function, None)
    for seed in range(12):
        b, x = random_rhs(A, seed)
        if seed == 6:
            ksp.setTolerances(max_it=12)  # where the trial fails, and a repeat does, too
        ksp.solve(b, x)
        if ksp.getConvergedReason() > 0:
            assert true_residual(A, b, x) < 1e-3
        assert b.norm() == pytest.approx(random_rhs(A, seed)[0].norm())
    assert calls == ["before", "after"] * 12


def test_where_a_ksp_has_them_is_found():
    hooks, count = unheard._places()
    assert len(set(hooks)) == 2 and count is not None and count < min(hooks)


@pytest.mark.parametrize("ksp_type", ["cg", "gmres", "bcgs"])
@pytest.mark.parametrize("reset", [True, False])
def test_the_residual_history_is_whole(ksp_type, reset):
    """One entry more than iterations, the first residual first, also where an answer was gone on with."""
    A = laplacian(N)
    ksp = trial_solver(A, ksp_type=ksp_type)
    ksp.setConvergenceHistory(2000, reset=reset)
    before, b = 0, random_rhs(A)[0]
    for seed in range(10):
        b, x = random_rhs(A, seed)
        ksp.solve(b, x)
        entries = ksp.getConvergenceHistory()
        if reset:
            before = 0
        assert len(entries) - before == ksp.getIterationNumber() + 1
        first = entries[before]
        assert first == max(entries[before:]) or first > 0.1 * b.norm()
        before = len(entries)
    assert any(record.rescued for record in tuner(ksp).records)


def test_estimates_of_singular_values_are_of_whole_solves():
    A = laplacian(N)
    ksp = trial_solver(A, ksp_type="gmres")
    ksp.setComputeSingularValues(True)
    for seed in range(8):
        ksp.solve(*random_rhs(A, seed))
        largest, least = ksp.computeExtremeSingularValues()
        assert largest > 3.0 * least


@pytest.mark.parametrize("ksp_type", ["gmres", "bcgs", "cg"])
def test_another_solver_with_the_preconditioner_inside_a_solve(ksp_type):
    """An estimate in a monitor, by KSPSetPC: one solve has one ω."""
    A = laplacian(30, -0.02)
    ksp = solver(A, f"around_{ksp_type}_", ksp_type=ksp_type)
    other = PETSc.KSP().create()
    other.setType(ksp_type)
    other.setPC(ksp.getPC())
    other.setTolerances(rtol=1e-2)
    y, ones = A.createVecs()
    ones.set(1.0)
    seed = 0

    def estimate(ksp, its, norm):
        if its == 5 and seed % 10 == 9:
            y.set(0.0)
            other.solve(ones, y)

    ksp.setMonitor(estimate)
    for seed in range(60):
        b, x = random_rhs(A, seed)
        ksp.solve(b, x)
        assert ksp.getConvergedReason() > 0
        assert user_test(ksp, b, x) < 3.0
    assert tuner(ksp)._tuned.session.vetoes.wait == 0


@pytest.mark.parametrize("ksp_type", ["gmres", "cg"])
def test_a_right_hand_side_that_has_blown_up_ends_as_natively(ksp_type):
    """Where its square overflows, in the true norm's terms, but KSP's own norm doesn't."""
    A, reasons = laplacian(N), []
    for make in (native, solver):
        ksp = make(A, f"huge_{make.__name__}_{ksp_type}_", ksp_type=ksp_type)
        found = []
        for seed in range(20):
            b, x = random_rhs(A, seed)
            b.scale(10.0 ** (150 + seed % 5))
            ksp.solve(b, x)
            found.append(ksp.getConvergedReason())
        reasons.append(found)
    assert reasons[0] == reasons[1]


@pytest.mark.parallel(1, 2)
def test_between_solves_the_preconditioner_is_as_configured():
    """PCApply by the application, or a solve that PETSc tells nobody of (KSPMatSolve of Richardson's iteration)."""
    A = laplacian(N)
    ksp = solver(A, "between_")
    b, z = random_rhs(A, 99)
    native(A, "between_native_").getPC().apply(b, z)
    omegas = set()
    for seed in range(90):
        ksp.solve(*random_rhs(A, seed))
        y = z.duplicate()
        ksp.getPC().apply(b, y)
        y.axpy(-1.0, z)
        assert y.norm() <= 1e-14 * z.norm()
        omegas.add(tuner(ksp).omega)
    assert len(omegas) > 2


@pytest.mark.parametrize(("strength", "rtol", "max_it"), [(1000.0, 1e-3, 60), (1500.0, 1e-5, 100)])
def test_where_the_safe_omega_fails_a_worse_answer_is_none(strength, rtol, max_it):
    """Calm systems, then some that ω = 1 doesn't solve, and others do by their own test only."""
    ksp, sor = None, None
    for seed in range(60):
        A = convection(30, 30.0) if seed < 40 else convection(30, 0.0, strength * (1.0 + 0.02 * (seed - 40)))
        if ksp is None:
            ksp = solver(A, f"hard_{max_it}_", ksp_type="gmres", ksp_rtol=rtol, ksp_max_it=max_it)
            sor = native(A, f"hard_native_{max_it}_", ksp_type="gmres", ksp_rtol=rtol, ksp_max_it=max_it)
        b, x = random_rhs(A, seed)
        y = x.duplicate()
        for each, vector in ((ksp, x), (sor, y)):
            each.setOperators(A)
            each.solve(b, vector)
        if ksp.getConvergedReason() > 0:
            assert user_test(ksp, b, x) <= 3.0
        else:
            assert sor.getConvergedReason() < 0


def test_hopeless_systems_after_others_do_not_cost_double_for_ever():
    """What worked in calm times isn't tried for ever where nothing helps."""
    A, totals = [laplacian(40, -1.0), laplacian(40)], []
    for make in (native, solver):
        ksp = make(A[0], f"hopeless_{make.__name__}_", ksp_rtol=1e-8, ksp_max_it=25)
        iterations = 0
        for seed in range(340):
            ksp.setOperators(A[seed >= 40])
            ksp.solve(*random_rhs(A[0], seed))
            iterations += ksp.getIterationNumber() if seed >= 40 else 0
            assert (ksp.getConvergedReason() < 0) == (seed >= 40)
        totals.append(iterations)
    assert totals[1] < 1.15 * totals[0]


def test_nothing_is_tried_while_nothing_helps():
    vetoes = Vetoes(1.0)
    vetoes.charge(1.5, 1.5, 1.0)
    vetoes.failed(1.0, 0.0)
    assert vetoes.fallback() != 1.0 == vetoes.remedy()
    assert vetoes.waiting()
    assert vetoes.remedy() == vetoes.fallback() == pytest.approx(1.5, abs=0.1)
    assert not np.any(vetoes.banned)
