"""Two pictures: the heat equation against its size, and everybody on every problem."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from paper import style

from .plan import AUTO, BEST, OPTIMAL
from .report import Row, Table

#: Drawn against the size, with the look that each has: those of SOR black, of sorlearn red, others as they come.
_LOOKS = {
    AUTO: (style.VERMILION, "*", "-"),
    "sorlearn chebcb": (style.VERMILION, "s", ":"),
    BEST: (style.BLACK, "v", ":"),
    "SOR, ω = 1": (style.BLACK, "^", "--"),
    "Eisenstat, best fixed ω": (style.PURPLE, "v", ":"),
    "Eisenstat, instance-optimal ω": (style.PURPLE, "D", "-"),
    "no PC": (style.GREY, "x", "-"),
    "ICC(0)": (style.SKY, "P", "-"),
    "cholesky": (style.GREEN, "<", "-"),
    "GAMG": (style.BLUE, "o", "-"),
    "hypre": (style.ORANGE, "h", "-"),
    "multigrid": (style.YELLOW, "d", "-"),
}
_AXIS = "time / native SOR's at the best ω of each"
_FIXED = "time / native SOR's at the best fixed ω"
_TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)


def draw(tables: list[Table], folder: Path) -> None:
    """Save both as `heat.png` and `all.png`."""
    heat = sorted((t for t in tables if t.ranks == 1 and t.problem.startswith("heat2d")), key=_unknowns)
    if len(heat) > 1:
        with style.figure("heat", str(folder)) as (axis,):
            _against_size(axis, heat)
    columns = max(2, min(3, len(tables)))
    with style.figure("all", str(folder), columns=columns, rows=-(-len(tables) // columns)) as axes:
        for axis, table in zip(axes, tables):
            _everybody(axis, table)
        for axis in axes[len(tables) :]:
            axis.set_axis_off()


def _unknowns(table: Table) -> int:
    return (int(table.problem.split()[1]) - 1) ** 2


def _against_size(axis: Any, tables: list[Table]) -> None:
    sizes = [_unknowns(table) for table in tables]
    for name, (color, marker, line) in _LOOKS.items():
        found = [next((row.over_optimal for row in table.rows if row.name == name and not row.failed), None)
                 for table in tables]  # fmt: skip
        points = [(n, *triple) for n, triple in zip(sizes, found) if triple]
        if points:
            n, middle, low, high = zip(*points)
            axis.plot(n, middle, color=color, marker=marker, linestyle=line, label=name, markersize=6)
            axis.fill_between(n, low, high, color=color, alpha=0.15)
    axis.axhline(1.0, color=style.BLACK, linewidth=1.0, label=OPTIMAL)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xticks(sizes, [f"{n}" for n in sizes])
    axis.set_xticks([], minor=True)
    for formatter in axis.yaxis.set_major_formatter, axis.yaxis.set_minor_formatter:
        formatter("{x:g}")
    axis.set_xlabel("unknowns")
    axis.set_ylabel(_AXIS)
    axis.set_title("heat equation, one rank; bands: least and most of the rounds")
    axis.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))


def _everybody(axis: Any, table: Table) -> None:
    rows = [row for row in table.rows if not row.failed]
    for place, row in enumerate(reversed(rows)):
        middle, low, high = row.over_optimal
        axis.plot([low, high], [place, place], color=_color(row), linewidth=1.5)
        axis.plot([middle], [place], color=_color(row), marker="*" if row.ours else "o",
                  markersize=6 if row.ours else 3.5)  # fmt: skip
    axis.axvline(1.0, color=style.BLACK, linewidth=0.8)
    axis.set_xscale("log")
    axis.set_yticks(range(len(rows)), [row.name for row in reversed(rows)], fontsize=5.5)
    low, high = axis.get_xlim()
    ticks = [tick for tick in _TICKS if low < tick < high]
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks], fontsize=6.5)
    axis.set_xticks([], minor=True)
    axis.set_title(table.title, fontsize=7.5)
    axis.set_xlabel(_AXIS if OPTIMAL in [row.name for row in rows] else _FIXED, fontsize=5.5)


def _color(row: Row) -> str:
    if row.ours:
        return style.VERMILION
    return style.BLACK if row.name.startswith("SOR") else style.BLUE
