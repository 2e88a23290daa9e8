"""What a journal says, as a table and as a picture."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

Entries = list[dict[str, Any]]


def by_solver(entries: Entries) -> dict[str, Entries]:
    """The entries of each solver, or of each of its arms, in the order in which they appear."""
    solvers: dict[str, Entries] = {}
    for entry in entries:
        name = f"{entry['name'] or '(no prefix)'} {entry.get('arm', '')}".rstrip()
        solvers.setdefault(name, []).append(entry)
    return solvers


def table(entries: Entries) -> str:
    """One line a solver: solves, iterations, seconds, ω, what was rescued."""
    rows = [f"{'solver':20s} {'solves':>8s} {'iterations':>10s} {'seconds':>9s} {'omega':>16s} {'rescued':>8s}"]
    for name, mine in by_solver(entries).items():
        iterations, seconds = (sum(entry[key] for entry in mine) for key in ("iterations", "seconds"))
        omegas, omega = [entry["omega"] for entry in mine if entry["omega"] is not None], "-"
        if omegas:
            low, middle, high = np.quantile(omegas, (0.1, 0.5, 0.9))
            omega = f"{middle:.2f} ({low:.2f}-{high:.2f})"
        rescued = sum(entry["rescued"] for entry in mine)
        rows.append(
            f"{name:20s} {len(mine):8d} {iterations:10d} {seconds:9.3f} {omega:>16s} {rescued:8d}"
        )
    return "\n".join(rows)


def draw(entries: Entries, path: str) -> str:
    """Save iterations and ω of every solve as a picture; returns its path, with .png where no format was named.

    Raises
    ------
    ImportError
        Without matplotlib (extra `plot`).
    OSError, ValueError
        If the file can't be written, or its name stands for no format that matplotlib knows.
    """
    import matplotlib

    path = path if os.path.splitext(path)[1] else f"{path}.png"
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 1, sharex=True, figsize=(8, 6), layout="constrained")
    for name, mine in by_solver(entries).items():
        for axis, key in zip(axes, ("iterations", "omega")):
            at = [entry["solve"] for entry in mine] if "arm" in mine[0] else range(len(mine))
            values = [np.nan if entry[key] is None else entry[key] for entry in mine]
            axis.plot(at, values, ".", markersize=3, label=name)
    for axis, label in zip(axes, ("iterations per solve", "ω")):
        axis.set_ylabel(label)
    axes[1].set_xlabel("solve")
    axes[0].legend(markerscale=3)
    figure.savefig(path, dpi=150)
    plt.close(figure)
    return path
