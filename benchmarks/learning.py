"""How near the best ω every learner comes: total iterations, from the first solve on, over the best there is.

    export PYTHONPATH=. OMP_NUM_THREADS=1
    python3 benchmarks/learning.py                  # all learners, from tables: the table and the plot
    python3 benchmarks/learning.py --learners auto  # some of them
    python3 benchmarks/learning.py --real jumps …   # auto as a PC, in a real loop of KSP

Tables are made when they are missing, in about eight minutes, by ``sequences.py``; costs between two ω's of a table are
interpolated, and trials are cut off where a session would.  Learners with a scalar context are given ρ and its true
range.  Ratios are means over five seeds;
*safe* is the highest running total over that of ω = 1 after the 20th solve, the worst of the seeds.
"""

import argparse
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np
import sequences
from sequences import SEQUENCES, Table, U

from sorlearn.learners import LEARNERS, NO_CONTEXT, Context, MatrixFeatures, Space, learner_class

ONE = int(np.abs(U).argmin())  # column of ω = 1


class Case(NamedTuple):
    """A row of the suite: `bars` are (solves, highest ratio wanted); `against` is the best ω or the best fixed ω."""

    table: str
    bars: tuple[tuple[int, float], ...]
    against: str = "best"
    #: Or: none, constant, shuffled, mixed (instances shuffled as well), idle (a user's number that means nothing),
    #: diffusion (the heat problem's coefficient, up to a factor, as a user's number, as in the paper's experiment).
    context: str = "matrix"


CASES = {
    "heat2d n_x=50": Case("heat50", ((1000, 1.01), (5000, 1.01))),
    "heat2d n_x=100": Case("heat100", ((1000, 1.01), (5000, 1.01))),
    "heat2d n_x=200": Case("heat200", ((200, 1.01), (1000, 1.01))),
    "n_x=50, told diffusion": Case("heat50", ((5000, 1.05),), context="diffusion"),
    "n_x=100, told diffusion": Case("heat100", ((5000, 1.05),), context="diffusion"),
    "shifts, SOR": Case("shifts", ((1000, 1.035), (5000, 1.015))),
    "constant matrix": Case("constant", ((20, 1.07), (100, 1.015))),
    "jumps": Case("jumps", ((400, 1.02),)),
    "3-D coefficients": Case("jumping3d", ((400, 1.015),)),
    "GMRES": Case("gmres", ((400, 1.03),)),
    "checkerboard": Case("checkerboard", ((400, 1.01),), "fixed"),
    "shuffled heat2d": Case("heat50", ((1000, 1.03),), "fixed", "shuffled"),
    "shuffled GMRES": Case("gmres", ((400, 1.03),), "fixed", "shuffled"),
    "shuffled jumps": Case("jumps", ((400, 1.03),), "fixed", "shuffled"),
    "shuffled shifts": Case("shifts", ((1000, 1.03),), "fixed", "shuffled"),
    "mixed heat2d": Case("heat50", ((1000, 1.03),), "fixed", "mixed"),
    "idle number, GMRES": Case("gmres", ((400, 1.03),), "fixed", "idle"),
    "drift unseen": Case("drift", ((1000, 1.00),), "fixed", "none"),
    "drift, constant features": Case("drift", ((1000, 1.00),), "fixed", "constant"),
    "eight blocks": Case("blocks8", ((400, 1.02),)),
    "rotated anisotropy": Case("rotated", ((400, 1.02),)),
    "finite elements": Case("elements", ((400, 1.02),)),
    "elasticity": Case("solid", ((400, 1.02),)),
    "two solves a step": Case("newton", ((400, 1.02),)),
    "mass matrices": Case("easy", ((300, 1.02),)),
    "convection in 3-D": Case("wind3d", ((300, 1.02),)),
    "switching reaction": Case("switching", ((300, 1.02),), "fixed"),
}


class Suite(NamedTuple):
    """A case made ready: iterations and costs (solves, ω), contexts."""

    its: np.ndarray
    work: np.ndarray
    contexts: list[Context]


def prepare(case: Case) -> Suite:
    table = sequences.load(case.table)
    rng = np.random.default_rng(7)
    if case.context == "mixed":
        order = rng.permutation(len(table.its))
        table = Table(*(array[order] for array in table))
    context = table.context
    if case.context in ("mixed", "shuffled"):
        context = context[rng.permutation(len(context))]
    if case.context == "constant":
        context = np.tile(context[0], (len(context), 1))
    repeats = -(-case.bars[-1][0] // len(table.its))
    if case.context == "idle":
        context = rng.standard_normal((len(context), 1))
    if case.context == "diffusion":
        context = context[:, :1] / (1.0 - context[:, :1])
    tell = {"none": lambda row: NO_CONTEXT, "idle": lambda row: Context(user=tuple(row))}
    tell["diffusion"] = tell["idle"]
    contexts = [tell.get(case.context, lambda row: Context(MatrixFeatures(*row)))(row) for row in context.tolist()]
    work = (table.its + 1) / np.maximum(table.start - table.end, 0.5)
    return Suite(np.tile(table.its, (repeats, 1)), np.tile(work, (repeats, 1)), contexts * repeats)


def play(name: str, suite: Suite, seed: int, times: list[float]) -> np.ndarray:
    """Iterations of each solve when the learner chooses."""
    cls = learner_class(name)
    numbers = [context.number or 0.0 for context in suite.contexts]
    low, high = cls.default_range
    space = Space(
        omega_min=low, omega_max=high, context_min=min(numbers), context_max=max(numbers) + 1e-9, least=0.0
    )
    learner, spent, largest = cls(space=space, seed=seed), [], 0.0
    for t, context in enumerate(suite.contexts):
        start = perf_counter()
        choice = learner.choose(context)
        asked = perf_counter()
        place = (U[0] - np.log(2 / choice.omega - 1)) / (U[0] - U[1])
        j = min(max(int(place), 0), len(U) - 2)
        f = place - j
        its = (1 - f) * suite.its[t, j] + f * suite.its[t, j + 1]
        loss = (1 - f) * suite.work[t, j] + f * suite.work[t, j + 1]
        limit = 50 + 10 * largest  # Session._limit_at
        if largest and choice.omega != space.omega and its > limit:  # the safe ω goes on
            its = limit + suite.its[t, ONE]
            loss = suite.work[t, ONE] * (its + 1) / (suite.its[t, ONE] + 1)
        else:
            largest = max(0.99 * largest, its)
        spent.append(its)
        told = perf_counter()
        learner.update(choice, float(loss))
        times.append(asked - start + perf_counter() - told)
    return np.array(spent)


def measure(case: Case, suite: Suite, names: list[str], seeds: int) -> dict[str, dict]:
    """Ratios at the bars, safety and regret of every learner on one case."""
    best, one = suite.its.min(axis=1).cumsum(), suite.its[:, ONE].cumsum()
    results = {}
    for name in names:
        times: list[float] = []
        totals = np.array([play(name, suite, seed, times).cumsum() for seed in range(seeds)])
        reference = [best[n - 1] if case.against == "best" else suite.its[:n].sum(axis=0).min() for n, _ in case.bars]
        results[name] = {
            "ratios": [float(totals[:, n - 1].mean() / r) for (n, _), r in zip(case.bars, reference)],
            "safe": float((totals / one)[:, min(20, len(one) - 1) :].max()),
            "regret": totals.mean(axis=0) - best,
            "us": 1e6 * float(np.median(times)),
        }
    return results


def report(results: dict[str, tuple[Case, Suite, dict]], names: list[str]) -> None:
    print(f"{'sequence':26s}{'solves':>7s}{'bar':>7s}{'ω=1':>8s}{'fixed':>8s}" + "".join(f"{n:>16s}" for n in names)
          + f"{'safe':>8s}{'µs':>6s}")
    for label, (case, suite, found) in results.items():
        for k, (n, bar) in enumerate(case.bars):
            its = suite.its[:n]
            reference = its.min(axis=1).sum() if case.against == "best" else its.sum(axis=0).min()
            print(f"{label:26s}{n:7d}{bar:7.3f}{its[:, ONE].sum() / reference:8.3f}"
                  f"{its.sum(axis=0).min() / reference:8.3f}"
                  + "".join(f"{found[name]['ratios'][k]:16.3f}" for name in names)
                  + f"{found[names[0]]['safe']:8.3f}{found[names[0]]['us']:6.1f}")


def plot(results: dict[str, tuple[Case, Suite, dict]], names: list[str], path: Path) -> None:
    """Iterations more than with the best ω of every instance, against solves."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(-(-len(results) // 4), 4, figsize=(16, 3 * -(-len(results) // 4)), squeeze=False)
    for axis, (label, (_, suite, found)) in zip(axes.flat, results.items()):
        solves, best = np.arange(1, len(suite.its) + 1), suite.its.min(axis=1).cumsum()
        fixed = suite.its[:, suite.its.sum(axis=0).argmin()].cumsum()
        axis.loglog(solves, np.maximum(suite.its[:, ONE].cumsum() - best, 0.5), "k:", label="ω = 1")
        axis.loglog(solves, np.maximum(fixed - best, 0.5), "k--", label="best fixed ω")
        for name in names:
            axis.loglog(solves, np.maximum(found[name]["regret"], 0.5), label=name)
        axis.set_title(label)
    axes.flat[0].legend(fontsize=7)
    for axis in axes.flat[len(results) :]:
        axis.remove()
    figure.supxlabel("solves")
    figure.supylabel("iterations more than with the best ω of each instance")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    print(f"regret: {path}")


def real(name: str) -> None:
    """The sequence in a loop of KSP with the flags that a user would type, against its table."""
    from petsc4py import PETSc

    sequence = SEQUENCES[name]
    ksp = sequences.make_ksp(sequence)
    ksp.setOptionsPrefix(f"{name}_")  # or the next sequence would start with what this one has learned
    options = PETSc.Options(f"{name}_")
    options["pc_type"], options["pc_python_type"] = "python", "sorlearn.PC"
    if sequence.ksp == "richardson":
        options["pc_sor_forward"] = None
    ksp.setFromOptions()
    its, A, P, old = [], None, None, None
    for t, instance in zip(range(sequence.solves), sequence.make(0)):
        if t % sequence.every:
            continue
        if old is None or instance.A is not old.A:
            for matrix in (A, P):
                if matrix is not None:
                    matrix.destroy()
            A = sequences.petsc_matrix(instance.A)
            P = None if instance.P is None else sequences.petsc_matrix(instance.P)
        old = instance
        x = PETSc.Vec().createWithArray(np.zeros_like(instance.b) if instance.x0 is None else instance.x0.copy())
        ksp.setOperators(A, P)
        ksp.setTolerances(rtol=instance.rtol, atol=1e-50, divtol=1e8, max_it=sequences.MAX_IT)
        ksp.solve(PETSc.Vec().createWithArray(instance.b), x)
        its.append(ksp.its)
    ksp.destroy()
    table = sequences.load(name).its
    best = table.min(axis=1).cumsum()
    total, n = np.cumsum(its), min(20, len(its) - 1)
    safe = (total / table[:, ONE].cumsum())[n:].max()
    print(
        f"{name:14s} {len(its):5d} solves, over the best ω {total[-1] / best[-1]:.3f}, over the best fixed "
        f"{total[-1] / table.sum(axis=0).min():.3f}, safe {safe:.3f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--learners", default="auto,tsallis_inf,tsallis_inf_rv,tsallis_inf_cb,chebcb,thompson")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--real", nargs="*", metavar="SEQUENCE", choices=[*SEQUENCES])
    arguments, _ = parser.parse_known_args()
    if arguments.real is not None:
        for name in arguments.real or SEQUENCES:
            real(name)
        return
    names = [name for name in arguments.learners.split(",") if name in LEARNERS]
    results = {}
    for label, case in CASES.items():
        suite = prepare(case)
        results[label] = (case, suite, measure(case, suite, names, arguments.seeds))
    report(results, names)
    plot(results, names, Path(__file__).with_name("learning.png"))


if __name__ == "__main__":
    main()
