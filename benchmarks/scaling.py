"""Ranks: what learning costs on them, measured and by a model to 10⁵ of them.

    export PYTHONPATH=benchmarks:demos:. OMP_NUM_THREADS=1
    python3 benchmarks/scaling.py [--rounds 3] [--under COMMAND]

measures small collectives, then one period of the heat equation natively (ω = 1, the best fixed ω of that number of
ranks) and with `auto`, on 1, 2 and 4 ranks; with n_x = 100, 141 and 200 the ranks have equally many unknowns.  Every
round is a process of its own; of every solve, and of the collectives, the least of all rounds counts.  What is measured
is kept in `results/scaling`, numbers and picture are in `scaling.json` and `scaling.png` there.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, NamedTuple

import numpy as np
from race.plan import AUTO, BEST, Size

RESULTS = Path(__file__).resolve().parent / "results" / "scaling"
#: (ranks, n_x)
PIECES = ((1, 100), (2, 141), (4, 200), (2, 100), (1, 200), (2, 200))
ONE = "SOR, ω = 1"
#: Numbers that a message carries: between two ranks, both ways at once; before a repeated solve; when all say what they
#: see; the decision; how it is repeated.
CALLS = {"ping": 1, "repeat": 4, "agree": 8, "decision": 12, "plan": 29}
BATCHES, CALLS_A_BATCH = 200, 100
#: Reductions of a CG iteration that tests the true residual.
REDUCTIONS = 3


# ---------------------------------------------------------------------------------------------- measuring, in parallel


def latencies() -> dict[str, float]:
    """Seconds of each of CALLS, the least mean of a batch, on the slowest rank.  Collective."""
    from mpi4py import MPI

    comm, found = MPI.COMM_WORLD, {}

    def ping(values: np.ndarray, result: np.ndarray) -> None:
        if comm.rank < 2:
            comm.Sendrecv(values, 1 - comm.rank, 0, result, 1 - comm.rank)

    def reduce(values: np.ndarray, result: np.ndarray) -> None:
        comm.Allreduce(values, result, MPI.MAX)

    kinds = {"ping": ping, "repeat": reduce, "agree": reduce}
    for name, words in CALLS.items():
        call, values, result = kinds.get(name, lambda values, _: comm.Bcast(values)), np.zeros(words), np.zeros(words)
        batches = []
        for _ in range(BATCHES):
            comm.Barrier()
            began = perf_counter()
            for _ in range(CALLS_A_BATCH):
                call(values, result)
            batches.append((perf_counter() - began) / CALLS_A_BATCH)
        found[name] = comm.allreduce(min(batches), max)
    return found


def size(ranks: int) -> Size:
    """A whole period; on more ranks than two of every fourth step."""
    return Size(1000, every=20) if ranks <= 2 else Size(250, stride=4, every=5)


def period(n_x: int) -> dict[str, Any]:
    """Seconds of every solve of a period by contender, and what Python did of it on rank 0.  Collective."""
    from hooks import Hooks
    from petsc4py import PETSc
    from race import lockstep, problems

    ranks, hooks = PETSc.COMM_WORLD.size, Hooks(process_time)
    found = json.loads(_kept(ranks, n_x, "best").read_text())
    tallies = lockstep.race(problems.find(f"heat2d {n_x}"), size(ranks), found, only=(ONE, BEST, AUTO))
    return {"tallies": tallies, "decided": len(hooks.seconds), "own": sum(hooks.seconds),
            "messages": hooks.messages, "omega": found["omega"], "machine": lockstep.machine()}  # fmt: skip


def worker(n_x: int, path: Path) -> None:
    """One piece: latencies for n_x = 0; the best ω's where the file is that of those."""
    from petsc4py import PETSc
    from race import oracle, problems

    if path.stem.endswith("best"):
        result = oracle.search(problems.find(f"heat2d {n_x}"), size(PETSc.COMM_WORLD.size))
    else:
        result = period(n_x) if n_x else latencies()
    if PETSc.COMM_WORLD.rank == 0:
        path.write_text(json.dumps(result))


# ---------------------------------------------------------------------------------------------- what came of it


class Measured(NamedTuple):
    """A period on some ranks; seconds are sums of the least of every solve."""

    ranks: int
    n_x: int
    omega: float
    iterations: float
    native: float
    iterations_over_best: float
    over_best: float
    over_one: float
    iterations_over_one: float
    decided: float
    messages: float
    microseconds: float
    share: float


def measured(ranks: int, n_x: int, rounds: list[dict[str, Any]]) -> Measured:
    """From its rounds."""
    least = {name: np.min([one["tallies"][name]["seconds"] for one in rounds], axis=0) for name in (ONE, BEST, AUTO)}
    tallies = rounds[0]["tallies"]
    solves, every = len(least[AUTO]), len(least[AUTO]) // len(least[ONE])
    decided = rounds[0]["decided"] / solves
    own = min(one["own"] for one in rounds) / solves
    in_c = (1.0 - decided) * (ranks > 1)  # a message for a solve that goes by without Python
    its = {name: np.array(tally["iterations"]) for name, tally in tallies.items()}
    return Measured(
        ranks, n_x, rounds[0]["omega"], float(its[BEST].mean()), float(least[BEST].mean()),
        float(its[AUTO].sum() / its[BEST].sum()), float(least[AUTO].sum() / least[BEST].sum()),
        float(least[AUTO][::every].sum() / least[ONE].sum()), float(its[AUTO][::every].sum() / its[ONE].sum()),
        decided, rounds[0]["messages"] / solves + in_c, 1e6 * own, own / float(least[AUTO].mean()),
    )  # fmt: skip


class Model(NamedTuple):
    """What a solve takes on P ranks.

    A collective takes `hop` log₂ P, an iteration `REDUCTIONS` of them and `work` for each unknown of a rank; a decided
    solve takes `own` on rank 0 and three collectives more, a repeated one one.  Unless it is given, the share of
    decided solves is what `tuning/repeat.py` comes to where ω has settled: deciding below its share of the time.
    """

    work: float
    hop: float
    own: float

    def solve(self, ranks: Any, unknowns: float, iterations: float) -> Any:
        """Seconds of a native solve."""
        return iterations * (self.work * unknowns + REDUCTIONS * self.hop * np.log2(ranks))

    def learning(self, ranks: Any, unknowns: float, iterations: float, decided: float | None = None) -> Any:
        """Seconds that learning takes of it, on average."""
        from sorlearn.tuning.repeat import FEW, LONGEST, SHARE, SHORT

        collective, swept = self.hop * np.log2(ranks), iterations * self.work * unknowns
        if decided is None:
            decided = 1.0 / (1.0 + np.clip(self.own / (SHARE * swept), FEW * (swept < SHORT), LONGEST))
        return decided * (self.own + 3.0 * collective) + (1.0 - decided) * collective

    def share(self, ranks: Any, unknowns: float, iterations: float) -> Any:
        """Learning's seconds over those of the native solve."""
        return self.learning(ranks, unknowns, iterations) / self.solve(ranks, unknowns, iterations)


RANKS = 2.0 ** np.arange(1, 18)
UNKNOWNS = (100, 1_000, 10_000, 100_000)


def draw(models: dict[str, Model], found: list[Measured]) -> None:
    """The model's share against the number of ranks; and what was measured against native SOR."""
    from paper import style

    colours = (style.GREY, style.SKY, style.BLUE, style.VERMILION)
    with style.figure("scaling", str(RESULTS), columns=2) as (left, right):
        for (label, model), line in zip(models.items(), ("-", ":")):
            for unknowns, colour in zip(UNKNOWNS, colours):
                left.plot(RANKS, 100 * model.share(RANKS, unknowns, 20), line, color=colour,
                          label=f"{unknowns:,} unknowns a rank, {label}")  # fmt: skip
        left.axhline(2.0, color=style.BLACK, linewidth=0.8)
        left.set_xscale("log")
        left.set_yscale("log")
        for formatter in left.yaxis.set_major_formatter, left.yaxis.set_minor_formatter:
            formatter("{x:g}")
        left.set_xlabel("ranks")
        left.set_ylabel("learning, % of the solve (model)")
        left.legend(fontsize=5.5)
        for n_x, colour, marker in ((100, style.BLUE, "o"), (200, style.VERMILION, "s")):
            line = sorted((m.ranks, m.over_best) for m in found if m.n_x == n_x)
            right.plot(*zip(*line), color=colour, marker=marker, label=f"n_x = {n_x}")
        weak = [m for r, n in PIECES[:3] for m in found if (m.ranks, m.n_x) == (r, n)]
        right.plot([m.ranks for m in weak], [m.over_best for m in weak], "--", color=style.BLACK, marker="^",
                   label="9801 to 9950 unknowns a rank")  # fmt: skip
        right.set_xticks([1, 2, 4], ["1", "2", "4 (on two cores)"])
        right.set_xlabel("ranks")
        right.set_ylabel("time / native SOR's at the best fixed ω")
        right.legend(fontsize=7)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--fresh", action="store_true", help="measure again what is kept")
    parser.add_argument("--under", default="", metavar="COMMAND", help="start what is timed by it, as in 'nice -n -5'")
    parser.add_argument("--worker", nargs=2, metavar=("N_X", "FILE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        worker(int(given.worker[0]), Path(given.worker[1]))
        return
    if given.fresh:
        shutil.rmtree(RESULTS, ignore_errors=True)
    RESULTS.mkdir(parents=True, exist_ok=True)
    for ranks, n_x in PIECES:
        _make(ranks, n_x, _kept(ranks, n_x, "best"), "")
    for k in range(given.rounds):
        for ranks, n_x in (*((r, 0) for r in (2, 4)), *PIECES):
            _make(ranks, n_x, _kept(ranks, n_x, k), given.under)
    calls = {r: [_read(r, 0, k) for k in range(given.rounds)] for r in (2, 4)}
    calls = {r: {name: min(one[name] for one in rounds) for name in CALLS} for r, rounds in calls.items()}
    found = [measured(r, n_x, [_read(r, n_x, k) for k in range(given.rounds)]) for r, n_x in PIECES]
    report(calls, found, _read(2, 100, 0)["machine"])


def _kept(ranks: int, n_x: int, k: int | str) -> Path:
    return RESULTS / f"np{ranks}-{n_x}-{k}.json"


def _read(ranks: int, n_x: int, k: int) -> dict[str, Any]:
    return json.loads(_kept(ranks, n_x, k).read_text())


def _make(ranks: int, n_x: int, path: Path, under: str) -> None:
    if path.exists():
        return
    start = ["mpiexec", "-n", str(ranks)] if ranks > 1 else []
    began = perf_counter()
    subprocess.run([*shlex.split(under), *start, sys.executable, __file__, "--worker", str(n_x), str(path)], check=True)
    print(f"{path.name}: {perf_counter() - began:.0f} s", flush=True)


def report(calls: dict[int, dict[str, float]], found: list[Measured], machine: dict[str, Any]) -> None:
    """Print, save and draw everything."""
    for ranks, seconds in calls.items():
        print(f"{ranks} ranks, µs: " + ", ".join(f"{name} {1e6 * s:.1f}" for name, s in seconds.items()))
    print(f"{'ranks':>5s}{'n_x':>5s}{'ω':>7s}{'iterations':>11s}{'native, ms':>11s}{'/best':>7s}{'its':>7s}"
          f"{'/one':>7s}{'its':>7s}{'decided':>8s}{'messages':>9s}{'hooks, µs':>10s}{'share':>7s}")
    for m in found:
        print(f"{m.ranks:5d}{m.n_x:5d}{m.omega:7.3f}{m.iterations:11.1f}{1e3 * m.native:11.3f}{m.over_best:7.3f}"
              f"{m.iterations_over_best:7.3f}{m.over_one:7.3f}{m.iterations_over_one:7.3f}{m.decided:8.3f}{m.messages:9.2f}{m.microseconds:10.1f}"
              f"{m.share:7.3f}")
    serial = next(m for m in found if (m.ranks, m.n_x) == (1, 200))
    work, own = serial.native / serial.iterations / 199**2, serial.microseconds / serial.decided
    models = {"as here": Model(work, calls[2]["repeat"], 1e-6 * own),
              "ten times slower": Model(work, 10.0 * calls[2]["repeat"], 1e-6 * own)}  # fmt: skip
    print(f"model: {1e9 * work:.1f} ns an unknown and iteration, {1e6 * calls[2]['repeat']:.1f} µs a hop, "
          f"{own:.0f} µs a decision; 20 iterations; learning in µs and in % of the solve")
    for label, model in models.items():
        for unknowns in UNKNOWNS:
            at = [(1e6 * model.learning(p, unknowns, 20), 100 * model.share(p, unknowns, 20)) for p in (2, 1e3, 1e5)]
            print(f"{label:18s}{unknowns:8d} unknowns a rank, on 2, 10³, 10⁵ ranks: "
                  + "; ".join(f"{us:.1f} µs, {share:.1f} %" for us, share in at))
    numbers = {"machine": machine, "calls": calls, "measured": [m._asdict() for m in found],
               "models": {label: model._asdict() for label, model in models.items()}}  # fmt: skip
    (RESULTS / "scaling.json").write_text(json.dumps(numbers, indent=1) + "\n")
    draw(models, found)


if __name__ == "__main__":
    main()
