"""The best ω of single systems and of all together, by solving some of them at many ω's natively."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from petsc4py import PETSc
from scipy.interpolate import Akima1DInterpolator

from .plan import RTOL, Size
from .problems import Problem, System, instances, new_ksp

#: ω's that are tried: even steps in u = log(2/ω − 1), the axis on which iterations are smooth, from ω = 0.71 to 1.976;
#: and those between which the costs are interpolated.
U, FINE = np.linspace(0.6, -4.4, 26), np.linspace(0.6, -4.4, 501)
#: Iterations after which a solve ends, in those at ω = 1.
MOST = 3


def omega_of(u: Any) -> Any:
    return 2.0 / (1.0 + np.exp(u))


def search(problem: Problem, size: Size) -> dict[str, Any]:
    """The best ω of every `size.every`-th system, the best for all of them, and the range of ρ.  Collective."""
    rows, rhos, system = [], [], None
    for instance in list(instances(problem, size))[:: size.every]:
        if system is None:
            system = System(instance)
            solver = _Counted(problem, system)
        system.take(instance)
        system.assemble()
        rows.append(Akima1DInterpolator(-U, solver.costs())(-FINE))
        rhos.append(float((1.0 - instance.A.sum(axis=1).A1 / instance.A.diagonal()).max()))
    assert system is not None
    solver.ksp.destroy()
    system.destroy()
    costs = np.array(rows)
    best = FINE[costs.argmin(axis=1)]
    return {"u": best.tolist(), "omega": float(omega_of(FINE[costs.sum(axis=0).argmin()])),
            "rho": [min(rhos), max(rhos)]}  # fmt: skip


def known(path: Path, problem: Problem, size: Size) -> dict[str, Any]:
    """What `search` returns, kept in a file.  Collective."""
    comm = PETSc.COMM_WORLD
    if not path.exists():
        found = search(problem, size)
        if comm.rank == 0:
            path.write_text(json.dumps(found))
    comm.barrier()
    return json.loads(path.read_text())


class _Counted:
    """Native SOR, by the iterations that a system takes it."""

    def __init__(self, problem: Problem, system: System):
        self.system = system
        self.ksp = new_ksp("oracle_", f"{problem.ksp} -{{}}pc_type sor", system)
        self.ksp.setConvergenceHistory(10_001, reset=True)

    def costs(self) -> list[float]:
        """Iterations at every ω of U."""
        self.ksp.setTolerances(max_it=10_000)
        self.ksp.setTolerances(max_it=int(MOST * self._fraction(1.0)) + 10)
        return [self._fraction(omega_of(u)) for u in U]

    def _fraction(self, omega: float) -> float:
        """Iterations until the tolerance, interpolated between the last two residuals: no plateaus."""
        ksp, system = self.ksp, self.system
        PETSc.Options()["oracle_pc_sor_omega"] = float(omega)
        ksp.getPC().setFromOptions()
        system.assemble()
        ksp.setInitialGuessNonzero(system.guess)
        ksp.solve(system.b, system.x)
        if ksp.reason < 0 or ksp.its == 0:
            return float(ksp.its)
        before, after = np.log(np.maximum(ksp.getConvergenceHistory()[-2:], 1e-300))
        return float(ksp.its - 1 + min(1.0, (before - np.log(RTOL * system.b.norm())) / (before - after)))


def omegas(found: dict[str, Any], size: Size) -> np.ndarray:
    """The best ω of every system of a run, interpolated where it wasn't searched for."""
    return omega_of(np.interp(np.arange(size.solves), np.arange(0, size.solves, size.every), found["u"]))
