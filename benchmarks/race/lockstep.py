"""One problem on some ranks: `mpiexec -n 2 python3 -m race.lockstep quick|full "heat2d 100" ROUND FOLDER`.

Round 0 searches for the best ω's and times nothing; the others need what it has found.  All contenders solve a system,
in an order that changes, before the next one comes: what disturbs the machine disturbs all of them, and caches are as
cold as in an application that does other things between its solves.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Container
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from paper.__main__ import versions
from petsc4py import PETSc

from . import cavity, oracle, plan
from .contenders import Contender, typed
from .plan import RTOL, Size, kept
from .problems import Problem, System, find, instances


class Tally:
    """What the solves of one contender took, one after the other.

    Attributes
    ----------
    iterations, seconds, cpu : list
        Of every solve; seconds by the clock on the wall, and of the process.
    residual : float
        Largest true residual over what was asked for.
    failed : str
        Why it was left out from then on.
    """

    def __init__(self) -> None:
        self.iterations: list[int] = []
        self.seconds: list[float] = []
        self.cpu: list[float] = []
        self.residual, self.failed = 0.0, ""

    def enter(self, seconds: float, cpu: float, iterations: int, residual: float) -> None:
        """Take note of a solve."""
        self.seconds.append(seconds)
        self.cpu.append(cpu)
        self.iterations.append(iterations)
        self.residual = max(self.residual, residual)


def race(problem: Problem, size: Size, found: dict[str, Any], only: Container[str] = ()) -> dict[str, dict[str, Any]]:
    """The tallies of all contenders, or only of some, by name; seconds are the slowest rank's.  Collective."""
    comm, rng, system = PETSc.COMM_WORLD, np.random.default_rng(0), None
    contenders: list[Contender] = []
    tallies: dict[str, Tally] = {}
    for step, instance in enumerate(instances(problem, size)):
        if system is None:
            system = System(instance)
            omegas = oracle.omegas(found, size)
            words = [item for item in typed(problem, comm.size, found).items() if not only or item[0] in only]
            contenders = [Contender(*item, k, problem, system, omegas) for k, item in enumerate(words)]
            tallies = {one.name: Tally() for one in contenders}
        system.take(instance)
        shared = step % size.every == 0
        for k in rng.permutation(len(contenders)):
            one, tally = contenders[k], tallies[contenders[k].name]
            if tally.failed or not (shared or plan.dense(one.name)):
                continue
            one.prepare(step)
            system.assemble()
            comm.barrier()
            try:
                took = one.solve()
            except (PETSc.Error, RuntimeError) as error:
                tally.failed = str(error)
                continue
            tally.enter(*took, system.residual() / RTOL)
    for one in contenders:
        one.destroy()
    for tally in tallies.values():
        tally.seconds, tally.cpu = _slowest(tally.seconds), _slowest(tally.cpu)
    return {name: vars(tally) for name, tally in tallies.items()}


def _slowest(seconds: list[float]) -> list[float]:
    """Of every solve, to a tenth of a microsecond."""
    comm = PETSc.COMM_WORLD
    most = np.max(comm.tompi4py().allgather(seconds), axis=0) if comm.size > 1 else np.array(seconds)
    return np.round(most, 7).tolist()


def machine() -> dict[str, Any]:
    """Where and by what the numbers were made."""
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    found = {**versions(), "processor": models[0] if models else "unknown", "cores": os.cpu_count(),
             "made": datetime.now().isoformat(timespec="minutes")}  # fmt: skip
    if PETSc.COMM_WORLD.size > 1:
        from mpi4py import MPI

        found["MPI"] = MPI.Get_library_version().split(",")[0]
    return found


def piece(which: str, name: str, number: int, folder: Path) -> dict[str, Any]:
    """What a piece finds.  Collective."""
    size, (kind, intervals) = getattr(plan, which.upper())[name], name.split()
    earlier = kept(folder, name, PETSc.COMM_WORLD.size, 0)
    found = json.loads(earlier.read_text())["result"] if number else {}
    if kind == "cavity":
        return cavity.race(int(intervals), found) if number else cavity.search(int(intervals))
    return race(find(name), size, found) if number else oracle.search(find(name), size)


def main() -> None:
    which, name, number, folder = sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])
    result = piece(which, name, number, folder)
    if PETSc.COMM_WORLD.rank == 0:
        path = kept(folder, name, PETSc.COMM_WORLD.size, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".tmp")
        size = getattr(plan, which.upper())[name]._asdict()
        unfinished.write_text(json.dumps({"machine": machine(), "size": size, "result": result}))
        unfinished.replace(path)


if __name__ == "__main__":
    main()
