"""Figures of the heat equation: iterations and time of every way to choose ω against n, and the chosen ω's over time.

The solves of one step start from the same guess, and a pair of step and ω is solved once: learners of the paper are
told its iterations, and charged its time and their own.  Time is that of the solving thread: wall clock on a core that
nobody disturbs.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from peers import SpectralExp3

from sorlearn.learners import Context
from sorlearn.petsc import context as reading

from . import style
from .cells import Cell, run
from .contenders import CG, LEARNED, Contender, Costs, learner, space
from .heat import Step, march

PERIOD, T = 1000, 5000
OMEGAS = np.round(np.arange(1.0, 1.985, 0.02), 2)
FIXED = (1.0, 1.3, 1.5, 1.75, 1.95)
KAPPA = (0.0, 10.0)
#: Every so many steps of a period is solved at all ω, by n_x; and the seconds of both kinds of cells.
EVERY = {25: 2, 50: 2, 100: 5, 200: 10, 400: 20}
SECONDS = {25: (5, 30), 50: (15, 60), 100: (25, 110), 200: (110, 800), 400: (420, 6000)}
PAPERS = ("tsallis_inf", "tsallis_inf_cb", "chebcb", "spectral_exp3")
PLUGIN = {"auto": {}, "auto, no context": {"pc_sorlearn_context": "none"}}
LEARNERS = (*PAPERS, *PLUGIN)
#: The one whose ω's are drawn.
CONTOUR = 100


def cells(quick: bool, most: int = 400, long: int = 400) -> list[Cell]:
    """Two cells a grid up to n_x = `most`: all fixed ω; all learners, one trial of one period beyond n_x = `long`."""
    if quick:
        return [cell for n_x in (16, 25) for cell in (Cell(f"heat2d, n_x = {n_x}, fixed", fixed, (n_x, 50, 1000), 2),
                Cell(f"heat2d, n_x = {n_x}, learned", learned, (n_x, 1000, 1), 3))]  # fmt: skip
    found = []
    for n_x, every in EVERY.items():
        steps, trials = (T, 3) if n_x <= long else (PERIOD, 1)
        work = (fixed, (n_x, every, PERIOD)), (learned, (n_x, steps, trials))
        seconds = SECONDS[n_x][0], SECONDS[n_x][1] * steps * trials / (3 * T)
        found += [Cell(f"heat2d, n_x = {n_x}, {f.__name__}", f, given, s) for (f, given), s in zip(work, seconds)]
    return found[: 2 * sum(n_x <= most for n_x in EVERY)]


# ---------------------------------------------------------------------------------------------- cells


def golden_section(count: Any, low: float, high: float, evaluations: int = 12) -> float:
    """The ω with the least `count(ω)` that golden section sees in [low, high]."""
    ratio, seen = (np.sqrt(5.0) - 1.0) / 2.0, {}

    def at(omega: float) -> float:
        return seen.setdefault(omega, count(omega))

    for _ in range(evaluations - 1):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if at(left) <= at(right) else (left, high)
    return min(seen, key=seen.get)


def _solved(contender: Contender, step: Step, x: Any) -> tuple[int, float]:
    """Iterations and seconds of a step's solve, which leaves its answer in x."""
    step.u.copy(x)
    return contender.solve(step.A, step.b, x)[:2]


def _fraction(solver: Contender, step: Step, x: Any, omega: float) -> float:
    """Iterations until the tolerance, interpolated between the last two residuals: no plateaus."""
    solver.set_omega(omega)
    k, _ = _solved(solver, step, x)
    if k == 0:
        return 0.0
    before, after = np.log(np.maximum(solver.ksp.getConvergenceHistory()[-2:], 1e-300))
    return k - 1 + (before - np.log(1e-8 * step.b.norm())) / (before - after)


def fixed(n_x: int, every: int, period: int) -> dict[str, Any]:
    """Iterations and seconds of CG, of SSOR-CG at all `OMEGAS`, and at the best ω of each step by golden section."""
    plain, solver, search = (Contender(o, guess=True) for o in ({**CG, "pc_type": "none"}, CG, CG))
    search.ksp.setConvergenceHistory(10_000, reset=True)
    rows: dict[str, list] = {name: [] for name in ("cg", "grid", "optimal", "omega", "step")}
    for step in march(n_x, period):
        if step.number % every:
            continue
        x = step.u.duplicate()
        cost = Costs(solver, step.A, step.b, x, step.u)
        best = golden_section(partial(_fraction, search, step, x), 1.0, OMEGAS[-1])
        rows["cg"].append(_solved(plain, step, x))
        rows["grid"].append([cost(omega)[:2] for omega in OMEGAS])
        rows["optimal"].append(cost(best)[:2])
        rows["omega"].append(best)
        rows["step"].append(step.number)
        x.destroy()
    for contender in plain, solver, search:
        contender.destroy()
    return {name: np.array(values) for name, values in rows.items()}


class Reads:
    """Counts how often features of a matrix are looked at."""

    def __init__(self) -> None:
        self.count, self._look = 0, reading.Features.look

    def __enter__(self) -> Reads:
        def look(features: Any, A: Any) -> Any:
            self.count += 1
            return self._look(features, A)

        reading.Features.look = look
        return self

    def __exit__(self, *_: Any) -> None:
        reading.Features.look = self._look


def learned(n_x: int, steps: int, trials: int) -> dict[str, Any]:
    """Iterations, seconds (learners, trials) and the first trial's ω's (learners, steps); CG's at every fifth step."""
    told = space(*KAPPA, bins=6)
    papers = {name: [learner(name, seed, told) for seed in range(trials)] for name in PAPERS[:-1]}
    papers["spectral_exp3"] = [SpectralExp3(space=told, seed=seed) for seed in range(trials)]
    plugins = {name: [Contender({**CG, **LEARNED, "pc_sorlearn_seed": seed, **options}, guess=True)
                      for seed in range(trials)] for name, options in PLUGIN.items()}  # fmt: skip
    native, plain = Contender(CG, guess=True), Contender({**CG, "pc_type": "none"}, guess=True)
    total = np.zeros((len(LEARNERS), trials, 2))
    omegas, reads = np.zeros((len(LEARNERS), steps), dtype=np.float32), dict.fromkeys(PLUGIN, 0)
    cg = []
    for step in march(n_x, steps):
        x = step.u.duplicate()
        cost = Costs(native, step.A, step.b, x, step.u)
        if step.number % 5 == 0:
            cg.append(_solved(plain, step, x))
        for k, name in enumerate(LEARNERS):
            for trial in range(trials):
                if name in papers:
                    solved = _played(papers[name][trial], cost, step.kappa)
                else:
                    step.u.copy(x)
                    with Reads() as counted:
                        solved = plugins[name][trial].solve(step.A, step.b, x)
                    reads[name] += counted.count
                total[k, trial] += solved[:2]
                if trial == 0:
                    omegas[k, step.number] = solved[2]
        x.destroy()
    for contender in [native, plain, *sum(plugins.values(), [])]:
        contender.destroy()
    return {"iterations": total[:, :, 0] / steps, "seconds": total[:, :, 1] / steps, "omegas": omegas,
            "cg": np.array(cg), "reads": np.array(list(reads.values()))}  # fmt: skip


def _played(one: Any, cost: Costs, kappa: float) -> tuple[int, float, float]:
    """What a step costs a learner of the paper: its solve, which may have been made for another, and its decision."""
    began = Contender.now()
    choice = one.choose(Context(user=(kappa,)))
    own = Contender.now() - began
    k, seconds, omega = cost(choice.omega)
    began = Contender.now()
    one.update(choice, k)
    return k, seconds + own + Contender.now() - began, omega


# ---------------------------------------------------------------------------------------------- numbers


def rows(grid: dict[str, np.ndarray], trials: dict[str, np.ndarray]) -> dict[str, Any]:
    """Iterations a step and seconds over CG's of everything on one grid; learners as means over trials."""
    cg, table = grid["cg"].mean(axis=0), grid["grid"].mean(axis=0)
    best = int(table[:, 0].argmin())
    found = {"CG": cg, **{f"ω = {omega:g}": table[int(np.abs(OMEGAS - omega).argmin())] for omega in FIXED},
             "best fixed ω": table[best], "instance-optimal": grid["optimal"].mean(axis=0)}  # fmt: skip
    numbers = {name: {"iterations": float(k), "time": float(s / cg[1])} for name, (k, s) in found.items()}
    reference = trials["cg"][:, 1].mean()
    for i, name in enumerate(LEARNERS):
        its, seconds = trials["iterations"][i], trials["seconds"][i] / reference
        numbers[name] = {"iterations": float(its.mean()), "time": float(seconds.mean()),
                         "least": float(its.min()), "most": float(its.max())}  # fmt: skip
    steps = trials["omegas"].shape[1]
    return {**numbers, "steps": steps, "best ω": float(OMEGAS[best]), "CG, ms a step": float(1e3 * cg[1]),
            "reads of the matrix": dict(zip(PLUGIN, trials["reads"].tolist()))}  # fmt: skip


def main(quick: bool = False, folder: str | None = None, most: int = 400, long: int = 400) -> dict[str, Any]:
    """Numbers of every n_x by name, drawn as iterations, time and ω's."""
    chosen = cells(quick, most, long)
    results = run(chosen)
    sizes = [cell.arguments[0] for cell in chosen[::2]]
    numbers = {str(n_x): rows(*pair) for n_x, pair in zip(sizes, zip(results[::2], results[1::2]))}
    with style.figure("heat2d", folder, columns=2) as (left, right):
        _against_n(left, sizes, numbers, "iterations")
        _against_n(right, sizes, numbers, "time")
    k = sizes.index(CONTOUR) if CONTOUR in sizes else -1
    with style.figure("heat2d_omega", folder) as (axis,):
        _contour(axis, results[2 * k], results[2 * k + 1], numbers[str(sizes[k])]["best ω"])
        axis.set_title(f"n_x = {sizes[k]}")
    return numbers


def _against_n(axis: Any, sizes: list[int], numbers: dict[str, Any], what: str) -> None:
    drawn = ["CG", "ω = 1", "ω = 1.5", "best fixed ω", "instance-optimal", *LEARNERS]
    n = [(n_x - 1) ** 2 for n_x in sizes]
    for name in drawn:
        axis.plot(n, [numbers[str(n_x)][name][what] for n_x in sizes], label=name, **style.of(name))
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xticks(n, [str(unknowns) for unknowns in n])
    axis.set_xticks([], minor=True)
    axis.set_xlabel("unknowns")
    axis.set_ylabel("iterations a step" if what == "iterations" else "time / time of CG")
    if what == "iterations":
        axis.legend(fontsize=6.5, loc="upper left")
    low, high = axis.get_ylim()
    marks = [digit * 10.0**decade for decade in range(-2, 4) for digit in (1, 2, 5)]
    axis.set_yticks([mark for mark in marks if low <= mark <= high])
    axis.set_yticks([], minor=True)
    axis.yaxis.set_major_formatter("{x:g}")


def _contour(axis: Any, grid: dict[str, np.ndarray], trials: dict[str, np.ndarray], best: float) -> None:
    """Iterations over step and ω, and moving averages of the ω's that were chosen, ± one standard deviation."""
    steps = trials["omegas"].shape[1]
    table = np.log10(np.maximum(grid["grid"][:, :, 0], 1.0))
    shown = OMEGAS <= 1.96
    filled = axis.contourf(grid["step"], OMEGAS[shown], table.T[shown], 12, cmap="Greys", alpha=0.6)
    axis.figure.colorbar(filled, ax=axis, label="log₁₀ of iterations, first period")
    axis.axhline(best, **{**style.of("best fixed ω"), "marker": None}, label="best fixed ω")
    axis.plot(grid["step"], style.smooth(grid["omega"], 25 // max(1, int(grid["step"][1]))),
              **{**style.of("instance-optimal"), "marker": None}, label="instance-optimal")  # fmt: skip
    last = max(0, steps - PERIOD)
    for name in ("tsallis_inf", "chebcb", "auto"):
        chosen = trials["omegas"][LEARNERS.index(name)][last:].astype(float)
        mean = style.smooth(chosen, 25)
        spread = np.sqrt(np.maximum(style.smooth(chosen**2, 25) - mean**2, 0.0))
        axis.plot(np.arange(len(mean)), mean, color=style.of(name)["color"], label=f"{name} ± σ, last period")
        axis.fill_between(np.arange(len(mean)), mean - spread, mean + spread, color=style.of(name)["color"], alpha=0.25)
    axis.set_ylim(1.0, 1.96)
    axis.set_xlim(0, min(steps, PERIOD) - 1)
    axis.set_xlabel("step of the period")
    axis.set_ylabel("ω")
    axis.legend(fontsize=7, loc="lower center", bbox_to_anchor=(0.5, 1.06), ncol=3)


if __name__ == "__main__":
    print(main())
