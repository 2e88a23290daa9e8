"""How fast learners' excess over what they compete with grows: Tsallis-INF and ChebCB, on tables of costs.

The paper proves O(T^⅔) for Tsallis-INF against the best fixed ω and O(T^(9/11)) for ChebCB against the best ω of every
instance, with grids of ω that grow with T; so every T has a run with a grid of its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sorlearn.learners import Context

from . import style
from .asymptotic import counts
from .cells import Cell, run
from .contenders import learner, space
from .model import RANGE, SHIFTS, shifted, shifts, truncated_normal

#: ω of the tables; learners' grids are rounded to them.
OMEGAS = np.round(np.arange(1.0, 1.955, 0.01), 2)
#: By learner: arms for T solves, the proven exponent, and what it competes with.
LEARNERS = {
    "tsallis_inf": (lambda T: int((2 * T) ** (1 / 3)), 2 / 3, "best fixed ω"),
    "chebcb": (lambda T: int(4.25 * T ** (2 / 11)), 9 / 11, "instance-optimal"),
    "auto": (lambda T: 20, None, "instance-optimal"),
}


def table(variance: str, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Shifts, shape (size,), and iterations of PETSc's SOR at all `OMEGAS`, shape (size, omegas)."""
    rng = np.random.default_rng(3)
    cs = shifts(rng, variance, size)
    return cs, np.array([counts(shifted(c), truncated_normal(rng, 100), OMEGAS) for c in cs])


def excess(variance: str, size: int, T: int, seeds: int) -> dict[str, Any]:
    """Total iterations more than those of what a learner competes with, shapes (seeds,)."""
    cs, its = table(variance, size)
    best, fixed = its.min(axis=1), its[:, its.mean(axis=0).argmin()]
    found = {name: np.zeros(seeds) for name in LEARNERS}
    for seed in range(seeds):
        rows = np.random.default_rng(seed).integers(size, size=T)
        against = {"best fixed ω": fixed[rows].sum(), "instance-optimal": best[rows].sum()}
        for name, (arms, _, rival) in LEARNERS.items():
            found[name][seed] = play(name, arms(T), seed, cs[rows], its[rows]) - against[rival]
    return found


def play(name: str, arms: int, seed: int, cs: np.ndarray, its: np.ndarray) -> float:
    """Total iterations of a learner that is told the shift, at the nearest ω of the table."""
    one = learner(name, seed, space(*RANGE, arms=arms))
    total = 0.0
    for c, row in zip(cs.tolist(), its):
        choice = one.choose(Context(user=(c,)))
        cost = float(row[min(max(int(100.0 * (choice.omega - 1.0) + 0.5), 0), len(row) - 1)])
        one.update(choice, cost)
        total += cost
    return total


def cells(quick: bool) -> list[Cell]:
    size, solves, seeds = (60, (200, 500), 2) if quick else (300, (1000, 3162, 10_000, 31_623, 100_000), 1)
    return [Cell(f"regret, {variance}, T = {T}", excess, (variance, size, T, seeds), 3 + 3e-4 * T * seeds)
            for variance in SHIFTS for T in solves]  # fmt: skip


def main(quick: bool = False, folder: str | None = None) -> dict[str, Any]:
    """Slopes of the excess over T on log–log axes, beside the proven exponents."""
    chosen, numbers = cells(quick), {}
    with style.figure("regret", folder, columns=2) as axes:
        results = run(chosen)
        for axis, variance in zip(axes, SHIFTS):
            runs = [(cell.arguments[2], r) for cell, r in zip(chosen, results) if cell.arguments[0] == variance]
            solves = np.array([T for T, _ in runs])
            numbers[variance] = {}
            for name, (_, proven, rival) in LEARNERS.items():
                mean = np.maximum([r[name].mean() for _, r in runs], 1.0)
                slope = float(np.polyfit(np.log(solves), np.log(mean), 1)[0])
                numbers[variance][name] = {"slope": slope, "proven": proven, "excess": mean, "T": solves}
                said = f"slope {slope:.2f}" + (f", proven {proven:.2f}" if proven else "")
                axis.loglog(solves, mean, label=f"{name} over {rival}: {said}", **style.of(name))
                if proven:
                    axis.loglog(solves, mean[-1] * (solves / solves[-1]) ** proven, ":", color=style.of(name)["color"])
            axis.set_title(variance)
            axis.set_xlabel("T, solves")
            axis.set_ylabel("excess iterations")
            axis.legend(fontsize=7)
    return numbers


if __name__ == "__main__":
    print(main())
