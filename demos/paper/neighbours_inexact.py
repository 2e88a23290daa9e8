"""ω of an inner solver that is only asked for a digit or a few, under FGMRES.

The outer FGMRES is preconditioned by CG with SSOR (`-pc_type ksp`), which stops at a coarse tolerance: what a solve is
judged by are the inner iterations in all.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from petsc4py import PETSc

from . import style
from .cells import Cell, run
from .contenders import CG, LEARNED
from .heat import march

RTOLS = (1e-1, 1e-2, 1e-4)
OMEGAS = np.round(np.arange(1.0, 1.96, 0.1), 2)
NAMES = ("ω = 1", "best fixed ω", "auto", "tsallis_inf")


class Nested:
    """FGMRES around CG; `inner` counts CG's iterations, `outer` its own."""

    def __init__(self, rtol: float, options: dict[str, Any], name: str):
        self.prefix = f"nested_{name}_".replace(".", "_").replace("-", "_")
        chosen = {"ksp_type": "fgmres", "pc_type": "ksp", **{f"ksp_{k}": v for k, v in options.items()},
                  "ksp_ksp_rtol": rtol, "ksp_ksp_norm_type": "unpreconditioned"}  # fmt: skip
        self.options = PETSc.Options(self.prefix)
        for key, value in chosen.items():
            self.options[key] = value
        self.names = list(chosen)
        self.ksp = PETSc.KSP().create(PETSc.COMM_SELF)
        self.ksp.setOptionsPrefix(self.prefix)
        self.ksp.setTolerances(rtol=1e-8, atol=1e-50, max_it=1000)
        self.ksp.setInitialGuessNonzero(True)
        self.ksp.setFromOptions()
        self.inner = self.outer = 0
        self.ready = False

    def solve(self, A: Any, b: Any, x: Any) -> None:
        self.ksp.setOperators(A)
        if not self.ready:
            self.ksp.setUp()
            self.ksp.getPC().getKSP().setMonitor(self._count)
            self.ready = True
        self.ksp.solve(b, x)
        if self.ksp.reason < 0:
            raise RuntimeError(f"no convergence of FGMRES: reason {self.ksp.reason}")
        self.outer += self.ksp.its

    def _count(self, ksp: Any, its: int, norm: float) -> None:
        self.inner += its > 0

    def destroy(self) -> None:
        self.ksp.destroy()
        for name in self.names:
            self.options.delValue(name)


def steps(n_x: int, count: int, rtol: float) -> dict[str, Any]:
    """Inner and outer iterations of `OMEGAS` and of two learners, shape (omegas + 2, 2), on the heat problem."""
    kinds = [{**CG, "pc_sor_omega": omega} for omega in OMEGAS]
    kinds += [{**CG, **LEARNED, "pc_sorlearn_learner": name} for name in NAMES[2:]]
    solvers = [Nested(rtol, options, str(k)) for k, options in enumerate(kinds)]
    for step in march(n_x, 500 + count):
        if step.number < 500:  # the first half of the period is easy
            continue
        x = step.u.duplicate()
        for solver in solvers:
            step.u.copy(x)
            solver.solve(step.A, step.b, x)
        x.destroy()
    for solver in solvers:
        solver.destroy()
    return {"iterations": [(solver.inner, solver.outer) for solver in solvers]}


def cells(quick: bool) -> list[Cell]:
    n_x, count = (20, 100) if quick else (50, 100)
    return [Cell(f"inexact, {rtol:g}", steps, (n_x, count, rtol), 1 if quick else 30) for rtol in RTOLS]


def main(quick: bool = False, folder: str | None = None) -> dict[str, Any]:
    """Inner and outer iterations a step, by the inner tolerance."""
    chosen, numbers = cells(quick), {}
    for cell, r in zip(chosen, run(chosen)):
        its, count = r["iterations"], cell.arguments[1]
        best = int(its[: len(OMEGAS), 0].argmin())
        rows = dict(zip(NAMES, (its[0], its[best], *its[len(OMEGAS) :])))
        numbers[f"{cell.arguments[2]:g}"] = {
            **{name: {"inner": float(row[0] / count), "outer": float(row[1] / count)} for name, row in rows.items()},
            "best ω": float(OMEGAS[best]),
        }
    with style.figure("neighbours_inexact", folder) as (axis,):
        for k, name in enumerate(NAMES):
            heights = [numbers[f"{rtol:g}"][name]["inner"] for rtol in RTOLS]
            axis.bar(np.arange(len(RTOLS)) + 0.2 * (k - 1.5), heights, 0.18, label=name, color=style.of(name)["color"])
        axis.set_xticks(range(len(RTOLS)), [f"{rtol:g}" for rtol in RTOLS])
        axis.set_xlabel("tolerance of the inner CG")
        axis.set_ylabel("inner iterations a step")
        axis.legend(fontsize=8)
    return numbers


if __name__ == "__main__":
    print(main())
