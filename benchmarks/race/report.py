"""Rounds → tables: medians, the least and the most, in ratios to native SOR of the same round."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .plan import AUTO, BEST, OPTIMAL, Size, dense, kept

#: Where so much of the time wasn't the processes', others have disturbed them.
BUSY = 0.05


class Row(NamedTuple):
    """A contender on a problem; triples are (median, least, most) over the rounds.

    Where the best ω of every system isn't known, `over_optimal` is `over_best`.
    """

    name: str
    iterations: float
    ms: float
    over_best: tuple[float, float, float]
    over_optimal: tuple[float, float, float]
    residual: float | None
    failed: str

    @property
    def ours(self) -> bool:
        """Whether it is sorlearn's."""
        return self.name.startswith("sorlearn")

    @property
    def foresees(self) -> bool:
        """Whether it is given ω's that nobody knows beforehand."""
        return self.name.endswith(("best fixed ω", "instance-optimal ω"))


class Table(NamedTuple):
    """All contenders on a problem, the fastest first.

    Attributes
    ----------
    omega : float
        The best fixed ω.
    busy : float
        Share of the clock on the wall in which the processes didn't run.
    """

    problem: str
    ranks: int
    size: dict[str, Any]
    machine: dict[str, Any]
    rounds: int
    omega: float
    busy: float
    rows: list[Row]

    @property
    def title(self) -> str:
        """The problem and its ranks."""
        ranks = f"{self.ranks} rank{'s' * (self.ranks > 1)}"
        return f"{self.problem}, {ranks}{', oversubscribed' * (self.ranks > self.machine['cores'])}"


def read(folder: Path, name: str, ranks: int, rounds: int, clock: str = "wall") -> Table | None:
    """What is kept of a problem; None where that is nothing.

    Parameters
    ----------
    clock : str
        "wall"; "cpu", the processes' own time, which others on the machine hardly change but which waiting ranks use,
        too; or "least", of every solve the least that it took in any round by the clock on the wall.
    """
    files = [path for k in range(1, rounds + 1) if (path := kept(folder, name, ranks, k)).exists()]
    if not files:
        return None
    runs = [json.loads(path.read_text()) for path in files]
    omega = json.loads(kept(folder, name, ranks, 0).read_text())["result"]["omega"]
    every, found = runs[0]["size"]["every"], [run["result"] for run in runs]
    wall, worked = (sum(sum(tally[c]) for one in found for tally in one.values()) for c in ("seconds", "cpu"))
    rows = sorted((_row(one, found, clock, every) for one in found[0]), key=lambda r: (bool(r.failed), r.over_optimal))
    return Table(name, ranks, runs[0]["size"], runs[-1]["machine"], len(runs), omega, 1.0 - worked / wall, rows)


def _row(name: str, rounds: list[dict[str, Any]], clock: str, every: int) -> Row:
    failed = next((one[name]["failed"] for one in rounds if one[name]["failed"]), "")
    if failed:
        return Row(name, 0.0, 0.0, (0.0,) * 3, (0.0,) * 3, None, failed)
    iterations, residuals = rounds[0][name]["iterations"], [one[name]["residual"] for one in rounds]
    own = seconds(name, rounds, clock)

    def over(other: str) -> tuple[float, float, float]:
        theirs = seconds(other, rounds, clock)[:, :: 1 if dense(name) else every]  # of those that both solve
        ratios = own.sum(axis=1) / theirs.sum(axis=1)
        return float(np.median(ratios)), float(ratios.min()), float(ratios.max())

    return Row(name, sum(iterations) / len(iterations), 1e3 * float(np.median(own.mean(axis=1))), over(BEST),
               over(OPTIMAL if OPTIMAL in rounds[0] else BEST), max(residuals) if None not in residuals else None, "")


def seconds(name: str, rounds: list[dict[str, Any]], clock: str) -> np.ndarray:
    """Of every solve of a contender, shape (rounds, solves); one round only by the clock "least"."""
    each = np.array([one[name]["cpu" if clock == "cpu" else "seconds"] for one in rounds])
    return each.min(axis=0, keepdims=True) if clock == "least" else each


def text(table: Table) -> str:
    """For people."""
    size = Size(**table.size)
    shared = f", 1 in {size.every} by those without memory" * (size.every > 1)
    lines = [f"{table.title}: {size.solves} solves{shared}; rounds: {table.rounds}; best fixed ω: {table.omega:.3f}",
             f"{'':30s}{'iterations':>11s}{'ms a solve':>12s}{'over best fixed ω':>26s}{'over the best of each':>26s}"
             f"{'residual/asked':>16s}"]  # fmt: skip
    for row in table.rows:
        if row.failed:
            lines.append(f"{row.name:30s}  fails: {row.failed.splitlines()[0]}")
            continue
        residual = "–" if row.residual is None else f"{row.residual:.2f}"
        best, optimal = (f"{m:.3f} ({low:.3f} to {high:.3f})" for m, low, high in (row.over_best, row.over_optimal))
        lines.append(f"{row.name:30s}{row.iterations:11.1f}{row.ms:12.3f}{best:>26s}{optimal:>26s}{residual:>16s}")
    if table.busy > BUSY:
        lines.append(f"the machine was busy: in {100 * table.busy:.0f} % of the time these processes didn't run")
    return "\n".join([*lines, *_verdict(table)])


def _verdict(table: Table) -> list[str]:
    """Who wins, in two lines; none where sorlearn fails."""
    ours = next(row for row in table.rows if row.name == AUTO)
    if ours.failed:
        return []
    faster = [row for row in table.rows if not (row.failed or row.ours) and row.over_optimal < ours.over_optimal]
    words = [", ".join(row.name for row in faster if row.foresees is told) or "none" for told in (False, True)]
    known = "the best ω of each system" if OPTIMAL in [row.name for row in table.rows] else "the best fixed ω"
    return [f"sorlearn auto: {ours.over_optimal[0]:.3f} of native SOR at {known}",
            f"faster than it: {words[0]}; with ω's known beforehand: {words[1]}"]  # fmt: skip
