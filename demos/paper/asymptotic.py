"""Bounds on SOR's iterations against ω, how near to asymptotic the convergence is, and both against the shift."""

from __future__ import annotations

from typing import Any

import numpy as np

from sorlearn import theory

from . import style
from .cells import Cell, run
from .contenders import LEARNED, SOR, Contender, matrix, vector
from .model import EPS, shifted, truncated_normal

#: The paper's sufficient conditions on β and τ, e⁻² and 4 e⁻² (1 − e⁻²), which it draws as dashed lines.
TAU_CONDITION = np.exp(-2.0)
BETA_CONDITION = 4.0 * np.exp(-2.0) * (1.0 - np.exp(-2.0))


CURVES = {
    "energy": ("energy bound", "-.", style.ORANGE),
    "near": ("near-asymptotic bound", "--", style.VERMILION),
    "actual": ("actual iterations", "-", style.BLUE),
    "asymptotic": ("asymptotic estimate", ":", style.GREEN),
}


def grid(most: float, step: float) -> np.ndarray:
    """ω from 1 to `most`, inclusive where the step meets it."""
    return 1.0 + step * np.arange(int((most - 1.0) / step + 1e-9) + 1)


def counts(A: Any, b: np.ndarray, omegas: np.ndarray) -> np.ndarray:
    """Iterations of PETSc's SOR at every ω, shape (omegas,)."""
    solver, M, rhs = Contender(SOR), matrix(A), vector(b)
    x, its = rhs.duplicate(), []
    for omega in omegas:
        solver.set_omega(omega)
        its.append(solver.solve(M, rhs, x).iterations)
    for thing in solver, M, rhs, x:
        thing.destroy()
    return np.array(its)


def excess(A: Any, omegas: np.ndarray, its: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """ρ(C_ω), and ‖C_ω^k‖^(1/k) − ρ(C_ω) at the last iteration that wasn't enough, shapes (omegas,)."""
    rho = theory.young_radius(omegas, theory.jacobi_radius(A))
    taus = [theory.tau(theory.iteration_matrix(A, omega), int(k) - 1, r) for omega, k, r in zip(omegas, its, rho)]
    return rho, np.array(taus) * (1.0 - rho)


def against_omega(step: float) -> dict[str, Any]:
    """Actual iterations, estimate and bounds on the unshifted matrix, with ω* among the ω's."""
    A, rng = shifted(0.0), np.random.default_rng(0)
    best = theory.young_omega(theory.jacobi_radius(A))
    omegas = np.sort(np.append(grid(1.99, step), best))
    b = truncated_normal(rng, A.shape[0])
    its = counts(A, b, omegas)
    rho, over = excess(A, omegas, its)
    tau = float((over / (1.0 - rho)).max())
    norm = theory.energy_norm(omegas, *theory.splitting(A))
    return {"omegas": omegas, "actual": its, "asymptotic": theory.asymptotic_iterations(rho, EPS),
            "energy": theory.energy_iterations(norm, theory.condition(A), EPS), "over": over, "rho": rho, "tau": tau,
            "near": theory.near_asymptotic_iterations(rho, tau, EPS), "best": best, "auto": auto(A, rng)}  # fmt: skip


def auto(A: Any, rng: np.random.Generator, solves: int = 40) -> np.ndarray:
    """ω and iterations, means over the second half of some solves with random right-hand sides."""
    solver, M, rows = Contender({**SOR, **LEARNED}), matrix(A), []
    for _ in range(solves):
        b = vector(truncated_normal(rng, A.shape[0]))
        x = b.duplicate()
        solved = solver.solve(M, b, x)
        rows.append((solved.omega, solved.iterations))
        b.destroy()
        x.destroy()
    solver.destroy()
    M.destroy()
    return np.mean(rows[solves // 2 :], axis=0)


def against_shift(step: float, shifts: int) -> dict[str, Any]:
    """β, and τ as the largest over all ω, for shifts c ∈ [−.15, .45]."""
    rng, cs = np.random.default_rng(1), np.linspace(-0.15, 0.45, shifts)
    omegas, betas, taus = grid(1.9, step), [], []
    for c in cs:
        A = shifted(c)
        rho, over = excess(A, omegas, counts(A, truncated_normal(rng, A.shape[0]), omegas))
        betas.append(theory.jacobi_radius(A))
        taus.append((over / (1.0 - rho)).max())
    return {"c": cs, "beta": betas, "tau": taus}


def cells(quick: bool) -> list[Cell]:
    step, coarse, shifts = (0.05, 0.05, 7) if quick else (0.01, 0.02, 25)
    return [Cell("asymptotic, ω", against_omega, (step,), 0.06 / step),
            Cell("asymptotic, shifts", against_shift, (coarse, shifts), 0.006 * shifts / coarse)]  # fmt: skip


def main(quick: bool = False, folder: str | None = None) -> dict[str, Any]:
    """All curves."""
    first, second = run(cells(quick))
    with style.figure("asymptotic", folder, columns=3) as (left, middle, right):
        for name, (label, line, color) in CURVES.items():
            left.semilogy(first["omegas"], first[name], line, label=label, color=color)
        left.plot(*first["auto"], label="auto", **style.of("auto"))
        left.set_ylim(20, 2000)
        left.set_ylabel("iterations")
        middle.plot(first["omegas"], first["over"], color=style.BLUE, label="‖Cᵏ‖^(1/k) − ρ(C)")
        allowed = first["tau"] * (1 - first["rho"])
        middle.plot(first["omegas"], allowed, "--", color=style.VERMILION, label="τ (1 − ρ(C))")
        right.plot(second["c"], second["beta"], color=style.BLUE, label="β")
        right.axhline(BETA_CONDITION, linestyle="--", color=style.BLUE, label="4 (1 − 1/e²)/e²")
        right.plot(second["c"], second["tau"], color=style.VERMILION, label="τ")
        right.axhline(TAU_CONDITION, linestyle="--", color=style.VERMILION, label="1/e²")
        right.set_ylim(0, 1)
        for axis, label in ((left, "ω"), (middle, "ω"), (right, "shift c")):
            axis.set_xlabel(label)
            axis.legend(fontsize=7)
    return {**first, "c": second["c"], "beta of c": second["beta"], "tau of c": second["tau"]}


if __name__ == "__main__":
    print(main())
