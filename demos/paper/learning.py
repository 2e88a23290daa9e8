"""Fixed ω against Tsallis-INF over 5000 shifted systems: instances remaining against iterations spent."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import shifts, style
from .cells import Cell, run
from .contenders import ARMS

OMEGAS = (1.0, 1.2, 1.4, 1.6, 1.8)


def cells(quick: bool) -> list[Cell]:
    """Those that `contextual` has, too."""
    return shifts.cells(quick)


def main(quick: bool = False, folder: str | None = None) -> dict[str, Any]:
    """Mean total iterations over trials, by distribution and name; and in how many trials all is below ω = 1."""
    chosen, numbers = cells(quick), {}
    results = run(chosen)
    with style.figure("learning", folder, columns=2) as axes:
        for axis, variance in zip(axes, shifts.FIXED):
            trials = [r for cell, r in zip(chosen, results) if cell.arguments[0] == variance]
            totals = shifts.totals(trials, variance)
            names = [f"ω = {omega:g}" for omega in OMEGAS]
            for name in (*names, "tsallis_inf", "auto"):
                _draw(axis, trials, name, [round(float(ARMS[i]), 2) for i in shifts.FIXED[variance]])
            axis.set_title(variance)
            numbers[variance] = {name: float(totals[name].mean()) for name in (*names, "tsallis_inf", "auto")}
            below = np.maximum(totals["tsallis_inf"], totals["auto"]) < totals["ω = 1"]
            numbers[variance]["trials below ω = 1"] = int(below.sum())
            numbers[variance]["trials"] = len(trials)
        axes[0].legend(fontsize=7)
    return numbers


def _draw(axis: Any, trials: list[dict[str, np.ndarray]], name: str, fixed: list[float]) -> None:
    """Instances remaining against the mean total of iterations."""
    if name in trials[0]:
        curves = [r[name] for r in trials]
    else:
        curves = [r["table"][:, fixed.index(float(name[4:]))] for r in trials]
    solves = trials[0]["solves"]
    axis.plot(np.mean(curves, axis=0), solves[-1] - solves, label=name, markevery=10, **style.of(name))
    axis.set_xscale("log")
    axis.set_xlabel("total iterations")
    axis.set_ylabel("instances remaining")


if __name__ == "__main__":
    print(main())
