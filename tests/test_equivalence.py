"""`-pc_sorlearn_learner fixed -pc_sorlearn_omega W` is `-pc_type sor -pc_sor_omega W`, to the last bit."""

from __future__ import annotations

import ctypes
from typing import NamedTuple

import numpy as np
import pytest
from petsc4py import PETSc
from systems import CLASS, keeps_codes, laplacian, random_rhs

from sorlearn.petsc.sor import library

OMEGAS = (0.8, 1.0, 1.5, 1.9)
N = 12
#: Solvers for symmetric positive definite matrices, and for any: options of the KSP, as they are typed.
SYMMETRIC = (
    "-ksp_type cg",
    "-ksp_type cg -ksp_norm_type unpreconditioned",
    "-ksp_type cg -ksp_norm_type natural -ksp_cg_single_reduction",
    "-ksp_type cg -ksp_max_it 4",
    "-ksp_type fcg",
    "-ksp_type pipecg",
    "-ksp_type cr",
    "-ksp_type minres",
    "-ksp_type symmlq",
    "-ksp_type bicg",
    "-ksp_type chebyshev -ksp_chebyshev_eigenvalues 0.05,1.2",
    "-ksp_type chebyshev -ksp_chebyshev_esteig 0,0.1,0,1.1",
)
ANY = (
    "-ksp_type gmres",
    "-ksp_type gmres -ksp_pc_side right -ksp_gmres_restart 5",
    "-ksp_type fgmres",
    "-ksp_type lgmres",
    "-ksp_type gcr",
    "-ksp_type bcgs",
    "-ksp_type bcgs -ksp_pc_side right",
    "-ksp_type bcgsl",
    "-ksp_type ibcgs",
    "-ksp_type tfqmr",
    "-ksp_type cgs",
    "-ksp_type tcqmr",
    "-ksp_type richardson -ksp_richardson_scale 0.7",
    "-ksp_type richardson -ksp_norm_type none -ksp_max_it 7",
    "-ksp_type preonly",
    "-ksp_type lsqr",
    "-ksp_type cgne",
)
if np.issubdtype(PETSc.ScalarType, np.complexfloating):  # PETSc offers it for real numbers only
    ANY = tuple(typed for typed in ANY if "ibcgs" not in typed)
SWEEPS = (
    "-pc_sor_symmetric",
    "-pc_sor_forward",
    "-pc_sor_backward",
    "-pc_sor_local_symmetric",
    "-pc_sor_local_forward",
    "-pc_sor_local_backward",
    "-pc_sor_forward -pc_sor_backward",
    "-pc_sor_its 3",
    "-pc_sor_lits 2",
    "-pc_sor_its 2 -pc_sor_lits 2 -pc_sor_local_forward",
    "-pc_sor_diagonal_shift 1",
    "-pc_sor_diagonal_shift 0.25",
    "-pc_sor_diagonal_shift 0.25 -pc_sor_local_backward",
)


class Solved(NamedTuple):
    """What a solve left; `error` is the code of the one it raised."""

    reason: int = 0
    iterations: int = 0
    history: tuple = ()
    solution: bytes = b""
    error: int = 0


def pcs(omega):
    """PETSc's own SOR and sorlearn's, as they are typed."""
    return (
        f"-pc_type sor -pc_sor_omega {omega}",
        f"-pc_type python -pc_python_type {CLASS} -pc_sorlearn_learner fixed -pc_sorlearn_omega {omega}",
    )


def convection(n):
    """Upwind convection and diffusion on an n × n grid: not symmetric."""
    A = laplacian(n)
    for row in range(*A.getOwnershipRange()):
        A.setValue(row, row, 1.5, addv=PETSc.InsertMode.ADD_VALUES)
        if row % n:
            A.setValue(row, row - 1, -1.5, addv=PETSc.InsertMode.ADD_VALUES)
    A.assemble()
    return A


def symmetric(n):
    A = laplacian(n)
    A.setOption(PETSc.Mat.Option.SYMMETRIC, True)
    A.setOption(PETSc.Mat.Option.SPD, True)
    return A


def build(A, typed):
    """A KSP that reads the typed options under a prefix of its own, until `forget`."""
    database, prefix = PETSc.Options(), "eq_"
    database.prefixPush(prefix)
    database.insertString(typed)
    database.prefixPop()
    ksp = PETSc.KSP().create(A.comm)
    ksp.setOptionsPrefix(prefix)
    ksp.setOperators(A)
    ksp.setFromOptions()
    ksp.setConvergenceHistory()
    ksp.setMonitor(lambda *_: None)  # without one, native Richardson doesn't look at the residual
    return ksp


def forget():
    database = PETSc.Options()
    for name in database.getAll():
        if name.startswith("eq_"):
            database.delValue(name)


def record(ksp, call, x):
    try:
        call()
    except PETSc.Error as error:
        return Solved(error=error.ierr if keeps_codes() else 1)
    history = tuple(ksp.getConvergenceHistory())
    return Solved(ksp.getConvergedReason(), ksp.getIterationNumber(), history, x.getArray().tobytes())


def solve(A, typed):
    """One solve from zero."""
    b, x = random_rhs(A)
    ksp = build(A, f"-ksp_rtol 1e-8 -ksp_max_it 60 {typed}")
    solved = record(ksp, lambda: ksp.solve(b, x), x)
    ksp.destroy()
    forget()
    return solved


def solve_transpose(A, typed):
    b, x = random_rhs(A)
    ksp = build(A, typed)
    solved = record(ksp, lambda: ksp.solveTranspose(b, x), x)
    ksp.destroy()
    forget()
    return solved


def solve_many(A, typed):
    """KSPMatSolve with five right-hand sides."""
    low, high = A.getOwnershipRange()
    B, X = (PETSc.Mat().createDense((A.getSize()[0], 5), comm=A.comm) for _ in range(2))
    for C in (B, X):
        C.setUp()
        C.assemble()
    B.getDenseArray()[:] = np.random.default_rng(1).standard_normal((A.getSize()[0], 5))[low:high]
    ksp = build(A, typed)
    error = library().KSPMatSolve(*(ctypes.c_void_p(thing.handle) for thing in (ksp, B, X)))  # not in petsc4py 3.18
    assert not error
    solved = Solved(ksp.getConvergedReason(), solution=X.getDenseArray().tobytes())
    ksp.destroy()
    forget()
    return solved


def solve_sequence(A, typed):
    """Changed values, a reused preconditioner, another matrix under it, a non-zero initial guess, another limit."""
    A = A.duplicate(copy=True)
    other = A.duplicate(copy=True)
    other.shift(0.3)
    b, x = random_rhs(A)
    ksp = build(A, typed)
    history, reasons, iterations, solutions = [], [], 0, b""

    def step():
        nonlocal iterations, solutions
        ksp.solve(b, x)
        history.extend(ksp.getConvergenceHistory())
        reasons.append(ksp.getConvergedReason())
        iterations += ksp.getIterationNumber()
        solutions += x.getArray().tobytes()

    step()
    A.shift(0.5)
    step()
    ksp.getPC().setReusePreconditioner(True)
    A.shift(0.5)
    step()
    ksp.setOperators(other)
    step()
    ksp.getPC().setReusePreconditioner(False)
    ksp.setInitialGuessNonzero(True)
    step()
    ksp.setInitialGuessNonzero(False)
    ksp.setTolerances(max_it=3)
    step()
    step()
    ksp.setTolerances(max_it=100)
    step()
    ksp.destroy()
    forget()
    return Solved(sum(reasons), iterations, tuple(history), solutions)


def compare(A, run, cases, omegas=OMEGAS):
    """Run each case both ways; returns those that differ, and how each case ended natively."""
    different, ended = [], {}
    for typed in cases:
        for omega in omegas:
            native, fixed = (run(A, f"{typed} {pc}") for pc in pcs(omega))
            ended[typed, omega] = native
            if not same(native, fixed):
                different.append((typed, omega, describe(native), describe(fixed)))
    return different, ended


def describe(solved):
    return solved._replace(history=solved.history[-1:], solution=b"")


def same(native, fixed):
    nan_as_text = [np.array(solved.history).tobytes() for solved in (native, fixed)]
    return native._replace(history=nan_as_text[0]) == fixed._replace(history=nan_as_text[1])


@pytest.mark.parallel(1, 2)
def test_every_ksp_type():
    for make, cases in ((symmetric, SYMMETRIC + ANY), (convection, ANY)):
        different, ended = compare(make(N), solve, cases)
        assert not different
        assert len({typed for (typed, _), solved in ended.items() if solved.reason > 0}) >= len(cases) - 4


@pytest.mark.parallel(1, 2)
def test_every_kind_of_sweep():
    cases = [f"-ksp_type {ksp_type} {sweep}" for ksp_type in ("gmres", "cg") for sweep in SWEEPS]
    different, ended = compare(symmetric(N), solve, cases)
    assert not different
    ends = {ended[f"-ksp_type gmres {sweep}", 1.5].history for sweep in SWEEPS}
    assert len(ends) >= (8 if PETSc.COMM_WORLD.size > 1 else 6)  # the options did something


@pytest.mark.both_ways
@pytest.mark.parallel(1, 2)
def test_transpose():
    cases = ("-ksp_type cg", "-ksp_type gmres", "-ksp_type bcgs", "-ksp_type richardson", "-ksp_type preonly")
    different, ended = compare(symmetric(N), solve_transpose, cases)
    assert not different
    assert all(solved.reason > 0 for (typed, _), solved in ended.items() if "richardson" not in typed)
    refused = [f"{typed} -pc_sor_local_forward" for typed in cases]
    different, ended = compare(symmetric(N), solve_transpose, refused, omegas=(1.5,))
    assert not different
    assert all(solved.error for solved in ended.values())
    different, ended = compare(convection(N), solve_transpose, cases, omegas=(1.5,))
    assert not different
    assert all(solved.error for solved in ended.values())


@pytest.mark.parallel(1, 2)
def test_several_right_hand_sides():
    different, ended = compare(symmetric(N), solve_many, ("-ksp_type cg", "-ksp_type gmres", "-ksp_type preonly"))
    assert not different
    assert all(solved.reason > 0 for solved in ended.values())


@pytest.mark.both_ways
@pytest.mark.parallel(1, 2)
def test_sequences_of_solves():
    cases = ("-ksp_type cg", "-ksp_type gmres -ksp_pc_side right", "-ksp_type bcgs", "-ksp_type richardson")
    different, _ = compare(symmetric(N), solve_sequence, cases)
    assert not different


def test_another_omega_would_be_noticed():
    A = symmetric(N)
    native, fixed = pcs(1.5)[0], pcs(1.5 + 1e-9)[1]
    for typed, run in (("cg", solve), ("gmres", solve_transpose), ("preonly", solve_many), ("bcgs", solve_sequence)):
        assert not same(run(A, f"-ksp_type {typed} {native}"), run(A, f"-ksp_type {typed} {fixed}"))
