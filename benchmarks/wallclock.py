"""Wall clock of all solves of the heat simulation: learned ω against the best fixed ω run natively.

    OMP_NUM_THREADS=1 python3 benchmarks/wallclock.py [n_x ...]

Runs alternate, and ratios are medians over the pairs.  The last columns are the time that sorlearn's two hooks take in
Python (context, choice, learning): the median over the solves that come there, and the mean over all.
"""

import statistics
import sys
from pathlib import Path
from time import perf_counter

sizes = [int(word) for word in sys.argv[1:]] or [25, 50, 100]
del sys.argv[1:]
sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent / "demos")]

import heat2d  # noqa: E402  # only after the arguments are sorted out
from hooks import Hooks  # noqa: E402  # only after the arguments are sorted out
from petsc4py import PETSc  # noqa: E402  # only after the arguments are sorted out

import sorlearn  # noqa: E402  # only after the arguments are sorted out

#: Best fixed ω over one period of the simulation, from a grid with step 0.02.
BEST = {25: 1.40, 50: 1.60, 100: 1.76, 200: 1.88}
STEPS, PAIRS = 5000, 3


class Timed:
    """A KSP that notes how long its solves take."""

    def __init__(self, ksp):
        self.ksp, self.seconds = ksp, 0.0

    def solve(self, b, x):
        start = perf_counter()
        self.ksp.solve(b, x)
        self.seconds += perf_counter() - start

    def __getattr__(self, name):
        return getattr(self.ksp, name)


def simulate(n_x, flags):
    """Iterations and seconds of all solves of one run."""
    options = PETSc.Options()
    given = {"n_x": n_x, "steps": STEPS, **flags}
    for name, value in given.items():
        options[name] = value
    made = []
    original = heat2d.make_solver
    heat2d.make_solver = lambda A: made.append(Timed(original(A))) or made[-1]
    heat2d.REPORT = STEPS + 1
    try:
        iterations = heat2d.main()["iterations"]
    finally:
        heat2d.make_solver = original
        for name in given:
            options.delValue(name)
    return iterations, made[0].seconds


def main():
    print(f"{'n_x':>4} {'iterations':>22} {'ratio':>6} {'ms a solve':>15} {'ratio':>6} {'hooks, µs':>10} {'mean':>6}")
    hooks = Hooks()
    for n_x in sizes:
        pairs = []
        hooks.clear()
        for _ in range(PAIRS):
            native = simulate(n_x, {"pc_type": "sor", "pc_sor_omega": BEST[n_x]})
            sorlearn.petsc.deciding.registry.waiting.clear()  # each run learns from nothing
            learned = simulate(n_x, {"pc_type": "python", "pc_python_type": "sorlearn.PC"})
            pairs.append((native, learned))
        its = pairs[0][0][0], pairs[0][1][0]
        ms = [1e3 * statistics.median(pair[i][1] for pair in pairs) / STEPS for i in (0, 1)]
        ratio = statistics.median(learned[1] / native[1] for native, learned in pairs)
        median, mean = 1e6 * statistics.median(hooks.seconds), 1e6 * sum(hooks.seconds) / (PAIRS * STEPS)
        print(
            f"{n_x:4d} {its[0]:10d} → {its[1]:9d} {its[1] / its[0]:6.3f} {ms[0]:6.3f} → {ms[1]:6.3f} "
            f"{ratio:6.3f} {median:10.1f} {mean:6.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
