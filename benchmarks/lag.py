"""What keeping set-ups is worth: `sorlearn.Lag` over set-up in every step and over the best fixed lag in hindsight.

    [mpiexec -n 2] python3 benchmarks/lag.py ["heat2d 100" ...] [--pc gamg ...] [--rounds 3] [--lags 2 4 8 ...]

CPU time of all solves, set-ups included, largest of all ranks; the runs of one line alternate, and ratios are medians
over the rounds.  Fixed lags are the same class with `-lag_solves`; set-up in every step is PETSc's own PC.  *Unlike*
has matrices that have nothing in common but their pattern, *wandering* convection and time steps that change much from
one to the next.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterator
from itertools import islice
from time import process_time
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from applications import lognormal, squares
from petsc4py import PETSc
from sequences import Instance, checkerboard, convection, diffusion, gmres, heat2d

LAGS = (2, 4, 8, 16, 32, 64, 1000)
GAMG = "-{}pc_type gamg -{}pc_gamg_reuse_interpolation 0 -{}mg_levels_ksp_type richardson -{}mg_levels_pc_type sor"
MG = ("-{}pc_type mg -{}pc_mg_galerkin -{}pc_mg_levels 4 -{}mg_levels_ksp_type richardson -{}mg_levels_pc_type sor "
      "-{}mg_coarse_pc_type redundant")  # fmt: skip
HYPRE = "-{}pc_type hypre"
#: Incomplete factorisations, in parallel of the ranks' blocks.
LEVELS = "-{0}pc_type {1} -{0}pc_factor_levels {2} -{0}sub_pc_type {1} -{0}sub_pc_factor_levels {2}"
CG = "-ksp_type cg -ksp_norm_type unpreconditioned"
GMRES = "-ksp_type gmres -ksp_pc_side right"


class Problem(NamedTuple):
    """A sequence, the shape of its grid, its steps, the solver and the preconditioners."""

    sequence: Callable[[int], Iterator[Instance]]
    shape: tuple[int, ...]
    steps: int
    ksp: str
    pcs: dict[str, str]


def heat3d(seed: int, n: int = 31) -> Iterator[Instance]:
    """Heat in a heterogeneous cube whose conductivity jumps by decades and swings between the jumps."""
    rng = np.random.default_rng(seed)
    L, t = diffusion(lognormal(rng, (n,) * 3, 2.0, 1.0)), 0
    x, y, z = squares(n, 3)
    while True:
        strength = 10.0 ** rng.integers(-1, 3)
        for _ in range(25):
            t += 1
            source = np.exp(-40 * ((x - 0.5 - 0.3 * np.cos(0.1 * t)) ** 2 + (y - 0.5) ** 2 + (z - 0.5) ** 2))
            yield Instance((sp.eye(n**3) + strength * (1.3 + np.sin(0.1 * t)) * L).tocsr(), source.ravel())


def swelling(seed: int, n: int = 99) -> Iterator[Instance]:
    """Upwind convection–diffusion; the wind rises and falls over one and a half decades in 300 steps."""
    rng, t = np.random.default_rng(seed), 0
    while True:
        speed = 10 ** (0.75 - 0.75 * np.cos(2 * np.pi * t / 300))
        yield Instance((sp.eye(n * n) + 100 * convection(n, (0.8 * speed, 0.6 * speed))).tocsr(),
                       rng.standard_normal(n * n))  # fmt: skip
        t += 1


def _factors(complete: str, incomplete: str, levels: int) -> dict[str, str]:
    return {incomplete: LEVELS.format("{}", incomplete, levels), complete: f"-{{}}pc_type {complete}"}


SYMMETRIC = {**_factors("cholesky", "icc", 3), "hypre": HYPRE, "gamg": GAMG, "mg": MG}
UNSYMMETRIC = {**_factors("lu", "ilu", 3), "hypre": HYPRE, "gamg": GAMG, "mg": MG}
PROBLEMS = {
    "heat2d 100": Problem(heat2d(100), (99, 99), 1000, CG, SYMMETRIC),
    "heat2d 200": Problem(heat2d(200), (199, 199), 1000, CG, SYMMETRIC),
    "heat3d 31": Problem(heat3d, (31,) * 3, 200, CG,
                         {"icc": LEVELS.format("{}", "icc", 1), "hypre": HYPRE, "gamg": GAMG, "mg": MG}),
    "convdiff 99": Problem(swelling, (99, 99), 300, GMRES, UNSYMMETRIC),
    "wandering": Problem(lambda seed: gmres(seed, 99), (99, 99), 300, GMRES, UNSYMMETRIC),
    "unlike": Problem(lambda seed: checkerboard(seed, 64), (64, 64), 200, CG, SYMMETRIC),
}  # fmt: skip


class Grid:
    """Callbacks of a DM for a tensor grid of interior points, which multigrid coarsens by halves."""

    def __init__(self, shape: tuple[int, ...], comm: Any):
        self.shape, self.comm = shape, comm

    def dm(self) -> Any:
        """A shell that knows its vectors, its coarser grid and the interpolation from there."""
        dm = PETSc.DMShell().create(self.comm)
        dm.setAttr("grid", self)
        dm.setCreateGlobalVector(lambda dm: PETSc.Vec().createMPI(int(np.prod(self.shape)), comm=self.comm))
        dm.setCoarsen(lambda dm, comm: Grid(tuple((n - 1) // 2 for n in self.shape), self.comm).dm())
        dm.setCreateInterpolation(lambda coarse, fine: (interpolation(coarse, fine), None))
        return dm

    def give_to(self, ksp: Any) -> None:
        """Have a KSP's multigrid use it, and nothing else."""
        ksp.setDM(self.dm())
        ksp.setDMActive(*([ksp.DMActive.ALL] if hasattr(ksp, "DMActive") else []), False)  # PETSc 3.26; 3.18


def interpolation(coarse: Any, fine: Any) -> Any:
    """Linear in each direction."""
    P: Any = sp.eye(1)
    for m, n in zip(coarse.getAttr("grid").shape, fine.getAttr("grid").shape):
        at = np.arange(1, n + 1) / (n + 1)
        hats = [np.interp(at, np.arange(m + 2) / (m + 1), np.eye(m + 2)[j]) for j in range(1, m + 1)]
        P = sp.kron(P, sp.csr_matrix(np.array(hats).T))
    return distributed(P.tocsr(), fine.getAttr("grid").comm)


def distributed(A: sp.csr_matrix, comm: Any) -> Any:
    """The matrix, in PETSc's default distribution."""
    rows, columns = (PETSc.Vec().createMPI(n, comm=comm) for n in A.shape)
    (low, high), local = rows.getOwnershipRange(), columns.getLocalSize()
    part = A[low:high]
    sizes = ((high - low, A.shape[0]), (local, A.shape[1]))
    return PETSc.Mat().createAIJ(sizes, csr=(part.indptr, part.indices, part.data), comm=comm)


def run(problem: Problem, typed: str) -> tuple[float, int]:
    """(CPU seconds of all solves on the busiest rank, iterations)."""
    comm = PETSc.COMM_WORLD
    database, words = PETSc.Options(), f"{problem.ksp} -ksp_rtol 1e-8 {typed}"
    database.insertString(words)
    ksp, A, seconds, iterations = PETSc.KSP().create(comm), None, 0.0, 0
    for instance in islice(problem.sequence(0), problem.steps):
        if A is None:
            A = distributed(instance.A, comm)
            x, b = A.createVecs()
            low, high = b.getOwnershipRange()
            Grid(problem.shape, comm).give_to(ksp)
            ksp.setOperators(A)
            ksp.setFromOptions()
        part = instance.A[low:high]
        A.setValuesCSR(part.indptr, part.indices, part.data)
        A.assemble()
        b.setArray(instance.b[low:high])
        x.setArray(0.0 if instance.x0 is None else instance.x0[low:high])
        ksp.setInitialGuessNonzero(instance.x0 is not None)
        began = process_time()
        ksp.solve(b, x)
        seconds += process_time() - began
        iterations += ksp.getIterationNumber()
        if ksp.getConvergedReason() < 0:
            raise RuntimeError(f"{typed}: reason {ksp.getConvergedReason()}")
    for thing in (ksp, A, x, b):
        thing.destroy()
    for name in database.getAll():
        database.delValue(name)
    return (comm.tompi4py().allreduce(seconds, max) if comm.size > 1 else seconds), iterations


def compare(name: str, kind: str, rounds: int, lags: tuple[int, ...]) -> None:
    """One line of the table."""
    problem = PROBLEMS[name]
    native = problem.pcs[kind].replace("{}", "")
    lagged = f"-pc_type python -pc_python_type sorlearn.Lag {problem.pcs[kind].replace('{}', 'lag_')}"
    typed = {"every": native, "rule": lagged, **{str(lag): f"{lagged} -lag_solves {lag}" for lag in lags}}
    found: dict[str, list[tuple[float, int]]] = {label: [] for label in typed}
    for _ in range(rounds):
        for label, words in typed.items():
            found[label].append(run(problem, words))

    def ratio(other: str) -> float:
        return statistics.median(ours[0] / its[0] for ours, its in zip(found["rule"], found[other]))

    best = max(map(str, lags), key=ratio, default="every")
    best = best if ratio(best) > ratio("every") else "every"
    ms = {label: 1e3 * statistics.median(seconds for seconds, _ in found[label]) / problem.steps for label in typed}
    say(
        f"{name:12s}{kind:10s}{ms['every']:9.2f}{ms[best]:9.2f} ({best:>5s}){ms['rule']:9.2f}"
        f"{ratio('every'):9.2f}{ratio(best):9.2f}   iterations {found['every'][0][1]} → {found['rule'][0][1]}"
    )


def say(text: str) -> None:
    """A line, at once."""
    if PETSc.COMM_WORLD.getRank() == 0:
        print(text, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="PROBLEM", help=", ".join(PROBLEMS))
    parser.add_argument("--pc", nargs="*", help="only these preconditioners")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--lags", type=int, nargs="*", default=LAGS)
    given = parser.parse_args()
    say(f"{'ms a solve':22s}{'every':>9s}{'best lag':>17s}{'rule':>9s}{'/every':>9s}{'/best':>9s}")
    for name in given.names or PROBLEMS:
        for kind in given.pc or PROBLEMS[name].pcs:
            if kind in PROBLEMS[name].pcs:
                compare(name, kind, given.rounds, tuple(given.lags))


if __name__ == "__main__":
    main()
