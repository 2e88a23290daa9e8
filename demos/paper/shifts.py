"""Trials of `learning` and `contextual`: who solves 5000 systems with diagonal shifts by SOR in how many iterations."""

from __future__ import annotations

from typing import Any

import numpy as np
from peers import SpectralExp3

from sorlearn import theory
from sorlearn.learners import Context

from .cells import Cell
from .contenders import ARMS, LEARNED, SOR, Contender, Costs, learner, matrix, space, vector
from .model import RANGE, shifted, shifts, truncated_normal

#: Learners that are told iterations of PETSc's SOR, as in the paper.
LEARNERS = ("tsallis_inf", "tsallis_inf_cb", "chebcb", "spectral_exp3")
#: Arms that every instance is solved at: the paper's fixed ω, and the neighbours of the best one.
FIXED = {"low variance": (0, 4, 8, 11, 12, 13, 16), "high variance": (0, 4, 8, 12, 15, 16, 17)}
#: Points of the curves.
POINTS = 50


def cells(quick: bool) -> list[Cell]:
    """A cell a trial and distribution."""
    trials, T = (2, 300) if quick else (40, 5000)
    seconds = {"low variance": 18.0 * T / 5000, "high variance": 26.0 * T / 5000}
    return [Cell(f"shifts, {variance}, trial {trial}", trial_of, (variance, T, trial), seconds[variance])
            for variance in FIXED for trial in range(trials)]  # fmt: skip


def trial_of(variance: str, T: int, seed: int) -> dict[str, Any]:
    """Cumulative iterations at `POINTS` solves, by name; `table` has those of the ω's of `FIXED`.

    PETSc's SOR solves an instance once at every ω that somebody plays; `auto` has a KSP of its own, in which sorlearn
    runs as an application would run it.
    """
    rng = np.random.default_rng([seed, len(variance)])
    learners = {name: learner(name, seed, space(*RANGE)) for name in LEARNERS[:-1]}
    learners["spectral_exp3"] = SpectralExp3(space=space(), seed=seed)
    native, auto = Contender(SOR), Contender({**SOR, **LEARNED, "pc_sorlearn_seed": seed})
    costs = {name: np.zeros(T) for name in (*LEARNERS, "instance-optimal", "auto")}
    fixed = ARMS[list(FIXED[variance])]
    table = np.zeros((T, len(fixed)))
    A0 = shifted(0.0)
    A, beta = matrix(A0), theory.jacobi_radius(A0)
    x, before = vector(np.zeros(A0.shape[0])), 0.0
    for t, c in enumerate(shifts(rng, variance, T)):
        A.shift(c - before)
        b, before = vector(truncated_normal(rng, A0.shape[0])), c
        cost = Costs(native, A, b, x)
        table[t] = [cost(omega).iterations for omega in fixed]
        costs["instance-optimal"][t] = cost(theory.young_omega(4.0 * beta / (4.0 + c))).iterations
        costs["auto"][t] = auto.solve(A, b, x).iterations
        for name, one in learners.items():
            choice = one.choose(Context(user=(c,)))
            costs[name][t] = cost(choice.omega).iterations
            one.update(choice, costs[name][t])
        b.destroy()
    for thing in native, auto, A, x:
        thing.destroy()
    return _curves(costs, table)


def _curves(costs: dict[str, np.ndarray], table: np.ndarray) -> dict[str, np.ndarray]:
    every = np.linspace(0, len(table), POINTS + 1).astype(int)[1:] - 1
    curves = {name: its.cumsum()[every] for name, its in costs.items()}
    return {**curves, "table": table.cumsum(axis=0)[every], "solves": every + 1}


def totals(results: list[dict[str, np.ndarray]], variance: str) -> dict[str, np.ndarray]:
    """Total iterations of every trial by name, with the best fixed ω of each trial, shape (trials,)."""
    found = {name: np.array([r[name][-1] for r in results]) for name in (*LEARNERS, "instance-optimal", "auto")}
    table = np.array([r["table"][-1] for r in results])
    fixed = {f"ω = {ARMS[i]:g}": table[:, k] for k, i in enumerate(FIXED[variance]) if i % 4 == 0}
    return {**found, **fixed, "best fixed ω": table.min(axis=1)}
