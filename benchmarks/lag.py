"""What keeping set-ups is worth: `sorlearn.Lag` over set-up in every step and over the best fixed lag in hindsight.

    [mpiexec -n 2] python3 benchmarks/lag.py ["heat2d 100" ...] [--pc gamg ...] [--rounds 3] [--lags 2 4 8 ...]

CPU time of all solves, set-ups included, of each the largest of all ranks; the runs of one line take turns solve by
solve, and ratios are medians over the rounds.  Fixed lags are the same class with `-lag_solves`; set-up in every step
is PETSc's own PC.  *Unlike* has matrices that have nothing in common but their pattern, *wandering* convection and time
steps that change much from one to the next.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from applications import lognormal, squares
from lines import Line, take_turns
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


def compare(name: str, kind: str, rounds: int, lags: tuple[int, ...]) -> None:
    """One line of the table."""
    problem = PROBLEMS[name]
    native = problem.pcs[kind].replace("{}", "")
    lagged = f"-pc_type python -pc_python_type sorlearn.Lag {problem.pcs[kind].replace('{}', 'lag_')}"
    typed = {"every": native, "rule": lagged, **{str(lag): f"{lagged} -lag_solves {lag}" for lag in lags}}
    ms: dict[str, list[float]] = {label: [] for label in typed}
    for _ in range(rounds):
        lines = {label: Line([f"{problem.ksp} -ksp_rtol 1e-8 {words}"], problem.shape, PETSc.COMM_WORLD)
                 for label, words in typed.items()}  # fmt: skip
        take_turns(list(lines.values()), problem.sequence(0), problem.steps)
        for label, line in lines.items():
            if line.failed:
                raise RuntimeError(f"{typed[label]}: {line.failed} solves failed")
            ms[label].append(1e3 * float(np.mean(busiest(line.seconds))))
            line.destroy()

    def ratio(other: str) -> float:
        return statistics.median(ours / its for ours, its in zip(ms["rule"], ms[other]))

    best = max(map(str, lags), key=ratio, default="every")
    best = best if ratio(best) > ratio("every") else "every"
    took = [statistics.median(ms[label]) for label in ("every", best, "rule")]
    say(
        f"{name:12s}{kind:10s}{took[0]:9.2f}{took[1]:9.2f} ({best:>5s}){took[2]:9.2f}"
        f"{ratio('every'):9.2f}{ratio(best):9.2f}   iterations {lines['every'].iterations} → {lines['rule'].iterations}"
    )


def busiest(seconds: list[float]) -> list[float]:
    """Of every solve, on the rank that it took the longest.  Collective."""
    comm = PETSc.COMM_WORLD
    return np.max(comm.tompi4py().allgather(seconds), axis=0).tolist() if comm.size > 1 else seconds


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
