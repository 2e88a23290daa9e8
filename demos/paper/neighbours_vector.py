"""Several numbers as context: conductivity κ(t) and time step Δt(t) of the heat problem, together and alone.

Arisaka and Li train a network offline on the parameters of a family of problems; here `auto` is told them in a run, by
`tuner.context = log κ, log Δt` (a C application: `-pc_sorlearn_context_option kappa,dt`), and learns from the first
solve on which combination of them matters.
"""

from __future__ import annotations

from math import log, pi, sin
from typing import Any

import numpy as np

from sorlearn.learners import NO_CONTEXT, Context

from . import style
from .cells import Cell, run
from .contenders import CG, LEARNED, Contender, Costs, learner, space
from .heat import Step, march

OMEGAS = np.round(np.arange(1.0, 1.985, 0.04), 2)
NAMES = ("auto, no context", "auto, log κ", "auto, log Δt", "auto, log κ and log Δt", "auto, matrix", "chebcb, log κ")
POINTS = 60


def problem(seed: int) -> tuple[Any, Any]:
    """κ(t), which swings between 0.1 and 10, and Δt, which a controller would choose: here drawn from 1e-4 to 1e-2."""
    rng = np.random.default_rng(seed)
    return lambda t: 10.0 ** sin(2.0 * pi * t / 0.2), lambda t: 10.0 ** rng.uniform(-4.0, -2.0)


def told(name: str, step: Step) -> Context:
    """What a contender is told of a step."""
    kappa, dt = log(step.kappa), log(step.dt)
    known = {"log κ": (kappa,), "log Δt": (dt,), "log κ and log Δt": (kappa, dt)}.get(name.partition(", ")[2])
    return NO_CONTEXT if known is None else Context(user=known)


def sequence(n_x: int, steps: int, seed: int) -> dict[str, Any]:
    """Cumulative iterations of all `NAMES`, of the best fixed ω and of the best ω of each step."""
    contenders = {}
    for name in NAMES[:-1]:
        reads = {} if name == "auto, matrix" else {"pc_sorlearn_context": "none"}
        contenders[name] = Contender({**CG, **LEARNED, "pc_sorlearn_seed": seed, **reads}, guess=True)
    chebcb, native = learner("chebcb", seed, space(log(0.1), log(10.0))), Contender(CG, guess=True)
    its, table = np.zeros((len(NAMES), steps)), np.zeros((steps, len(OMEGAS)))
    for step in march(n_x, steps, *problem(seed)):
        t, x = step.number, step.u.duplicate()
        cost = Costs(native, step.A, step.b, x, step.u)
        table[t] = [cost(omega).iterations for omega in OMEGAS]
        for k, (name, contender) in enumerate(contenders.items()):
            step.u.copy(x)
            its[k, t] = contender.solve(step.A, step.b, x, told(name, step)).iterations
        choice = chebcb.choose(told("chebcb, log κ", step))
        its[-1, t] = cost(choice.omega).iterations
        chebcb.update(choice, its[-1, t])
        x.destroy()
    for contender in [native, *contenders.values()]:
        contender.destroy()
    best = table[:, table.sum(axis=0).argmin()]
    every = np.linspace(0, steps, POINTS + 1).astype(int)[1:] - 1
    rows = np.vstack([its, best, table.min(axis=1)]).cumsum(axis=1)[:, every]
    return {"rows": rows, "solves": every + 1}


def cells(quick: bool) -> list[Cell]:
    n_x, steps, seeds = (20, 400, 1) if quick else (50, 1500, 1)
    return [Cell(f"vector of contexts, seed {seed}", sequence, (n_x, steps, seed), 3 if quick else 25)
            for seed in range(seeds)]  # fmt: skip


def main(quick: bool = False, folder: str | None = None) -> dict[str, Any]:
    """Total iterations over those of the best ω of every step, by what was told; mean over seeds."""
    results = run(cells(quick))
    rows = np.mean([result["rows"] for result in results], axis=0)
    names = [*NAMES, "best fixed ω", "instance-optimal"]
    with style.figure("neighbours_vector", folder) as (axis,):
        for name, row, line in zip(names[:-1], rows, ("-", "--", "-.", "-", ":", "--", ":")):
            axis.plot(results[0]["solves"], row / rows[-1], line, label=name, color=style.CYCLE[names.index(name)])
        axis.set_xlabel("solves")
        axis.set_ylabel("iterations / iterations of the best ω of each step")
        axis.set_ylim(0.99, 1.6)
        axis.legend(fontsize=8)
    return {name: float(row[-1] / rows[-1, -1]) for name, row in zip(names, rows)}


if __name__ == "__main__":
    print(main())
