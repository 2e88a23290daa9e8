"""`-pc_sorlearn_pc_type eisenstat`: PETSc's own form of symmetric SOR, and what its answers are worth."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from conftest import ROOT, run
from petsc4py import PETSc
from systems import from_options, laplacian, random_rhs, solver, true_residual

N = 14
NORMS = ("preconditioned", "unpreconditioned", "natural")


def diffusion(seed=0, decades=0.0, n=N):
    """−∇·k∇ on an n × n grid, k of two values so many decades apart, drawn cell by cell: the diagonal varies."""
    k = 10.0 ** (decades * np.random.default_rng(seed).integers(0, 2, n * n))
    A = PETSc.Mat().createAIJ((n * n, n * n), nnz=5, comm=PETSc.COMM_SELF)
    for row in range(n * n):
        i, j = divmod(row, n)
        total = 0.0
        for other, inside in ((row - n, i > 0), (row + n, i < n - 1), (row - 1, j > 0), (row + 1, j < n - 1)):
            between = 2.0 * k[row] * k[other] / (k[row] + k[other]) if inside else k[row]
            total += between
            if inside:
                A.setValue(row, other, -between)
        A.setValue(row, row, total)
    A.assemble()
    A.setOption(PETSc.Mat.Option.SYMMETRIC, True)
    return A


def typed(prefix, text):
    """Options as they are typed, under a prefix."""
    database = PETSc.Options()
    database.prefixPush(prefix)
    database.insertString(text)
    database.prefixPop()


def solves(prefix, text, matrices, guess=False):
    """Iterations, reason and bytes of the answer of one solve after the other."""
    typed(prefix, f"-ksp_rtol 1e-8 {text}")
    ksp, found = from_options(matrices[0], prefix), []
    b, x = random_rhs(matrices[0])
    kept = b.copy()
    for A in matrices:
        ksp.setOperators(A)
        if guess:
            ksp.setInitialGuessNonzero(True)
            x.setArray(np.random.default_rng(1).standard_normal(N * N))
        ksp.solve(b, x)
        assert b.equal(kept) and ksp.getOperators()[0] == A
        found.append((ksp.getIterationNumber(), ksp.getConvergedReason(), x.getArray().tobytes()))
    ksp.destroy()
    for name in PETSc.Options().getAll():
        if name.startswith(prefix):
            PETSc.Options().delValue(name)
    return found


@pytest.mark.parametrize("guess", [False, True])
@pytest.mark.parametrize("omega", [1.0, 1.7])
@pytest.mark.parametrize("kind", [
    *(f"-ksp_type cg -ksp_norm_type {norm}" for norm in NORMS), "-ksp_type gmres", "-ksp_type fgmres",
    "-ksp_type gmres -ksp_pc_side right", "-ksp_type bcgs", "-ksp_type minres", "-ksp_type bicg",
    "-ksp_type cg -pc_eisenstat_no_diagonal_scaling", "-ksp_type cg -pc_eisenstat_no_diagonal_scaling 0",
    "-ksp_type cg -ksp_max_it 3",
])  # fmt: skip
def test_a_given_omega_is_petscs_own_to_the_last_bit(kind, omega, guess):
    matrices = [diffusion(seed, 2.0) for seed in range(3)]
    own = f"-pc_type eisenstat -pc_eisenstat_omega {omega}"
    ours = (f"-pc_type python -pc_python_type sorlearn.PC -pc_sorlearn_pc_type eisenstat -pc_sorlearn_learner fixed "
            f"-pc_sorlearn_omega {omega}")  # fmt: skip
    expected = solves("eisn_", f"{kind} {own}", matrices, guess)
    assert solves("eiss_", f"{kind} {ours}", matrices, guess) == expected
    assert expected[0][0] > 2


def test_values_that_change_in_place_are_seen():
    def run_once(**pc):
        A = diffusion(0, 2.0)
        ksp = solver(A, "inplace_", ksp_rtol=1e-8, **pc)
        b, x = random_rhs(A)
        answers = []
        for shift in (0.0, 1.0, 30.0):
            A.shift(shift)
            ksp.solve(b, x)
            answers.append((ksp.getIterationNumber(), x.getArray().tobytes()))
        ksp.destroy()
        return answers

    native = run_once(pc_type="eisenstat", pc_eisenstat_omega=1.3)
    assert run_once(pc_sorlearn_pc_type="eisenstat", pc_sorlearn_learner="fixed", pc_sorlearn_omega=1.3) == native
    assert native[2][0] < native[0][0]


@pytest.mark.parametrize("ksp_type", ["cg", "gmres"])
@pytest.mark.parametrize("learner", ["auto", "tsallis_inf"])
@pytest.mark.parametrize("norm", NORMS)
def test_true_residuals_are_what_was_asked_for(norm, learner, ksp_type):
    """Where natively much more is left of them, and with trials that are cut off."""
    if ksp_type == "gmres" and norm == "natural":
        pytest.skip("GMRES has no natural norm")
    options = {"ksp_type": ksp_type, "ksp_norm_type": norm, "ksp_rtol": 1e-5}
    ours = solver(diffusion(), f"true_{norm}_{learner}_{ksp_type}_", pc_sorlearn_pc_type="eisenstat",
                  pc_sorlearn_learner=learner, **options)  # fmt: skip
    native = solver(diffusion(), "truenative_", pc_type="eisenstat", **options)
    left: tuple[list[float], ...] = ([], [])
    for seed in range(60):
        A = diffusion(seed, 4.0)
        b, x = random_rhs(A, seed)
        for ksp, values in zip((ours, native), left):
            x.set(0.0)
            ksp.setOperators(A)
            ksp.solve(b, x)
            assert ksp.getConvergedReason() > 0
            values.append(true_residual(A, b, x) / 1e-5)
    records = ours.getPC().getPythonContext().records
    assert len({record.omega for record in records}) > 2
    assert np.quantile(left[0], 0.95) <= 1.5 and max(left[0]) <= 3.0
    if norm != "preconditioned":
        assert np.median(left[1]) > 5.0


def test_omega_is_learned():
    flags = ("-n_x", "50", "-steps", "700", "-pc_type", "python", "-pc_python_type", "sorlearn.PC")
    form = ("-pc_sorlearn_pc_type", "eisenstat", "-ksp_norm_type", "preconditioned", "-pc_sorlearn_summary")
    heat = ROOT / "demos" / "heat2d.py"
    totals = []
    for more in ((), form, (*form, "-pc_sorlearn_learner", "fixed")):
        out = run(1, sys.executable, heat, *flags, *more).stdout
        totals.append(int(out.split(" iterations,")[0].split()[-1]))
        assert not more or "sorlearn summary" in out
    sor, ours, gauss_seidel = totals
    assert ours < 1.1 * sor and ours < 0.75 * gauss_seidel


def test_the_guarded_solver_learns_in_it():
    A = laplacian(30, comm=PETSc.COMM_SELF)
    typed("guardedeis_", "-ksp_type python -ksp_python_type sorlearn.KSP -sorlearn_ksp_type cg -ksp_rtol 1e-8 "
          "-pc_type python -pc_python_type sorlearn.PC -pc_sorlearn_pc_type eisenstat")  # fmt: skip
    ksp = from_options(A, "guardedeis_")
    iterations = []
    for seed in range(40):
        b, x = random_rhs(A, seed)
        ksp.solve(b, x)
        assert ksp.getConvergedReason() > 0 and true_residual(A, b, x) < 1.5e-8
        assert ksp.getOperators()[0] == A
        iterations.append(ksp.getIterationNumber())
    assert min(iterations[20:]) < 0.8 * iterations[0]


@pytest.mark.parametrize("learner", ["fixed", "auto"])
def test_after_an_error_the_next_solve_is_as_ever(learner):
    A = diffusion(0, 2.0)
    ksp = solver(A, f"upset_{learner}_", pc_sorlearn_pc_type="eisenstat", pc_sorlearn_learner=learner, ksp_rtol=1e-8)
    b, x = random_rhs(A)
    ksp.solve(b, x)
    expected, right = x.copy(), b.copy()
    upset = [True]

    def monitor(ksp, iteration, norm):
        if upset[0] and iteration == 3:
            raise RuntimeError("the application's")

    ksp.setMonitor(monitor)
    with pytest.raises((RuntimeError, PETSc.Error)):
        ksp.solve(b, x)
    upset[0] = False
    x.set(0.0)  # b stays as PCEISENSTAT has made it, and locked, as natively
    ksp.solve(right, x)
    assert right.equal(random_rhs(A)[0]) and ksp.getOperators()[0] == A
    x.axpy(-1.0, expected)
    assert x.norm() < 1e-6 * expected.norm()


def test_several_ranks_are_refused_with_the_remedy():
    flags = "-n_x 10 -steps 1 -pc_type python -pc_python_type sorlearn.PC -pc_sorlearn_pc_type eisenstat"
    done = run(2, sys.executable, ROOT / "demos" / "heat2d.py", *flags.split(), check=False)
    assert done.returncode
    assert "-pc_sorlearn_pc_type eisenstat: Eisenstat's form is for one rank only" in done.stderr
    assert "remedy: -pc_sorlearn_pc_type sor" in done.stderr


def test_the_view_names_it():
    flags = "-n_x 10 -steps 1 -pc_type python -pc_python_type sorlearn.PC -pc_sorlearn_pc_type eisenstat -ksp_view"
    out = run(1, sys.executable, ROOT / "demos" / "heat2d.py", *flags.split()).stdout
    assert "SOR: symmetric, in Eisenstat's form" in out


def test_a_c_program_takes_it(compiled):
    flags = "-pc_type python -pc_python_type sorlearn.PC -pc_sorlearn_pc_type eisenstat -python"
    out = run(1, compiled(ROOT / "demos/c/heat.c"), *flags.split(), "-ksp_view", "-ksp_converged_reason").stdout
    assert "in Eisenstat's form" in out and "did not converge" not in out
