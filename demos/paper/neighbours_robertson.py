"""Newton-SOR for a stiff equation: Robertson's kinetics by implicit Euler, the rates as context.

Arisaka and Li (*Principled acceleration of iterative numerical methods using machine learning*, ICML 2023) train a
network offline that maps the parameters of such problems to ω.  Here nothing is trained beforehand: learners start with
the first time step of the first problem.  Rates are drawn anew for every problem, a decade around Robertson's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from petsc4py import PETSc

from sorlearn.learners import NO_CONTEXT, Context, Space, learner_class

from . import style
from .cells import Cell, run

RATES = np.array([0.04, 3e7, 1e4])
STEPS = np.logspace(-2, 3, 16)  # implicit Euler's, s
#: Iterations after which a step is given up, and solved by Newton with LU.
MOST = 200
OMEGAS = np.round(np.arange(0.6, 1.605, 0.04), 2)
SPACE = {"omega_min": 0.6, "omega_max": 1.6, "context_min": -2.0, "context_max": 3.0}
#: Newton with one sweep of SOR in the place of a solve, and with LU.
NEWTON_SOR = {"ksp_type": "richardson", "ksp_max_it": 1, "ksp_norm_type": "none", "pc_type": "sor",
              "pc_sor_forward": "", "snes_linesearch_type": "basic", "snes_max_linear_solve_fail": MOST}  # fmt: skip
NEWTON = {"ksp_type": "preonly", "pc_type": "lu"}
LEARNERS = {
    "tsallis_inf": ("tsallis_inf", "none"),
    "chebcb, log Δt": ("chebcb", "Δt"),
    "auto, no context": ("auto", "none"),
    "auto, log Δt": ("auto", "Δt"),
    "auto, rates and Δt": ("auto", "all"),
}
POINTS = 60


class Kinetics:
    """Robertson's three species by implicit Euler: F(y) = y − y_old − Δt f(y) = 0 in every step."""

    def __init__(self, rates: np.ndarray):
        self.rates, self.dt = rates, 0.0
        self.y = PETSc.Vec().createWithArray(np.array([1.0, 0.0, 0.0]), comm=PETSc.COMM_SELF)
        self.old, self.r = self.y.duplicate(), self.y.duplicate()
        self.J = PETSc.Mat().createAIJ((3, 3), nnz=3, comm=PETSc.COMM_SELF)
        self.J.setOption(PETSc.Mat.Option.USE_INODES, False)  # or SOR at ω = 1 would solve all three rows at once

    def snes(self, options: dict[str, Any], prefix: str) -> Any:
        """A SNES for F."""
        for name, value in options.items():
            PETSc.Options(prefix)[name] = value
        snes = PETSc.SNES().create(PETSc.COMM_SELF)
        snes.setOptionsPrefix(prefix)
        snes.setFunction(self.residual, self.r)
        snes.setJacobian(self.jacobian, self.J)
        snes.setTolerances(rtol=1e-8, atol=1e-50, stol=0.0, max_it=MOST)
        snes.setFromOptions()
        return snes

    def residual(self, snes: Any, y: Any, r: Any) -> None:
        """F(y)."""
        k, values = self.rates, y.getArray(readonly=True)
        a, b, c = values.tolist()
        first, second, third = k[0] * a, k[1] * b * b, k[2] * b * c
        f = np.array([third - first, first - second - third, second])
        r.setArray(values - self.old.array - self.dt * f)

    def jacobian(self, snes: Any, y: Any, J: Any, P: Any) -> None:
        """I − Δt f′(y)."""
        k, (_, b, c) = self.rates, y.getArray(readonly=True).tolist()
        slope = np.array([[-k[0], k[2] * c, k[2] * b], [k[0], -2 * k[1] * b - k[2] * c, -k[2] * b],
                          [0.0, 2 * k[1] * b, 0.0]])  # fmt: skip
        P.setValues(range(3), range(3), np.eye(3) - self.dt * slope)
        P.assemble()


def problem(rates: np.ndarray) -> np.ndarray:
    """Iterations of Newton-SOR at all `OMEGAS` in every step of a problem, shape (steps, omegas)."""
    kinetics, table = Kinetics(rates), np.full((len(STEPS), len(OMEGAS)), MOST)
    relaxed, exact = kinetics.snes(NEWTON_SOR, "newton_sor_"), kinetics.snes(NEWTON, "newton_")
    pc, y = relaxed.getKSP().getPC(), kinetics.y.duplicate()
    for t, kinetics.dt in enumerate(STEPS):
        kinetics.y.copy(kinetics.old)
        for i, omega in enumerate(OMEGAS):
            PETSc.Options("newton_sor_")["pc_sor_omega"] = omega
            pc.setFromOptions()
            kinetics.y.copy(y)
            relaxed.solve(None, y)
            if relaxed.reason > 0:
                table[t, i] = relaxed.its
        exact.solve(None, kinetics.y)
    for thing in relaxed, exact, y, kinetics.y, kinetics.old, kinetics.r, kinetics.J:
        thing.destroy()
    return table


def told(kind: str, rates: np.ndarray, dt: float) -> Context:
    """What a learner knows of a step."""
    known = {"Δt": (np.log10(dt),), "all": (*np.log10(rates), np.log10(dt))}
    return Context(user=tuple(map(float, known[kind]))) if kind in known else NO_CONTEXT


def trial(problems: int, seed: int) -> dict[str, Any]:
    """Cumulative iterations of all `LEARNERS`, of ω = 1, the best fixed ω and the best of every step."""
    rng = np.random.default_rng(seed)
    learners = {name: learner_class(kind)(space=Space(**SPACE), seed=seed) for name, (kind, _) in LEARNERS.items()}
    spent: dict[str, list] = {name: [] for name in LEARNERS}
    tables = []
    for _ in range(problems):
        rates = RATES * 10.0 ** rng.uniform(-1.0, 1.0, 3)
        tables.append(problem(rates))
        for dt, row in zip(STEPS, tables[-1]):
            for name, one in learners.items():
                choice = one.choose(told(LEARNERS[name][1], rates, dt))
                spent[name].append(int(row[np.abs(OMEGAS - choice.omega).argmin()]))
                one.update(choice, spent[name][-1])
    table = np.concatenate(tables)
    rows = {**spent, "ω = 1": table[:, np.abs(OMEGAS - 1.0).argmin()], "best fixed ω": table[:, table.sum(0).argmin()],
            "instance-optimal": table.min(axis=1)}  # fmt: skip
    every = np.linspace(0, len(table), POINTS + 1).astype(int)[1:] - 1
    best = OMEGAS[table.argmin(axis=1)]
    return {**{name: np.cumsum(row)[every] for name, row in rows.items()}, "solves": every + 1,
            "best": OMEGAS[table.sum(0).argmin()], "spread": np.percentile(best, [5, 95])}  # fmt: skip


def cells(quick: bool) -> list[Cell]:
    problems, seeds = (4, 1) if quick else (15, 1)
    return [Cell(f"robertson, seed {seed}", trial, (problems, seed), 0.8 * problems) for seed in range(seeds)]


def main(quick: bool = False, folder: str | None = None) -> dict[str, Any]:
    """Total iterations over those of the best ω of every step, means over seeds."""
    results = run(cells(quick))
    names = [*LEARNERS, "ω = 1", "best fixed ω"]
    with style.figure("neighbours_robertson", folder) as (axis,):
        for name, color in zip(names, style.CYCLE):
            ratio = np.mean([r[name] / r["instance-optimal"] for r in results], axis=0)
            line = {"ω = 1": "--", "best fixed ω": ":"}.get(name, "-")
            axis.plot(results[0]["solves"], ratio, line, label=name, color=color)
        axis.set_yscale("log")
        axis.set_xlabel("time steps")
        axis.set_ylabel("iterations / iterations of the best ω of each step")
        axis.legend(fontsize=8)
    numbers = {name: float(np.mean([r[name][-1] / r["instance-optimal"][-1] for r in results])) for name in names}
    return {**numbers, "best ω": float(np.mean([r["best"] for r in results])),
            "best ω of single steps, 5 and 95 %": results[0]["spread"]}  # fmt: skip


if __name__ == "__main__":
    print(main())
