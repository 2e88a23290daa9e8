"""PETSc's driven cavity (snes/ex19) as it comes: a process for each contender, timed by PETSc's own log.

Its four unknowns a node make inodes, for which PETSc's sweeps are faster at ω = 1.  As many Newton systems as it takes
are all there is to learn from.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tutorials import FLAGS, SOLVED, compile_tutorial

from .plan import AUTO, BEST, RTOL

ARGUMENTS = (f"-da_refine {{}} -lidvelocity 10 -grashof 1e3 -ksp_type gmres -ksp_pc_side right -ksp_rtol {RTOL} "
             "-ksp_max_it 3000 -ksp_converged_reason -snes_converged_reason -log_view")  # fmt: skip
OMEGAS = (1.0, 1.2, 1.4, 1.5, 1.6, 1.7, 1.75, 1.8, 1.85, 1.9, 1.95)
TYPED = {
    "no PC": "-pc_type none",
    "Jacobi": "-pc_type jacobi",
    "SOR, ω = 1": "-pc_type sor",
    BEST: "-pc_type sor -pc_sor_omega {}",
    "ILU(0)": "-pc_type ilu",
    "GAMG": "-pc_type gamg",
    "lu": "-pc_type lu",
    AUTO: FLAGS,
    "sorlearn tsallis_inf": f"{FLAGS} -pc_sorlearn_learner tsallis_inf",
    "sorlearn fixed": f"{FLAGS} -pc_sorlearn_learner fixed -pc_sorlearn_omega {{}}",
}
_SECONDS = re.compile(r"^SNESSolve +\d+ +[\d.]+ +(\S+)", re.MULTILINE)


def search(refined: int) -> dict[str, Any]:
    """The ω of OMEGAS with the fewest iterations."""
    with tempfile.TemporaryDirectory() as folder:
        found = {omega: _run(f"-pc_type sor -pc_sor_omega {omega}", refined, Path(folder)) for omega in OMEGAS}
    return {"omega": min(OMEGAS, key=lambda w: (bool(found[w]["failed"]), sum(found[w]["iterations"])))}


def race(refined: int, found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """As ``lockstep.race``, one contender after the other."""
    with tempfile.TemporaryDirectory() as folder:
        return {name: _run(words.format(found["omega"]), refined, Path(folder)) for name, words in TYPED.items()}


def _run(words: str, refined: int, folder: Path) -> dict[str, Any]:
    """A tally of one process; SNESSolve's seconds, shared out among its solves, stand for both clocks."""
    program = compile_tutorial("snes/tutorials/ex19.c", folder)
    command = [program, *f"{ARGUMENTS.format(refined)} {words}".split()]
    run = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=True)
    each, seconds = [int(word) for word in SOLVED.findall(run.stdout)], float(_SECONDS.findall(run.stdout)[0])
    failed = "" if "Nonlinear solve converged" in run.stdout else "a linear solve doesn't converge"
    shared = [seconds / len(each)] * len(each)
    return {"iterations": each, "seconds": shared, "cpu": shared, "residual": None, "failed": failed}
