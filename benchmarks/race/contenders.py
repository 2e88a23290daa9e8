"""Who takes part: what a user would type, and how a solve of each is timed."""

from __future__ import annotations

from time import perf_counter, process_time
from typing import Any

import numpy as np
from lag import MG
from lines import Grid
from petsc4py import PETSc

from .plan import AUTO, BEST, OPTIMAL, RTOL
from .problems import Problem, System, new_ksp

LEARNED = "-{}pc_type python -{}pc_python_type sorlearn.PC"


def typed(problem: Problem, ranks: int, found: dict[str, Any]) -> dict[str, str]:
    """Options by name, {} being the prefix.

    Parameters
    ----------
    found : dict
        What ``oracle.search`` returned.
    """
    best, (low, high) = f"{found['omega']:.4f}", found["rho"]
    every = {
        "no PC": "-{}pc_type none",
        "Jacobi": "-{}pc_type jacobi",
        "SOR, ω = 1": "-{}pc_type sor",
        BEST: f"-{{}}pc_type sor -{{}}pc_sor_omega {best}",
        OPTIMAL: "-{}pc_type sor",
        **(_eisenstat(best) if problem.symmetric and ranks == 1 else {}),
        **_factors("cholesky" if problem.symmetric else "lu", "icc" if problem.symmetric else "ilu", ranks),
        "GAMG": "-{}pc_type gamg",
        "GAMG, set up anew": "-{}pc_type gamg -{}pc_gamg_reuse_interpolation 0",
        **({"hypre": "-{}pc_type hypre"} if PETSc.Sys.hasExternalPackage("hypre") else {}),
        "multigrid": MG,
        AUTO: LEARNED,
        "sorlearn chebcb": f"{LEARNED} -{{}}pc_sorlearn_learner chebcb -{{}}pc_sorlearn_context auto "
        f"-{{}}pc_sorlearn_context_min {low:.6g} -{{}}pc_sorlearn_context_max {high:.6g}",
        "sorlearn tsallis_inf": f"{LEARNED} -{{}}pc_sorlearn_learner tsallis_inf",
        "sorlearn fixed": f"{LEARNED} -{{}}pc_sorlearn_learner fixed -{{}}pc_sorlearn_omega {best}",
    }
    guarded = f"-{{}}ksp_type python -{{}}ksp_python_type sorlearn.KSP {problem.ksp.replace('-{}', '-{}sorlearn_')}"
    return {**{name: f"{problem.ksp} {words}" for name, words in every.items()}, "sorlearn guarded": guarded}


def _eisenstat(best: str) -> dict[str, str]:
    """SOR by Eisenstat's trick; PETSc 3.18's doesn't run in parallel."""
    omegas = {"ω = 1": "1", "best fixed ω": best, "instance-optimal ω": "1"}
    return {f"Eisenstat, {name}": f"-{{}}pc_type eisenstat -{{}}pc_eisenstat_omega {omega}"
            for name, omega in omegas.items()}  # fmt: skip


def _factors(complete: str, incomplete: str, ranks: int) -> dict[str, str]:
    """Factorisations; complete ones in parallel where there is MUMPS."""
    direct = f"-{{}}ksp_type preonly -{{}}pc_type {complete}"
    if ranks == 1:
        return {f"{incomplete.upper()}(0)": f"-{{}}pc_type {incomplete}", complete: direct}
    found = {f"ASM, {incomplete.upper()}(0)": f"-{{}}pc_type asm -{{}}pc_asm_type basic -{{}}sub_pc_type {incomplete}"}
    if PETSc.Sys.hasExternalPackage("mumps"):
        found[f"{complete}, MUMPS"] = f"{direct} -{{}}pc_factor_mat_solver_type mumps"
    return found


class Contender:
    """A KSP of its own that solves systems and is timed, set-ups included.

    Parameters
    ----------
    name, words : str
        As in `typed`.
    number : int
        Of the contender, for its prefix.
    omegas : array, shape (solves,)
        What the replays are given, one a system.
    """

    def __init__(self, name: str, words: str, number: int, problem: Problem, system: System, omegas: np.ndarray):
        self.name, self.system = name, system
        self.prefix = f"race{number}_"
        self.ksp = new_ksp(self.prefix, words, system)
        self.direct = "preonly" in words
        self.eisenstat = "eisenstat" in words
        self.replayed = omegas if "instance-optimal" in name else None
        self.tightened = 1.0
        if name == "multigrid":
            Grid(problem.shape, system.A.comm).give_to(self.ksp)
        self.ksp.setInitialGuessNonzero(system.guess and not self.direct)
        self.ksp.setUp()  # what is made once for a whole run isn't timed

    def prepare(self, step: int) -> None:
        """Be given the ω of this step, where it is known beforehand."""
        if self.replayed is not None:
            option = "pc_eisenstat_omega" if self.eisenstat else "pc_sor_omega"
            PETSc.Options(self.prefix)[option] = float(self.replayed[step])
            self.ksp.getPC().setFromOptions()

    def solve(self) -> tuple[float, float, int]:
        """(seconds by the clock on the wall, of this process, iterations) until the true residual is as asked for.

        Raises
        ------
        RuntimeError
            If the KSP doesn't converge.
        """
        began, worked = perf_counter(), process_time()
        iterations = self._eisenstat() if self.eisenstat else self._once()
        return perf_counter() - began, process_time() - worked, iterations

    def _once(self) -> int:
        self.ksp.solve(self.system.b, self.system.x)
        if self.ksp.reason < 0:
            raise RuntimeError(f"{self.name}: reason {self.ksp.reason} after {self.ksp.its} iterations")
        return self.ksp.its

    def _eisenstat(self) -> int:
        """Its KSP tests another residual: it is tightened by what solves have lacked, and goes on where one lacks."""
        iterations = 0
        self.ksp.setInitialGuessNonzero(self.system.guess)
        while True:
            self.ksp.setTolerances(rtol=RTOL * self.tightened)
            iterations += self._once()
            lacks = self.system.residual() / RTOL
            if lacks <= 1.0:
                self.tightened = min(1.0, self.tightened * (1.1 if lacks < 0.4 else 1.0))
                return iterations
            self.tightened /= 1.5 * lacks
            self.ksp.setInitialGuessNonzero(True)

    def destroy(self) -> None:
        self.ksp.destroy()
