"""What choosing among whole solvers is worth: `sorlearn.KSP` with arms, over its arms alone and over other rules.

    python3 benchmarks/arms.py [--quick] ["heat2d 100" ...] [--only LABEL ...] [--steps N] [--rounds 3]

CPU time of all solves on one rank, the first one, set-ups and trials included, rtol 1e-8 in the true norm; all lines
take turns solve by solve, and ratios are medians over the rounds.  The lines:

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
import statistics
from collections.abc import Callable, Iterator
from itertools import count
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from lag import CG, GMRES, heat3d, swelling
from lines import Line, take_turns
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


class Bench:
    """The options of one problem's lines."""

    def __init__(self, name: str) -> None:
        self.problem = PROBLEMS[name]
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

    def line(self, label: str) -> Line:
        """One line."""
        singles = ["sor", *self.arms]
        if label == "default":
            words = [f"-pc_type {self.problem.default}"]
        elif label == "arms":
            words = [self.together()]
        else:
            words = [self.alone(arm) for arm in singles if label in (arm, *RULES)]
        choose = RULES[label](len(singles)) if label in RULES else None
        words = [f"{self.problem.ksp} -ksp_rtol 1e-8 {text}" for text in words]
        return Line(words, self.problem.shape, PETSc.COMM_SELF, self.problem.default == "icc", choose)


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


#: Rules that choose solve by solve among the arms, each alone.
RULES = {"tsallis": tsallis, "hybrid": hybrid}


def compare(name: str, steps: int, only: list[str] | None, rounds: int) -> None:
    """One problem's lines."""
    bench = Bench(name)
    labels = [label for label in ("default", "sor", *bench.arms, "arms", *RULES) if only is None or label in only]
    took: dict[str, list[np.ndarray]] = {label: [] for label in labels}
    choosing = []
    for _ in range(rounds):
        lines = {label: bench.line(label) for label in labels}
        take_turns(list(lines.values()), bench.problem.sequence(0), steps)
        for label, line in lines.items():
            took[label].append(np.array(line.seconds))
        if "arms" in lines:
            own = lines["arms"].solvers[0].getPythonContext().arms.choosing.session.tally.own
            choosing.append(own / sum(lines["arms"].seconds))
        for line in lines.values():
            line.destroy()
    for label, line in lines.items():
        ms, failed = 1e3 * statistics.median(map(np.mean, took[label])), f", {line.failed} failed" * bool(line.failed)
        say(f"{name:14s}{label:12s}{ms:9.3f} ms a solve{line.iterations:9d} iterations{failed}")
    if choosing:
        _ratios(name, took, [arm for arm in ("sor", *bench.arms) if arm in labels], statistics.median(choosing))


def _ratios(name: str, took: dict[str, list[np.ndarray]], singles: list[str], choosing: float) -> None:
    """Totals of the arms together over the others'."""
    others = {label: took[label] for label in ("default", "sor", *RULES) if label in took}
    if singles:
        best = min(singles, key=lambda arm: statistics.median(map(np.sum, took[arm])))
        others[f"best single ({best})"] = took[best]
        others["ideal"] = [np.min(those, axis=0) for those in zip(*(took[arm] for arm in singles))]
    said = [f"{_median(took['arms'], its, lambda ours, other: ours.sum() / other.sum()):.2f} of {label}"
            for label, its in others.items()]  # fmt: skip
    if "sor" in took and len(took["sor"][0]) >= 30:
        after = _median(took["arms"], took["sor"], lambda ours, sor: (np.cumsum(ours) / np.cumsum(sor))[29:].max())
        said.append(f"after 30: {after:.2f}")
    say(f"{name:14s}arms: {', '.join(said)}, choosing: {choosing:.1%}")


def _median(ours: list[np.ndarray], others: list[np.ndarray], ratio: Callable[..., float]) -> float:
    """Of the ratio of both in every round."""
    return statistics.median(map(ratio, ours, others))


def say(text: str) -> None:
    """A line, at once."""
    print(text, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="PROBLEM", help=", ".join(PROBLEMS))
    parser.add_argument("--only", nargs="*", metavar="LINE", help="default, sor, icc, ..., arms, tsallis, hybrid")
    parser.add_argument("--steps", type=int, help="instead of each problem's own number")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="few steps of few problems")
    given = parser.parse_args()
    for name in given.names or PROBLEMS:
        steps = given.steps or (PROBLEMS[name].quick if given.quick else PROBLEMS[name].steps)
        if steps:
            compare(name, steps, given.only, given.rounds)


if __name__ == "__main__":
    main()
