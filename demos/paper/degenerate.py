"""How an eigenvector as right-hand side makes the cost of ω jump, where random ones make it smooth.

The eigenvector is that of C_1.4 with the eigenvalue 1 − ω = −0.4, its smallest in modulus that is real: at ω = 1.4 SOR
then takes log ε/log 0.4 iterations, fewer than anywhere near.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sorlearn import theory

from . import style
from .asymptotic import auto, counts, grid
from .cells import Cell, run
from .model import shifted, truncated_normal

OMEGA = 1.4


def eigenvector(A: Any) -> np.ndarray:
    """The real eigenvector, of length 1."""
    values, vectors = np.linalg.eig(theory.iteration_matrix(A, OMEGA))
    b = vectors[:, np.abs(values - (1.0 - OMEGA)).argmin()].real
    return b / np.linalg.norm(b)


def costs(step: float, samples: int) -> dict[str, Any]:
    """Iterations with the eigenvector, shape (omegas,), and with random vectors, shape (samples, omegas)."""
    A, rng = shifted(0.0), np.random.default_rng(2)
    best = theory.young_omega(theory.jacobi_radius(A))
    omegas = np.sort(np.append(grid(1.9, step), [OMEGA, best]))
    gauss = [counts(A, truncated_normal(rng, A.shape[0]), omegas) for _ in range(samples)]
    return {"omegas": omegas, "degenerate": counts(A, eigenvector(A), omegas), "gauss": gauss, "auto": auto(A, rng)}


def cells(quick: bool) -> list[Cell]:
    step, samples = (0.02, 5) if quick else (0.004, 40)
    return [Cell("degenerate", costs, (step, samples), 1.2e-4 * samples / step)]


def main(quick: bool = False, folder: str | None = None) -> dict[str, Any]:
    """The cost of the eigenvector, and mean, least and most of the random vectors'."""
    (r,) = run(cells(quick))
    mean, least, most = (getattr(r["gauss"], name)(axis=0) for name in ("mean", "min", "max"))
    with style.figure("degenerate", folder) as (axis,):
        axis.fill_between(r["omegas"], least, most, color=style.ORANGE, alpha=0.35, label="Gaussian b, least to most")
        axis.plot(r["omegas"], mean, color=style.VERMILION, label="Gaussian b, mean")
        axis.plot(r["omegas"], r["degenerate"], color=style.BLUE, label="b an eigenvector of C at ω = 1.4")
        axis.plot(*r["auto"], label="auto, Gaussian b", **style.of("auto"))
        axis.set_xlabel("ω")
        axis.set_ylabel("iterations")
        axis.legend(fontsize=8)
    return {"omegas": r["omegas"], "degenerate": r["degenerate"], "mean": mean, "least": least, "most": most}


if __name__ == "__main__":
    print(main())
