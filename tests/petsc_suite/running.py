"""Running a program, and what it has left: output, exit status, and a record of every solve."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, get_type_hints

from .installation import Installation

ROOT = Path(__file__).resolve().parents[2]
#: Wall-clock seconds after which a run is ended; a native one that takes a tenth of it is left out.
LIMIT = 120
#: Open MPI sometimes doesn't start; then it is tried again.
_NOT_STARTED = re.compile("orte_init failed|MPI_INIT failed|ORTE_ERROR_LOG")
_TRIES = 3


class Solve(NamedTuple):
    """One KSPSolve, as recorder.c writes it.

    Attributes
    ----------
    transposed : int
        1 for KSPSolveTranspose.
    level, again : int
        How many solves it is inside, and how many of these are of the same KSP.
    prefix, ksp, pc, matrix : str
        Options prefix and types; the matrix is what the preconditioner is made from.
    rows : int
        Of the matrix.
    error, iterations, reason : int
        PETSc's error code, number of iterations, KSPConvergedReason.
    relative : float
        ‖b − Ax‖/‖b‖; −1 where it isn't known, as inside other solves.
    test : float
        ‖M⁻¹(b − Ax)‖ over the most that the user's tolerances allow, with M = SOR at ω = 1; −1 where it isn't known.
    length : float
        ‖x‖.
    sweeps : int
        Calls of MatSOR.
    least_omega, largest_omega : float
        ω of these calls.
    """

    transposed: int
    level: int
    again: int
    prefix: str
    ksp: str
    pc: str
    matrix: str
    rows: int
    error: int
    iterations: int
    reason: int
    relative: float
    test: float
    length: float
    sweeps: int
    least_omega: float
    largest_omega: float

    @property
    def failed(self) -> bool:
        """Whether it ended without an answer."""
        return self.reason < 0 or self.error != 0


_TYPES = tuple(get_type_hints(Solve).values())


class Run(NamedTuple):
    """A program that has ended.

    Attributes
    ----------
    command : str
        What was run, as for a shell.
    status : int or None
        Exit status; None where it was ended after `LIMIT`.
    out, err : str
        What it has printed.
    seconds : float
        Processor time of all ranks.
    solves : list of Solve
        In the order in which they ended.
    """

    command: str
    status: int | None
    out: str
    err: str
    seconds: float
    solves: list[Solve]

    @property
    def outer(self) -> list[Solve]:
        """The solves that are in no other one."""
        return [solve for solve in self.solves if solve.level == 0]

    @property
    def iterations(self) -> int:
        """Of the outer solves."""
        return sum(solve.iterations for solve in self.outer)

    @property
    def sweeps(self) -> int:
        """Of the outer solves."""
        return sum(solve.sweeps for solve in self.outer)


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    """This Python first, this sorlearn, no options but the test's, and several ranks a core."""
    env = {name: value for name, value in given.items() if not name.startswith("PETSC_OPTIONS")}
    env.update(
        PATH=f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}",
        PYTHONPATH=f"{ROOT}{os.pathsep}{env.get('PYTHONPATH', '')}",
        OMP_NUM_THREADS="1",
        OPENBLAS_NUM_THREADS="1",
        OMPI_ALLOW_RUN_AS_ROOT="1",
        OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
        OMPI_MCA_rmaps_base_oversubscribe="1",
        OMPI_MCA_hwloc_base_binding_policy="none",
        OMPI_MCA_mpi_yield_when_idle="1",
        OMPI_MCA_ess_singleton_isolated="1",  # no daemon for a program without mpiexec
        OMPI_MCA_btl="self,vader",
        OMPI_MCA_btl_vader_single_copy_mechanism="none",
        MPIR_CVAR_CH4_PROGRESS_THROTTLE="1",
    )
    return env


class Runner:
    """Runs programs of an installation, and remembers what native runs gave.

    Parameters
    ----------
    installation : Installation
        Whose programs.
    environment : mapping of str to str
        For the programs, which one that has initialised MPI can't start with its own.
    """

    def __init__(self, installation: Installation, environment: Mapping[str, str] = os.environ):
        self.installation = installation
        self._recorder = installation.recorder()
        self._memory = installation.build / "native"
        self._env = _environment(environment)

    def native(self, program: Path, ranks: int, arguments: str) -> Run:
        """A run without sorlearn, which gives the same each time: from an earlier one, where there is one."""
        key = hashlib.sha1(self._recorder.read_bytes() + f"{program.name} {ranks} {arguments}".encode()).hexdigest()
        kept = self._memory / f"{key}.json"
        if kept.exists():
            values = json.loads(kept.read_text())
            return Run(*values[:-1], [Solve(*solve) for solve in values[-1]])
        run = self.run(program, ranks, arguments)
        self._memory.mkdir(parents=True, exist_ok=True)
        unfinished = kept.with_suffix(f".{threading.get_ident()}")
        unfinished.write_text(json.dumps(run))
        os.replace(unfinished, kept)
        return run

    def run(self, program: Path, ranks: int, arguments: str) -> Run:
        """Run a program in an empty folder; its arguments are a shell's, as PETSc's tests have them."""
        arguments = re.sub(r"\$\{?w?PETSC_DIR\}?", str(self.installation.prefix), arguments)
        start = f"mpiexec -n {ranks} " if ranks > 1 else ""
        for _ in range(_TRIES):
            run = self._once(start, f"{program} {arguments}")
            if not _NOT_STARTED.search(run.err + run.out):
                break
        return run

    def _once(self, start: str, command: str) -> Run:
        with tempfile.TemporaryDirectory() as name, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            folder, record = Path(name, "run"), Path(name, "record")
            folder.mkdir()
            preload = f"nice env LD_PRELOAD={self._recorder} PETSC_SUITE_RECORD={record} "
            process = subprocess.Popen(
                ["bash", "-c", f"exec {start}{preload}{command}"],
                cwd=folder, env=self._env, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True,
            )  # fmt: skip
            status, seconds = _wait(process)
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read().decode(errors="replace").replace(name, "."))
            return Run(start + command, status, *texts, seconds, _read(record))


def _wait(process: subprocess.Popen) -> tuple[int | None, float]:
    """Exit status, None after `LIMIT`, and processor time with that of all it started."""
    late = threading.Event()

    def end() -> None:
        late.set()
        os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(LIMIT, end)
    timer.start()
    _, status, usage = os.wait4(process.pid, 0)
    timer.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)  # or Popen would wait for it once more
    code = process.returncode if process.returncode >= 0 else 128 - process.returncode
    return None if late.is_set() else code, usage.ru_utime + usage.ru_stime


def _read(record: Path) -> list[Solve]:
    """The solves that recorder.c has noted; a line that an abort cut short is left out."""
    if not record.exists():
        return []
    lines = (line.split("|") for line in record.read_text(errors="replace").splitlines())
    return [Solve(*(kind(word) for kind, word in zip(_TYPES, line))) for line in lines if len(line) == len(_TYPES)]
