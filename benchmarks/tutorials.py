"""PETSc's own tutorials, unmodified, under their default norms: iterations with native SOR and with sorlearn.

    python3 benchmarks/tutorials.py [ts/ex13 ...] [--learner auto] [--fixed] [--np 1]

Total iterations as `-ksp_converged_reason` prints them, those of repeats included.  With --fixed also the best of
native fixed ω (which solves to less accuracy than ω = 1 does); *wanted* is the most that sorlearn should take.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

SOLVED = re.compile(r"Linear .*solve (?:converged|did not converge) due to \w+ iterations (\d+)")
SOURCES = Path("/usr/share/petsc")
FLAGS = "-python -pc_type python -pc_python_type sorlearn.PC"
FIXED = [1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.75, 1.8, 1.85, 1.9, 1.95]


class Tutorial(NamedTuple):
    """A program of PETSc's, its arguments, and the most iterations wanted."""

    source: str
    arguments: str
    wanted: int | None = None


TUTORIALS = {
    "ts/ex13": Tutorial("ts/tutorials/ex13.c", "-ts_max_steps 20 -da_grid_x 32 -da_grid_y 32 -ksp_type cg", 345),
    "ts/ex15": Tutorial("ts/tutorials/ex15.c", "-ts_max_steps 10 -da_grid_x 40 -da_grid_y 40 -Jtype 2", 208),
    "ts/ex2": Tutorial("ts/tutorials/ex2.c", "-M 200 -ts_max_steps 100 -ts_type beuler", 1480),
    "ksp/ex16": Tutorial("ksp/ksp/tutorials/ex16.c", "-ntimes 10 -m 40 -n 40", 185),
    "ksp/ex16, 100 steps": Tutorial("ksp/ksp/tutorials/ex16.c", "-ntimes 100 -m 40 -n 40", 1725),
    "snes/ex19": Tutorial("snes/tutorials/ex19.c", "-da_refine 3 -lidvelocity 10 -grashof 1e3", 208),
}


def compile_tutorial(source: str, folder: Path) -> Path:
    """The program of one tutorial."""
    found = sorted(SOURCES.glob(f"*/share/petsc/examples/src/{source}"))
    if not found:
        sys.exit(f"PETSc's {source} isn't here (Debian: the package libpetsc3.x-dev-examples)")
    program = folder / source.replace("/", "-").removesuffix(".c")
    if not program.exists():
        flags = [shlex.split(subprocess.check_output(["pkg-config", *words, "PETSc"], text=True))
                 for words in (["--cflags", "--libs"], ["--variable=libdir"])]  # fmt: skip
        rpath = f"-Wl,-rpath,{flags[1][0]}"
        subprocess.run(["mpicc", "-O2", found[-1], *flags[0], rpath, "-lm", "-o", program], check=True)
    return program


def iterations(program: Path, arguments: str, ranks: int, folder: Path) -> list[int]:
    """Iterations of every linear solve of a run."""
    command = [str(program), *arguments.split(), "-ksp_converged_reason"]
    if ranks > 1:
        command = ["mpiexec", "-n", str(ranks), *command]
    python = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{python}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder)
    if run.returncode:
        return []
    return [int(word) for word in SOLVED.findall(run.stdout)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="TUTORIAL", help=", ".join(TUTORIALS))
    parser.add_argument("--learner", default="auto")
    parser.add_argument("--fixed", action="store_true", help="also the best fixed ω, natively")
    parser.add_argument("--np", type=int, default=1, dest="ranks")
    given = parser.parse_args()
    print(f"{'tutorial':20s}{'solves':>7s}{'ω = 1':>8s}{'fixed':>8s}{'(ω)':>7s}{'sorlearn':>9s}{'wanted':>8s}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for label in given.names or TUTORIALS:
            source, arguments, wanted = TUTORIALS[label]
            program = compile_tutorial(source, folder)
            native = iterations(program, f"{arguments} -pc_type sor", given.ranks, folder)
            best = "", ""
            if given.fixed:
                totals = {w: iterations(program, f"{arguments} -pc_type sor -pc_sor_omega {w}", given.ranks, folder)
                          for w in FIXED}  # fmt: skip
                omega = min((w for w in totals if totals[w]), key=lambda w: sum(totals[w]))
                best = str(sum(totals[omega])), str(omega)
            options = f"{arguments} {FLAGS} -pc_sorlearn_learner {given.learner}"
            ours = iterations(program, options, given.ranks, folder)
            print(f"{label:20s}{len(native):7d}{sum(native):8d}{best[0]:>8s}{best[1]:>7s}{sum(ours):9d}"
                  f"{wanted or '':>8}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
