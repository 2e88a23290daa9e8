"""Learners that know the shift, those that don't, and what the best ω of each instance would take."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import shifts, style
from .cells import Cell, run

DRAWN = ("tsallis_inf", "best fixed ω", "tsallis_inf_cb", "chebcb", "spectral_exp3", "auto", "instance-optimal")
#: What the paper states, as (cheaper, dearer).
ORDER = {"chebcb below best fixed": ("chebcb", "best fixed ω"), "chebcb below Tsallis-INF": ("chebcb", "tsallis_inf"),
         "Tsallis-INF below ω = 1": ("tsallis_inf", "ω = 1"), "chebcb below ω = 1": ("chebcb", "ω = 1"),
         "Tsallis-INF-CB below ω = 1": ("tsallis_inf_cb", "ω = 1"), "auto below best fixed": ("auto", "best fixed ω"),
         "auto below chebcb": ("auto", "chebcb")}  # fmt: skip


def cells(quick: bool) -> list[Cell]:
    """Those that `learning` has, too."""
    return shifts.cells(quick)


def main(quick: bool = False, folder: str | None = None) -> dict[str, Any]:
    """Totals over the instance-optimal's, as means over trials, and in how many trials the orderings hold.

    *late* is Tsallis-INF over the best fixed ω in the second half and in the last tenth of the instances.
    """
    chosen, numbers = cells(quick), {}
    results = run(chosen)
    with style.figure("contextual", folder, columns=2) as axes:
        for axis, variance in zip(axes, shifts.FIXED):
            trials = [r for cell, r in zip(chosen, results) if cell.arguments[0] == variance]
            totals = shifts.totals(trials, variance)
            best = totals["instance-optimal"]
            numbers[variance] = {name: float((its / best).mean()) for name, its in totals.items()}
            numbers[variance]["trials"] = len(trials)
            numbers[variance]["orderings"] = {
                name: int((totals[cheap] < totals[dear]).sum()) for name, (cheap, dear) in ORDER.items()
            }
            numbers[variance]["late"] = _late(trials)
            _draw(axis, trials, totals)
            axis.set_title(variance)
        axes[0].legend(fontsize=7)
    return numbers


def _late(trials: list[dict[str, np.ndarray]]) -> dict[str, float]:
    """Tsallis-INF's iterations over those of the best fixed ω, all in all and towards the end."""
    def ratio(since: float) -> float:
        start = int(since * len(trials[0]["solves"]))

        def spent(curve: np.ndarray) -> float:
            return float(curve[-1] - (curve[start - 1] if start else 0))

        return float(np.mean([spent(r["tsallis_inf"]) / spent(r["table"][:, r["table"][-1].argmin()]) for r in trials]))

    return {"all": ratio(0.0), "second half": ratio(0.5), "last tenth": ratio(0.9)}


def _draw(axis: Any, trials: list[dict[str, np.ndarray]], totals: dict[str, np.ndarray]) -> None:
    solves = trials[0]["solves"]
    for name in DRAWN:
        curves = [r[name] if name in r else r["table"][:, r["table"][-1].argmin()] for r in trials]
        axis.plot(np.mean(curves, axis=0), solves[-1] - solves, label=name, markevery=10, **style.of(name))
    axis.set_xlim(0, 1.02 * max(totals[name].mean() for name in DRAWN))
    axis.set_xlabel("total iterations")
    axis.set_ylabel("instances remaining")
    axis.ticklabel_format(axis="x", style="sci", scilimits=(0, 0))


if __name__ == "__main__":
    print(main())
