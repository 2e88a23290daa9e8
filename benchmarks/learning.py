"""How near the best ω every learner comes: total iterations, from the first solve on, over the best there is.

    export PYTHONPATH=. OMP_NUM_THREADS=1
    python3 benchmarks/learning.py                  # all learners, from tables: the table and the plot
    python3 benchmarks/learning.py --learners auto  # some of them
    python3 benchmarks/learning.py --real jumps …   # auto as a PC, in a real loop of KSP
    python3 benchmarks/learning.py --ablate         # what every constant of auto is worth: see ``ablation.py``

Tables are made when they are missing, in about eight minutes, by ``tables.py``; costs between two ω's of a table are
interpolated, and trials are cut off where a session would.  Learners with a scalar context are given ρ and its true
range.  Ratios are means over five seeds;
*safe* is the highest running total over that of ω = 1 after the 20th solve, the worst of the seeds.  No constant was
tuned on the sequences held out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import ablation
import numpy as np
import tables
from cases import CASES, HELD_OUT, Case, Suite, play, prepare
from peers import PEERS
from tables import ONE, SEQUENCES

from sorlearn.learners import LEARNERS, Learner, learner_class


def find(name: str) -> type[Learner]:
    """A learner of sorlearn's or of its peers."""
    return PEERS[name] if name in PEERS else learner_class(name)


def measure(case: Case, suite: Suite, names: list[str], seeds: int) -> dict[str, dict]:
    """Ratios at the bars, safety and regret of every learner on one case."""
    best, one = suite.its.min(axis=1).cumsum(), suite.its[:, ONE].cumsum()
    results = {}
    for name in names:
        times: list[float] = []
        totals = np.array([play(find(name), suite, seed, times).cumsum() for seed in range(seeds)])
        reference = [best[n - 1] if case.against == "best" else suite.its[:n].sum(axis=0).min() for n, _ in case.bars]
        results[name] = {
            "ratios": [float(totals[:, n - 1].mean() / r) for (n, _), r in zip(case.bars, reference)],
            "safe": float((totals / one)[:, min(20, len(one) - 1) :].max()),
            "regret": totals.mean(axis=0) - best,
            "us": 1e6 * float(np.median(times)),
        }
    return results


def report(results: dict[str, tuple[Case, Suite, dict]], names: list[str]) -> None:
    print(f"{'sequence':26s}{'solves':>7s}{'bar':>7s}{'ω=1':>8s}{'fixed':>8s}" + "".join(f"{n:>15s}" for n in names)
          + f"{'safe':>8s}{'µs':>6s}")
    for label, (case, suite, found) in results.items():
        if label == next(iter(HELD_OUT)):
            print("held out: no constant was tuned on these")
        for k, (n, bar) in enumerate(case.bars):
            its = suite.its[:n]
            reference = its.min(axis=1).sum() if case.against == "best" else its.sum(axis=0).min()
            print(f"{label:26s}{n:7d}{bar:7.3f}{its[:, ONE].sum() / reference:8.3f}"
                  f"{its.sum(axis=0).min() / reference:8.3f}"
                  + "".join(f"{found[name]['ratios'][k]:15.3f}" for name in names)
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
    ksp = tables.make_ksp(sequence)
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
            A = tables.petsc_matrix(instance.A)
            P = None if instance.P is None else tables.petsc_matrix(instance.P)
        old = instance
        x = PETSc.Vec().createWithArray(np.zeros_like(instance.b) if instance.x0 is None else instance.x0.copy())
        ksp.setOperators(A, P)
        ksp.setTolerances(rtol=instance.rtol, atol=1e-50, divtol=1e8, max_it=tables.MAX_IT)
        ksp.solve(PETSc.Vec().createWithArray(instance.b), x)
        its.append(ksp.its)
    ksp.destroy()
    table = tables.load(name).its
    best = table.min(axis=1).cumsum()
    total, n = np.cumsum(its), min(20, len(its) - 1)
    safe = (total / table[:, ONE].cumsum())[n:].max()
    print(
        f"{name:16s} {len(its):5d} solves, over the best ω {total[-1] / best[-1]:.3f}, over the best fixed "
        f"{total[-1] / table.sum(axis=0).min():.3f}, safe {safe:.3f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--learners", default=",".join(name for name in [*LEARNERS, *PEERS] if name != "fixed"))
    parser.add_argument("--seeds", type=int, help="default: 5, with --ablate 1")
    parser.add_argument("--ablate", nargs="*", metavar="CONSTANT", help="of the first learner")
    parser.add_argument("--real", nargs="*", metavar="SEQUENCE", choices=list(SEQUENCES))
    arguments, _ = parser.parse_known_args()
    if arguments.real is not None:
        for name in arguments.real or SEQUENCES:
            real(name)
        return
    names = [name for name in arguments.learners.split(",") if name in LEARNERS or name in PEERS]
    if arguments.ablate is not None:
        ablation.ablate(names[0], arguments.ablate, arguments.seeds or 1)
        return
    results = {}
    for label, case in (CASES | HELD_OUT).items():
        suite = prepare(case)
        results[label] = (case, suite, measure(case, suite, names, arguments.seeds or 5))
    report(results, names)
    plot(results, names, Path(__file__).with_name("learning.png"))


if __name__ == "__main__":
    main()
