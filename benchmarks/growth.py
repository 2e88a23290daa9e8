"""Does learning stay cheap?  Its time and memory against the number of solves, and its share against their size.

    export PYTHONPATH=benchmarks:demos:. OMP_NUM_THREADS=1
    python3 benchmarks/growth.py [--solves 1000000] [--most 400] [--rounds 3]

First a tiny matrix that changes before each solve: the process's own microseconds a solve in Python's hooks and
altogether, beside native SOR, and resident memory, in windows that end at 10², 10^2.5, … solves.  Then one period of
the heat equation: the share of the hooks, and `fixed` over native at the same ω, solve by solve the least of all
rounds.  All is the process's own time.  Numbers and picture are `growth.json` and `growth.png` in `results/growth`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from race.plan import AUTO, BEST, Size

RESULTS = Path(__file__).resolve().parent / "results" / "growth"
FIXED = "sorlearn fixed"
#: By how much the tiny matrix's diagonal, 5, swings, and solves a radian.
SWING, SLOW = 0.9, 160.0
SIZES = {25: 2, 50: 5, 100: 10, 200: 20, 400: 50}


def many(solves: int) -> list[dict[str, float]]:
    """Windows of a run of a tiny matrix: solves so far, µs a solve, bytes."""
    import memory
    from hooks import Hooks

    hooks, kinds = Hooks(process_time), ("native", "sorlearn")
    matrices = {name: memory.matrix() for name in kinds}
    solvers = {name: memory.solver(A, name, f"{name}_") for name, A in matrices.items()}
    x, b = matrices["native"].createVecs()
    b.set(1.0)
    for A in matrices.values():
        A.shift(1.0)
    ends = np.unique(np.round(10 ** np.arange(2.0, np.log10(solves) + 0.25, 0.5)).astype(int))
    windows, done, decided = [], 0, 0
    for end in ends:
        own, seconds = 0.0, dict.fromkeys(kinds, 0.0)
        for i in range(done, end):
            if i % 100 == 0:
                own, decided = own + sum(hooks.seconds), decided + len(hooks.seconds)
                hooks.clear()  # the watching itself keeps nothing
            for name, ksp in solvers.items():
                matrices[name].shift(SWING * (np.sin((i + 1) / SLOW) - np.sin(i / SLOW)))
                began = process_time()
                ksp.solve(b, x)
                seconds[name] += process_time() - began
        own, decided = own + sum(hooks.seconds), decided + len(hooks.seconds)
        hooks.clear()
        windows.append({"solves": int(end), "hooks": 1e6 * own / (end - done),
                        "bytes": memory.resident(), "decided": decided / end,
                        **{name: 1e6 * spent / (end - done) for name, spent in seconds.items()}})  # fmt: skip
        done = end
    return windows


def period(n_x: int) -> dict[str, Any]:
    """One period of the heat equation, in lockstep: own seconds of every solve, and of the hooks."""
    from hooks import Hooks
    from race import lockstep, oracle, problems

    problem, size = problems.find(f"heat2d {n_x}"), Size(1000, every=SIZES[n_x])
    found, hooks = oracle.known(RESULTS / f"best-{n_x}.json", problem, size), Hooks(process_time)
    tallies = lockstep.race(problem, size, found, only=(BEST, FIXED, AUTO))
    return {"seconds": {name: tally["cpu"] for name, tally in tallies.items()}, "hooks": sum(hooks.seconds),
            "machine": lockstep.machine()}  # fmt: skip


def apart(call: str, path: Path) -> Any:
    """The result of a call, made in a process of its own and kept."""
    if not path.exists():
        RESULTS.mkdir(parents=True, exist_ok=True)
        code = f"import growth, json, pathlib; pathlib.Path({str(path)!r}).write_text(json.dumps(growth.{call}))"
        subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, check=True)
    return json.loads(path.read_text())


def sizes(n_x: int, rounds: int) -> dict[str, float]:
    """What a solve of this size takes, ms, and the shares."""
    runs = [apart(f"period({n_x})", RESULTS / f"{n_x}-{k}.json") for k in range(rounds)]
    least = {name: np.min([run["seconds"][name] for run in runs], axis=0).sum() for name in (BEST, FIXED, AUTO)}
    hooks = min(run["hooks"] for run in runs)
    return {"n_x": n_x, "ms": least[AUTO], "auto over best fixed": least[AUTO] / least[BEST],
            "fixed over native": least[FIXED] / least[BEST], "share of the hooks": hooks / least[AUTO]}  # fmt: skip


def draw(windows: list[dict[str, float]], found: list[dict[str, float]]) -> None:
    from paper import style

    with style.figure("growth", str(RESULTS), columns=3) as (left, middle, right):
        solves = [window["solves"] for window in windows]
        for name, colour, marker in (("sorlearn", style.VERMILION, "*"), ("native", style.BLACK, "v"),
                                     ("hooks", style.BLUE, "o")):  # fmt: skip
            left.plot(solves, [window[name] for window in windows], color=colour, marker=marker, label=name)
        left.set_ylabel("µs a solve")
        left.set_ylim(bottom=0)
        middle.plot(solves, [window["bytes"] / 2**20 for window in windows], color=style.VERMILION, marker="*")
        middle.set_ylabel("resident memory, MiB")
        middle.set_ylim(0, 1.2 * max(window["bytes"] for window in windows) / 2**20)
        for axis in left, middle:
            axis.set_xscale("log")
            axis.set_xlabel("solves")
        n = [(one["n_x"] - 1) ** 2 for one in found]
        right.plot(n, [one["share of the hooks"] for one in found], color=style.BLUE, marker="o",
                   label="share of the hooks")  # fmt: skip
        right.plot(n, [one["fixed over native"] - 1 for one in found], color=style.BLACK, marker="v",
                   label="fixed over native − 1")  # fmt: skip
        right.axhline(0.01, color=style.GREY, linewidth=0.8)
        right.set_xscale("log")
        right.set_xlabel("unknowns")
        for axis in left, right:
            axis.legend(fontsize=7)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--solves", type=int, default=10**6)
    parser.add_argument("--most", type=int, default=400, help="largest n_x")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    windows = apart(f"many({given.solves})", RESULTS / f"many-{given.solves}.json")
    print(f"{'solves':>9s}{'µs, hooks':>11s}{'sorlearn':>10s}{'native':>8s}{'MiB':>8s}{'decided':>9s}")
    for one in windows:
        print(f"{one['solves']:9d}{one['hooks']:11.2f}{one['sorlearn']:10.2f}{one['native']:8.2f}"
              f"{one['bytes'] / 2**20:8.1f}{one['decided']:9.4f}")  # fmt: skip
    found = []
    for n_x in SIZES:
        if n_x <= given.most:
            found.append(sizes(n_x, given.rounds))
            print(", ".join(f"{name} {value:.4g}" for name, value in found[-1].items()), flush=True)
    machine = json.loads((RESULTS / f"{found[0]['n_x']}-0.json").read_text())["machine"]
    numbers = {"machine": machine, "many": windows, "sizes": found}
    (RESULTS / "growth.json").write_text(json.dumps(numbers, indent=1) + "\n")
    draw(windows, found)


if __name__ == "__main__":
    main()
