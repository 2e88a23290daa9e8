"""Mean cost of ω over 40 shifts, actually and by the near-asymptotic bound, and of the best ω of each instance."""

from __future__ import annotations

from typing import Any

import numpy as np

from sorlearn import theory

from . import style
from .asymptotic import counts, excess, grid
from .cells import Cell, run
from .contenders import LEARNED, SOR, Contender, matrix, vector
from .model import EPS, SHIFTS, shifted, shifts, truncated_normal


def instances(variance: str, trials: int, step: float) -> dict[str, Any]:
    """Costs and bounds, shape (trials, omegas), and what `auto` takes that has learned on as many instances before."""
    rng = np.random.default_rng(len(variance))
    omegas = grid(1.99, step)
    actual, bound, learned = [], [], Contender({**SOR, **LEARNED})
    auto = []
    for t, c in enumerate(shifts(rng, variance, 2 * trials)):
        A, b = shifted(c), truncated_normal(rng, 100)
        things = matrix(A), vector(b), vector(0.0 * b)
        spent = learned.solve(*things).iterations
        for thing in things:
            thing.destroy()
        if t < trials:
            continue
        auto.append(spent)
        actual.append(counts(A, b, omegas))
        rho, over = excess(A, omegas, actual[-1])
        bound.append(theory.near_asymptotic_iterations(rho, (over / (1.0 - rho)).max(), EPS))
    learned.destroy()
    return {"omegas": omegas, "actual": actual, "bound": bound, "auto": auto}


def cells(quick: bool) -> list[Cell]:
    trials, step = (6, 0.05) if quick else (40, 0.02)
    return [Cell(f"comparators, {name}", instances, (name, trials, step), 0.006 * trials / step) for name in SHIFTS]


def main(quick: bool = False, folder: str | None = None) -> dict[str, Any]:
    """Means over ω, and the means of the best, by distribution."""
    numbers = {}
    for name, r in zip(SHIFTS, run(cells(quick))):
        numbers[name] = {"omegas": r["omegas"], "actual": r["actual"].mean(axis=0), "bound": r["bound"].mean(axis=0),
                         "instance-optimal": r["actual"].min(axis=1).mean(), "auto": r["auto"].mean(),
                         "instance-optimal bound": r["bound"].min(axis=1).mean(),
                         "smallest slack": (r["bound"] - r["actual"]).min()}  # fmt: skip
    with style.figure("comparators", folder, columns=2) as axes:
        for axis, (name, r) in zip(axes, numbers.items()):
            axis.semilogy(r["omegas"], r["actual"], color=style.BLUE, label="actual iterations")
            axis.axhline(r["instance-optimal"], linestyle="--", color=style.BLUE, label="(instance-optimal)")
            axis.semilogy(r["omegas"], r["bound"], color=style.ORANGE, label="near-asymptotic bound")
            axis.axhline(r["instance-optimal bound"], linestyle="--", color=style.ORANGE, label="(instance-optimal)")
            axis.axhline(r["auto"], linestyle=":", color=style.VERMILION, linewidth=2, label="auto, after 40 instances")
            axis.set_title(name)
            axis.set_xlabel("ω")
            axis.set_ylabel("mean iterations of 40 instances")
        axes[0].legend(fontsize=7)
    return numbers


if __name__ == "__main__":
    print(main())
