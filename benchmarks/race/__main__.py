"""Everybody who could solve these systems, in one run: sorlearn, native SOR at ω's known beforehand, and the others.

    make bench [QUICK=1] [ARGS="[--rounds 3] [--ranks 1 2] [--fresh] [PROBLEM ...]"]

Contenders solve the same systems in turn, to the same true residual; seconds are wall clock, set-ups included, and
only their ratios within a round say much.  Every piece is a process of its own under mpiexec; pieces that are kept in
`benchmarks/results` aren't made again.  Prints a table for each problem, and saves them as JSON and as two pictures.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from . import plan, report
from .picture import draw

RESULTS = Path(__file__).resolve().parent.parent / "results"


class Piece(NamedTuple):
    """A round of a problem on some ranks; round 0 searches for the best ω's."""

    name: str
    ranks: int
    number: int
    seconds: float

    def command(self, which: str, folder: Path, under: str) -> list[str]:
        """What is started."""
        start = ["mpiexec", "-n", str(self.ranks)] if self.ranks > 1 else []
        return [*(shlex.split(under) if self.number else []), *start, sys.executable, "-m", "race.lockstep", which,
                self.name, str(self.number), str(folder)]  # fmt: skip

    def __str__(self) -> str:
        what = f"round {self.number}" if self.number else "the best ω's"
        return f"{self.name}, {self.ranks} rank{'s' * (self.ranks > 1)}, {what}"


def pieces(sizes: dict[str, plan.Size], rounds: int, ranks: list[int] | None) -> Iterator[Piece]:
    """Of all problems, round after round."""
    for number in range(rounds + 1):
        for name, size in sizes.items():
            for r in size.ranks:
                if ranks is None or r in ranks:
                    yield Piece(name, r, number, size.seconds * (4 if r > 2 else 1))


def clock(seconds: float) -> str:
    """Seconds or minutes, in words."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def make(missing: list[Piece], which: str, folder: Path, under: str) -> list[Piece]:
    """Make the pieces, and say how long that will take; returns those that failed."""
    began, todo, done, failed = time.perf_counter(), sum(piece.seconds for piece in missing), 0.0, []
    print(f"{len(missing)} pieces to make, about {clock(todo)} on two idle cores", flush=True)
    for n, piece in enumerate(missing, 1):
        start = time.perf_counter()
        run = subprocess.run(piece.command(which, folder, under), stdout=sys.stderr, stderr=subprocess.PIPE, text=True)
        if run.returncode:
            failed.append(piece)
            print(f"{piece} failed:\n{run.stderr[-2000:]}", file=sys.stderr, flush=True)
        done += piece.seconds
        now = time.perf_counter()
        left = (now - began) * (todo - done) / done
        print(f"{n:4d}/{len(missing)}  {piece!s:44s}{clock(now - start):>8s}, {clock(left)} left", flush=True)
    return failed


def main() -> None:
    parser = argparse.ArgumentParser(prog="race", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small problems, two minutes")
    parser.add_argument("--rounds", type=int, help="repetitions, each from nothing (default: 3)", default=3)
    parser.add_argument("--ranks", type=int, nargs="+", help="only these numbers of ranks")
    parser.add_argument("--fresh", action="store_true", help="make kept pieces again")
    parser.add_argument("--clock", choices=("wall", "cpu", "least"), default="wall",
                        help="cpu or least: where others use the machine, too; see report.py")  # fmt: skip
    parser.add_argument("--under", default="", metavar="COMMAND", help="start timed rounds by it, as in 'taskset -c 0'")
    parser.add_argument("problems", nargs="*", metavar="PROBLEM", help=f"some of {', '.join(plan.FULL)}")
    given = parser.parse_args()
    which = "quick" if given.quick else "full"
    folder, all_sizes = RESULTS / which, plan.QUICK if given.quick else plan.FULL
    unknown = set(given.problems) - set(all_sizes)
    if unknown:
        parser.error(f"no such problem: {', '.join(sorted(unknown))}; there are {', '.join(all_sizes)}")
    sizes = {name: size for name, size in all_sizes.items() if name in (given.problems or all_sizes)}
    if given.fresh:
        shutil.rmtree(folder, ignore_errors=True)
    wanted = list(pieces(sizes, given.rounds, given.ranks))
    missing = [p for p in wanted if not plan.kept(folder, p.name, p.ranks, p.number).exists()]
    failed = make(missing, which, folder, given.under) if missing else []
    tables = [table for name, size in sizes.items() for r in given.ranks or size.ranks
              if (table := report.read(folder, name, r, given.rounds, given.clock))]  # fmt: skip
    if tables:
        show(tables, folder)
    sys.exit(bool(failed))


def show(tables: list[report.Table], folder: Path) -> None:
    """Print them, and save `tables.json` and the pictures."""
    for table in tables:
        print(f"\n{report.text(table)}")
    print(f"\n{', '.join(f'{key} {value}' for key, value in tables[0].machine.items())}")
    documents = [{**table._asdict(), "rows": [row._asdict() for row in table.rows]} for table in tables]
    (folder / "tables.json").write_text(json.dumps(documents, indent=1) + "\n")
    draw(tables, folder)
    print(f"tables.json, heat.png and all.png are in {folder}")


if __name__ == "__main__":
    main()
