"""Instances sorted by similarity before they are solved, and starting guesses or recycling: what each of them adds.

Wang et al. (*Accelerating data generation for neural operators via Krylov subspace recycling*, ICLR 2024) sort the
instances of a parametric problem so that neighbours are alike, and recycle Krylov subspaces from one to the next.  Here
−∇·(a ∇u) = f with log a a sum of random waves, solved by CG with SSOR in either order, from zero or from the last
solution, and by GCRO-DR with recycling where PETSc has HPDDM; at ω = 1, at the best fixed ω and with learned ω.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from petsc4py import PETSc
from sequences import diffusion

from . import style
from .cells import Cell, run
from .contenders import CG, LEARNED, Contender, matrix, vector

WAVES = 4  # in each direction
STRENGTH = 1.5
OMEGAS = np.round(np.arange(1.0, 1.96, 0.1), 2)
ORDERS = ("as drawn", "sorted")
HPDDM = {"ksp_type": "hpddm", "ksp_hpddm_type": "gcrodr", "ksp_gmres_restart": 40, "ksp_hpddm_recycle": 20,
         "ksp_pc_side": "right", "pc_type": "sor"}  # fmt: skip
#: PETSc options, and whether solves start from the last solution.
STARTS = {
    "from zero": (CG, False),
    "from the last": (CG, True),
    "POD of the last 10": ({**CG, "ksp_guess_type": "pod", "ksp_guess_pod_size": 10}, False),
    "recycling": (HPDDM, False),
}


def has_hpddm() -> bool:
    """Whether this PETSc was built with it."""
    ksp = PETSc.KSP().create(PETSc.COMM_SELF)
    try:
        ksp.setType("hpddm")
    except PETSc.Error:
        return False
    finally:
        ksp.destroy()
    return True


def coefficient(n: int, p: np.ndarray) -> np.ndarray:
    """a(x, y) of the parameters p, shape (WAVES, WAVES), on an n × n grid."""
    x = (np.arange(n) + 0.5) / n
    waves = np.cos(np.pi * np.arange(WAVES)[:, None] * x)
    decay = 1.0 / (1.0 + np.add.outer(np.arange(WAVES) ** 2, np.arange(WAVES) ** 2))
    return np.exp(STRENGTH * np.einsum("ij,ix,jy->xy", 2.0 * p * decay, waves, waves))


def greedily_sorted(p: np.ndarray) -> list[int]:
    """An order in which each instance is followed by the one most like it that is left (their sorting)."""
    left, order = set(range(1, len(p))), [0]
    while left:
        here = p[order[-1]]
        order.append(min(left, key=lambda i: float(((p[i] - here) ** 2).sum())))
        left.remove(order[-1])
    return order


def solve_all(n: int, p: np.ndarray, order: list[int], solver: Contender) -> int:
    """Total iterations."""
    b = vector(np.full(n * n, 1.0 / n**2))
    x, total = b.duplicate(), 0
    for i in order:
        A = matrix(diffusion(coefficient(n, p[i])))
        total += solver.solve(A, b, x).iterations
        A.destroy()
    for thing in solver, b, x:
        thing.destroy()
    return total


def instances(n: int, count: int, seed: int, start: str) -> dict[str, Any]:
    """Iterations an instance by order: of ω = 1, the best fixed ω and `auto`; not a number where PETSc can't."""
    p = np.random.default_rng(seed).standard_normal((count, WAVES, WAVES))
    options, guess = STARTS[start]
    if start == "recycling" and not has_hpddm():
        return {order: np.full(3, np.nan) for order in ORDERS}
    orders = dict(zip(ORDERS, (list(range(count)), greedily_sorted(p))))
    found = {}
    for name, order in orders.items():
        grid = [solve_all(n, p, order, Contender({**options, "pc_sor_omega": omega}, guess=guess)) for omega in OMEGAS]
        learned = solve_all(n, p, order, Contender({**options, **LEARNED}, guess=guess))
        found[name] = np.array([grid[0], min(grid), learned]) / count
    return found


def cells(quick: bool) -> list[Cell]:
    n, count = (16, 20) if quick else (48, 60)
    return [Cell(f"sorted, {start}", instances, (n, count, 0, start), 1 if quick else 40) for start in STARTS]


def main(quick: bool = False, folder: str | None = None) -> dict[str, Any]:
    """Iterations an instance by start and order: of ω = 1, best fixed ω, auto."""
    results = dict(zip(STARTS, run(cells(quick))))
    names = ("ω = 1", "best fixed ω", "auto")
    kinds = [(start, order) for start in STARTS for order in ORDERS if np.isfinite(results[start][order]).all()]
    with style.figure("neighbours_sorted", folder) as (axis,):
        for k, name in enumerate(names):
            heights = [results[start][order][k] for start, order in kinds]
            axis.bar(np.arange(len(kinds)) + 0.27 * (k - 1), heights, 0.25, label=name, color=style.of(name)["color"])
        axis.set_xticks(range(len(kinds)), [f"{start},\n{order}" for start, order in kinds], fontsize=7)
        axis.set_ylabel("iterations an instance")
        axis.legend(fontsize=8)
    return {f"{start}, {order}": dict(zip(names, results[start][order].tolist())) for start, order in kinds}


if __name__ == "__main__":
    print(main())
