"""What choosing among whole solvers is worth: `sorlearn.KSP` with arms, over its arms alone and over other rules.

    python3 benchmarks/arms.py [--quick] ["heat2d 100" ...] [--only LABEL ...] [--steps N]

CPU time of all solves on one rank, the first one, set-ups and trials included, rtol 1e-8 in the true norm; single runs,
so that differences under 5 to 10 % mean nothing.  The lines:

*default*   PETSc's own ICC(0) or ILU(0), set up for each matrix
*learned*   `sorlearn.PC` alone
*single*    the best of the arms alone, each kept by `sorlearn.Lag` but SOR, and Eisenstat's form together with SOR
*arms*      `sorlearn.KSP` with all of them
*tsallis*   Tsallis-INF with reduced variance over the same arms, a failure repeated with the first (as PCGBandit does
            for OpenFOAM)
*hybrid*    all arms once every 100 solves, then the quickest (as OPM Flow does)
*ideal*     the arms' best of each step, from the arms alone

*After 30* is the running total of *arms* over that of the first arm alone, largest from the 30th solve on.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator
from itertools import count, islice
from time import process_time
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from lag import CG, GMRES, Grid, distributed, heat3d, swelling
from petsc4py import PETSc
from sequences import Instance, diffusion, elasticity, heat2d

from sorlearn.learners import NO_CONTEXT, Space
from sorlearn.learners.tsallis_inf_rv import TsallisINFRV

MG = ("-{0}pc_type mg -{0}pc_mg_galerkin -{0}pc_mg_levels {1} -{0}mg_levels_ksp_type richardson "
      "-{0}mg_levels_pc_type sor -{0}mg_coarse_pc_type cholesky")  # fmt: skip
GAMG = ("-{0}pc_type gamg -{0}pc_gamg_reuse_interpolation 0 -{0}mg_levels_ksp_type richardson "
        "-{0}mg_levels_pc_type sor")  # fmt: skip
#: Typed options of each arm but SOR, `{0}` for the prefix.
SYMMETRIC = {
    "eisenstat": "",
    "icc": "-{0}pc_type icc -{0}pc_factor_levels 3",
    "gmg": MG,
    "gamg": GAMG,
    "hypre": "-{0}pc_type hypre",
    "cholesky": "-{0}pc_type cholesky",
}
UNSYMMETRIC = {**SYMMETRIC, "icc": "-{0}pc_type ilu -{0}pc_factor_levels 3", "cholesky": "-{0}pc_type lu"}
UNSYMMETRIC["ilu"], UNSYMMETRIC["lu"] = UNSYMMETRIC.pop("icc"), UNSYMMETRIC.pop("cholesky")
del UNSYMMETRIC["eisenstat"]


class Problem(NamedTuple):
    """A sequence, the shape of its grid, its steps (and few of them), KSP, default and arms; levels of multigrid."""

    sequence: Callable[[int], Iterator[Instance]]
    shape: tuple[int, ...]
    steps: int
    quick: int
    ksp: str = CG
    default: str = "icc"
    arms: dict[str, str] = SYMMETRIC
    levels: int = 4
    without: tuple[str, ...] = ()


def poisson(n: int, dimensions: int) -> Callable[[int], Iterator[Instance]]:
    """One Laplacian, random right-hand sides."""

    def make(seed: int) -> Iterator[Instance]:
        rng, A = np.random.default_rng(seed), diffusion(np.ones((n,) * dimensions))
        while True:
            yield Instance(A, rng.standard_normal(n**dimensions))

    return make


def clamped(seed: int, n: int = 60) -> Iterator[Instance]:
    """Plane strain under a moving load, its inertia rising and falling over three decades; used for no tuning."""
    rng, K = np.random.default_rng(seed), elasticity(n, 0.3)
    load = rng.standard_normal(K.shape[0])
    for t in count():
        A = K.copy()  # a sum would leave out the entries that vanish, on one side only
        A.setdiag(K.diagonal() + 10.0 ** (-1.5 + 1.5 * np.cos(2 * np.pi * t / 200)))
        yield Instance(A, np.roll(load, 8 * t))


def layers(seed: int, n: int = 99) -> Iterator[Instance]:
    """Anisotropic diffusion whose strong direction comes and goes; used for no tuning."""
    one, eye = diffusion(np.ones(n)), sp.eye(n)
    rng = np.random.default_rng(seed)
    for t in count():
        weak = 10.0 ** (-1.5 - 1.5 * np.cos(2 * np.pi * t / 150))
        yield Instance((sp.kron(one, eye) + weak * sp.kron(eye, one) + 1e-3 * sp.eye(n * n)).tocsr(),
                       rng.standard_normal(n * n))  # fmt: skip


PROBLEMS = {
    "heat2d 100": Problem(heat2d(100), (99, 99), 1000, 120),
    "heat2d 200": Problem(heat2d(200), (199, 199), 1000, 0),
    "heat2d 400": Problem(heat2d(400), (399, 399), 1000, 0),
    "heat3d 31": Problem(heat3d, (31,) * 3, 400, 20, levels=3),
    "convdiff 99": Problem(swelling, (99, 99), 600, 0, GMRES, "ilu", UNSYMMETRIC),
    "poisson 199": Problem(poisson(199, 2), (199, 199), 300, 20),
    "elasticity": Problem(clamped, (), 400, 0, without=("gmg",)),
    "layers": Problem(layers, (99, 99), 450, 0),
}  # fmt: skip


_runs = count()


class Run(NamedTuple):
    """CPU seconds of each solve; iterations and failures of all, and seconds that choosing among arms took."""

    seconds: np.ndarray
    iterations: int
    failed: int
    choosing: float


class Bench:
    """One problem: its matrices are made once for each run, outside the clock."""

    def __init__(self, name: str, steps: int) -> None:
        self.problem, self.steps = PROBLEMS[name], steps
        self.arms = {name: words for name, words in self.problem.arms.items() if name not in self.problem.without}

    def typed(self, arm: str, stem: str) -> str:
        """An arm's options under a prefix."""
        return self.arms[arm].replace("{0}", stem).replace("{1}", str(self.problem.levels))

    def alone(self, arm: str) -> str:
        """The options of an arm alone."""
        if arm == "sor":
            return "-pc_type python -pc_python_type sorlearn.PC"
        if arm == "eisenstat":
            return self.together("eisenstat")
        return f"-pc_type python -pc_python_type sorlearn.Lag {self.typed(arm, 'lag_')}"

    def together(self, *arms: str) -> str:
        """The options of SOR and these arms, else of all."""
        arms = arms or tuple(self.arms)
        own = " ".join(self.typed(arm, f"sorlearn_{arm}_") for arm in arms)
        inner = self.problem.ksp.split()[1]
        return (f"-ksp_type python -ksp_python_type sorlearn.KSP -sorlearn_ksp_type {inner} "
                f"-sorlearn_arms {','.join(['sor', *arms])} {own}")  # fmt: skip

    def run(self, typed: list[str], choose: Callable[[int, float], int] | None = None) -> Run:
        """Solve all with the one KSP that these options make or, with `choose`, with the one that it says.

        ``choose(step, seconds)`` is told what the last solve took.
        """
        solvers, A, last, spent, iterations, failed = [], None, None, [], 0, 0
        for step, instance in enumerate(islice(self.problem.sequence(0), self.steps)):
            if A is None:
                A = distributed(instance.A, PETSc.COMM_SELF)
                A.setOption(PETSc.Mat.Option.SYMMETRIC, self.problem.default == "icc")
                x, b = A.createVecs()
                # a prefix that no run has had before: what one has learned another would go on with
                solvers = [self._solver(A, words, f"run{next(_runs)}_") for words in typed]
            elif instance.A is not last:
                A.setValuesCSR(instance.A.indptr, instance.A.indices, instance.A.data)
                A.assemble()
            last = instance.A
            b.setArray(instance.b)
            ksp = solvers[choose(step, spent[-1] if spent else 0.0) if choose else 0]
            began = process_time()
            for each in (ksp, solvers[0]):
                x.setArray(0.0 if instance.x0 is None else instance.x0)
                each.setInitialGuessNonzero(instance.x0 is not None)
                each.solve(b, x)
                iterations += each.getIterationNumber()
                if each.getConvergedReason() > 0:
                    break
            spent.append(process_time() - began)
            failed += each.getConvergedReason() < 0
        context = solvers[0].getPythonContext() if solvers[0].getType() == "python" else None
        choosing = context.arms.choosing.session.tally.own if context else 0.0
        for thing in (*solvers, A, x, b):
            thing.destroy()
        database = PETSc.Options()
        for name in database.getAll():
            database.delValue(name)
        return Run(np.array(spent), iterations, failed, choosing)

    def _solver(self, A: Any, words: str, prefix: str) -> Any:
        text = f"{self.problem.ksp} -ksp_rtol 1e-8 {words}"
        PETSc.Options().insertString(re.sub("(^| )-", rf"\1-{prefix}", text))
        ksp = PETSc.KSP().create(A.comm)
        ksp.setOptionsPrefix(prefix)
        if self.problem.shape:
            Grid(self.problem.shape, A.comm).give_to(ksp)
        ksp.setOperators(A)
        ksp.setFromOptions()
        return ksp


def tsallis(arms: int) -> Callable[[int, float], int]:
    """Tsallis-INF with reduced variance over the arms, by seconds in units of the first solve's."""
    learner, first, choice = TsallisINFRV(space=Space(num_omegas=arms, least=0.0), seed=0), 0.0, None

    def choose(step: int, seconds: float) -> int:
        nonlocal first, choice
        first = first or seconds
        if choice is not None:
            learner.update(choice, seconds / first)
        choice = learner.choose(NO_CONTEXT) if step else None
        return choice.index if choice is not None else 0

    return choose


def hybrid(arms: int) -> Callable[[int, float], int]:
    """Every arm once, then the quickest of them until the 100th solve, and again."""
    took: list[float] = []

    def choose(step: int, seconds: float) -> int:
        phase = step % 100
        if 0 < phase <= arms:
            took.append(seconds)
        if phase == 0:
            took.clear()
        return phase if phase < arms else int(np.argmin(took))

    return choose


def compare(name: str, steps: int, only: list[str] | None) -> None:
    """One problem's lines."""
    bench = Bench(name, steps)
    labels, found = ["sor", *bench.arms], {}

    def line(label: str, run: Run) -> None:
        found[label] = run
        failed = f", {run.failed} failed" * bool(run.failed)
        say(f"{name:14s}{label:12s}{1e3 * run.seconds.mean():9.3f} ms a solve{run.iterations:9d} iterations{failed}")

    def wanted(label: str) -> bool:
        return only is None or label in only

    if wanted("default"):
        line("default", bench.run([f"-pc_type {bench.problem.default}"]))
    for arm in labels:
        if wanted(arm):
            line(arm, bench.run([bench.alone(arm)]))
    if wanted("arms"):
        line("arms", bench.run([bench.together()]))
    every = [bench.alone(arm) for arm in labels]
    for label, rule in (("tsallis", tsallis), ("hybrid", hybrid)):
        if wanted(label):
            line(label, bench.run(every, rule(len(labels))))
    if "arms" in found:
        _ratios(name, found, [arm for arm in labels if arm in found])


def _ratios(name: str, found: dict[str, Run], singles: list[str]) -> None:
    """Totals of the arms together over the others'."""
    ours = found["arms"].seconds
    others = {label: run.seconds for label, run in found.items() if label in ("default", "sor", "tsallis", "hybrid")}
    if singles:
        best = min(singles, key=lambda arm: found[arm].seconds.sum())
        others[f"best single ({best})"] = found[best].seconds
        others["ideal"] = np.min([found[arm].seconds for arm in singles], axis=0)
    said = [f"{ours.sum() / seconds.sum():.2f} of {label}" for label, seconds in others.items()]
    if "sor" in found and len(ours) >= 30:
        running = (np.cumsum(ours) / np.cumsum(found["sor"].seconds))[29:]
        said.append(f"after 30: {running.max():.2f}")
    said.append(f"choosing: {found['arms'].choosing / ours.sum():.1%}")
    say(f"{name:14s}arms: {', '.join(said)}")


def say(text: str) -> None:
    """A line, at once."""
    print(text, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="PROBLEM", help=", ".join(PROBLEMS))
    parser.add_argument("--only", nargs="*", metavar="LINE", help="default, sor, icc, ..., arms, tsallis, hybrid")
    parser.add_argument("--steps", type=int, help="instead of each problem's own number")
    parser.add_argument("--quick", action="store_true", help="few steps of few problems")
    given = parser.parse_args()
    for name in given.names or PROBLEMS:
        steps = given.steps or (PROBLEMS[name].quick if given.quick else PROBLEMS[name].steps)
        if steps:
            compare(name, steps, given.only)


if __name__ == "__main__":
    main()
