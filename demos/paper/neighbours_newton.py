"""Tolerances that change from solve to solve, and the rhythm of Newton's steps, as context: what they gain.

A reaction that feeds itself, u_t = Δu + λ eᵘ, by implicit Euler with time steps that jump, each solved by an inexact
Newton method: `-snes_ksp_ew` asks the first linear solves of a step for few digits and the later ones for many.  `auto`
learns from effort per digit; as context it is told nothing, what the matrix says, the time step, or the time step with
the digits that are asked for and which Newton step it is.
"""

from __future__ import annotations

from math import log, log10
from typing import Any

import numpy as np
from petsc4py import PETSc

from . import style
from .cells import Cell, run
from .contenders import CG, LEARNED, matrix, vector
from .model import delsq, numgrid

LAMBDA = 5.0
OMEGAS = np.round(np.arange(1.0, 1.96, 0.05), 2)
TOLD = {
    "no context": (),
    "matrix": None,
    "log Δt": ("dt",),
    "log Δt, digits": ("dt", "digits"),
    "log Δt, Newton step": ("dt", "newton"),
    "log Δt, digits, Newton step": ("dt", "digits", "newton"),
}


class Reaction:
    """u_t = Δu + λ eᵘ on the unit square by implicit Euler."""

    def __init__(self, n_x: int, options: dict[str, Any], prefix: str, told: tuple[str, ...] | None = None):
        self.options = PETSc.Options(prefix)
        self.names = list(options)
        for name, value in options.items():
            self.options[name] = value
        self.L = matrix(delsq(numgrid("S", n_x + 1)) * n_x**2)
        self.J, self.dt = self.L.duplicate(), 1.0
        self.u = vector(np.zeros(self.L.getSize()[0]))
        self.old, self.r, self.exp = (self.u.duplicate() for _ in range(3))
        self.snes = PETSc.SNES().create(PETSc.COMM_SELF)
        self.snes.setOptionsPrefix(prefix)
        self.snes.setFunction(self.residual, self.r)
        self.snes.setJacobian(self.jacobian, self.J)
        self.snes.setTolerances(rtol=1e-8, atol=1e-12)
        self.ksp = self.snes.getKSP()
        self.ksp.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
        self.snes.setFromOptions()
        self.newton = self.solves = self.iterations = 0
        if told:
            self.ksp.getPC().getPythonContext().context = lambda: [self.known(name) for name in told]

    def known(self, name: str) -> float:
        """A number of the coming solve."""
        if name == "dt":
            return log(self.dt)
        return -log10(self.ksp.getTolerances()[0]) if name == "digits" else float(self.snes.getIterationNumber())

    def residual(self, snes: Any, u: Any, r: Any) -> None:
        """(u − u_old)/Δt − Δu − λ eᵘ."""
        self.L.mult(u, r)
        values = u.getArray(readonly=True)
        r.setArray(r.array + (values - self.old.array) / self.dt - LAMBDA * np.exp(values))

    def jacobian(self, snes: Any, u: Any, J: Any, P: Any) -> None:
        """1/Δt − Δ − λ eᵘ."""
        self.L.copy(P, structure=PETSc.Mat.Structure.SAME_NONZERO_PATTERN)
        self.exp.setArray(1.0 / self.dt - LAMBDA * np.exp(u.getArray(readonly=True)))
        P.setDiagonal(self.exp, addv=PETSc.InsertMode.ADD_VALUES)
        P.assemble()

    def step(self, dt: float) -> None:
        """A time step."""
        self.dt = dt
        self.u.copy(self.old)
        self.snes.solve(None, self.u)
        if self.snes.reason < 0:
            raise RuntimeError(f"SNES: reason {self.snes.reason} at a step of {dt:g}")
        self.iterations += self.snes.getLinearSolveIterations()
        self.newton += self.snes.its

    def destroy(self) -> None:
        for thing in self.snes, self.L, self.J, self.u, self.old, self.r, self.exp:
            thing.destroy()
        for name in self.names:
            self.options.delValue(name)


def march(n_x: int, steps: int, seed: int, tolerances: str) -> dict[str, Any]:
    """Linear and Newton iterations of `OMEGAS` and of `auto` by what it is told, shape (runs, 2)."""
    ew = {"snes_ksp_ew": ""} if tolerances == "changing" else {"ksp_rtol": 1e-5}
    kinds: list[tuple[dict[str, Any], Any]] = [({**CG, "pc_sor_omega": omega, **ew}, None) for omega in OMEGAS]
    for told in TOLD.values():
        none = {"pc_sorlearn_context": "none"} if told == () else {}
        kinds.append(({**CG, **LEARNED, **ew, **none, "pc_sorlearn_seed": seed}, told))
    found = []
    for k, (options, told) in enumerate(kinds):
        run_ = Reaction(n_x, options, f"reaction_{tolerances}_{seed}x{k}_", told)
        rng = np.random.default_rng(seed)
        for _ in range(steps):
            run_.step(10.0 ** rng.uniform(-4.5, -1.0))
        found.append((run_.iterations, run_.newton))
        run_.destroy()
    return {"iterations": found}


def cells(quick: bool) -> list[Cell]:
    n_x, steps, seeds = (16, 25, 1) if quick else (32, 120, 1)
    return [Cell(f"newton, tolerances {kind}, seed {seed}", march, (n_x, steps, seed, kind), 3 if quick else 35)
            for kind in ("changing", "constant") for seed in range(seeds)]  # fmt: skip


def main(quick: bool = False, folder: str | None = None) -> dict[str, Any]:
    """Linear iterations over those of the best fixed ω, by what `auto` is told; mean over seeds."""
    chosen, numbers = cells(quick), {}
    results = run(chosen)
    names = ["ω = 1", *[f"auto, {told}" for told in TOLD]]
    for kind in ("changing", "constant"):
        its = [r["iterations"] for cell, r in zip(chosen, results) if cell.arguments[3] == kind]
        rows = [np.append(i[0, 0], i[len(OMEGAS) :, 0]) / i[: len(OMEGAS), 0].min() for i in its]
        numbers[f"tolerances {kind}"] = {
            **dict(zip(names, np.mean(rows, axis=0).tolist())),
            "best ω": float(OMEGAS[its[0][: len(OMEGAS), 0].argmin()]),
            "Newton steps": its[0][len(OMEGAS) :, 1],
        }
    with style.figure("neighbours_newton", folder) as (axis,):
        for k, (kind, row) in enumerate(numbers.items()):
            axis.bar(np.arange(len(names)) + 0.4 * (k - 0.5), [row[name] for name in names], 0.38, label=kind,
                     color=(style.BLUE, style.ORANGE)[k])  # fmt: skip
        axis.axhline(1.0, color="black", linestyle=":", label="best fixed ω")
        axis.set_xticks(range(len(names)), [name.replace(", ", ",\n") for name in names], fontsize=7)
        axis.set_ylabel("linear iterations / those of the best fixed ω")
        axis.legend(fontsize=8)
    return numbers


if __name__ == "__main__":
    print(main())
