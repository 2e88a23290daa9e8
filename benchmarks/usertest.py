"""sorlearn under KSP's default norms, by the user's own test: iterations, and how far each answer was solved.

    export PYTHONPATH=. OMP_NUM_THREADS=1
    python3 benchmarks/usertest.py                              # all sequences
    python3 benchmarks/usertest.py newton swirl --rtol 1e-8 --seeds 2
    python3 benchmarks/usertest.py --learner tsallis_inf --after 200 newton
    python3 benchmarks/usertest.py --idle gmres                 # told a user's number that means nothing
    python3 benchmarks/usertest.py --ablate newton bcgs         # what every constant of tuning/accuracy.py is worth

The user asked for ‖M⁻¹r‖ ≤ max(rtol ‖M⁻¹b‖, atol), natural norm √(rᵀM⁻¹r), with M of the solver that was configured:
SOR at ω = 1.  Every instance is solved natively at every ω of a grid until KSP's own test and this one both hold
(offline, by a convergence test in Python; kept in a table), and by sorlearn, switched on by options, in a loop of KSP.

    best, fixed, one     sorlearn's iterations over the best ω's of every instance, the best fixed ω's, those of ω = 1
    choice, tight        two factors of the first: what the chosen ω's would have taken, and what was solved beyond that
    safe                 highest running total over that of ω = 1 after the 20th solve (or --after)
    left                 the user's test at the answer, both sides divided: median, 99 % quantile, largest, share > 1.5
    residual             ‖b − Ax‖ over that which native SOR at ω = 1 leaves, geometric mean
    extra                sweeps and products with A over those that native SOR takes for as many iterations, less 1

Matrices are made without PETSc's inodes, so that iterations at all ω cost the same.  Rows below the line are held out:
no constant was tuned on them.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import ablation
import applications
import heldout
import numpy as np
import petsc4py
import sequences
from sequences import Instance
from tables import ONE, TABLES, U, petsc_matrix

petsc4py.init(["usertest", "-mat_no_inode"])
from petsc4py import PETSc  # noqa: E402  # after its options

OMEGAS = 2 / (1 + np.exp(U))
OMEGAS[ONE] = 1.0
MAX_IT = 10_000
#: No ω is followed past so many times the iterations of ω = 1 (and some): it is far from the best by then.
PATIENCE, SOME = 2, 20
#: Option whose value is a new random number before every solve.
IDLE = "usertest_idle_number"
PRECONDITIONED, NATURAL = PETSc.KSP.NormType.PRECONDITIONED, PETSc.KSP.NormType.NATURAL


class Run(NamedTuple):
    """A sequence and the solver that a user would set up for it, all by options; `rtol` where it is the user's own."""

    make: Callable[[int], Iterator[Instance]]
    solves: int
    ksp: str = "cg"
    options: tuple[tuple[str, str | None], ...] = ()
    rtol: float | None = None
    held_out: bool = False


RUNS = {
    "newton": Run(applications.newton_systems(), 400),
    "jumping3d": Run(sequences.jumping3d, 400),
    "interface": Run(applications.moving_interface(), 400),
    "constant": Run(sequences.constant(), 100),
    "gmres": Run(sequences.gmres, 400, "gmres"),
    "rotated": Run(sequences.rotated, 400),
    "mesh": Run(applications.random_mesh, 400),
    "solid": Run(sequences.solid, 300),
    "checkerboard": Run(sequences.checkerboard, 400),
    "heat3d": Run(applications.heat3d(), 300),
    "stiff newton": Run(applications.newton_systems(-1.5, 0.5), 400),
    "stiff interface": Run(applications.moving_interface(0.5, 3.0), 400),
    "mild heat3d": Run(applications.heat3d(0.25, 0.0), 300),
    "heat50": Run(sequences.heat2d(50), 1000, rtol=1e-8),
    "richardson": Run(sequences.shifts, 400, "richardson", (("pc_sor_forward", None),), 1e-4),
    "bcgs": Run(sequences.gmres, 300, "bcgs"),
    "six": Run(applications.six_iterations, 300, rtol=1e-6),
    "indefinite": Run(applications.indefinite, 60, "gmres", rtol=1e-6),
    "modes": Run(applications.smooth_modes, 300),
    "natural": Run(sequences.jumps, 400, options=(("ksp_norm_type", "natural"),)),
    "eight blocks": Run(sequences.blocks8, 300),
    "plate": Run(heldout.plate, 300, held_out=True),
    "bursts": Run(heldout.bursts, 300, held_out=True),
    "penalty": Run(heldout.penalty, 300, held_out=True),
    "graph": Run(heldout.graph, 300, held_out=True),
    "swirl": Run(heldout.swirl, 300, "bcgs", held_out=True),
    "reservoir": Run(heldout.reservoir, 300, held_out=True),
}
COLUMNS = ("best", "choice", "tight", "fixed", "one", "safe", "left", "99 %", "worst")


class Table(NamedTuple):
    """What native SOR does at every ω, shapes (solves, len(OMEGAS))."""

    own: np.ndarray  # iterations until KSP's own test holds
    user: np.ndarray  # and until the user's holds as well
    left: np.ndarray  # the user's test, left over right side, when KSP's own first held
    residual: np.ndarray  # ‖b − Ax‖ then
    work: np.ndarray  # sweeps and products with A until then


class Work:
    """Sweeps and products with A since the last call."""

    def __init__(self) -> None:
        PETSc.Log.begin()
        self.events = [PETSc.Log.Event(name) for name in ("MatSOR", "MatMult")]
        self.seen = self._count()

    def _count(self) -> int:
        return sum(event.getPerfInfo()["count"] for event in self.events)

    def __call__(self) -> int:
        before, self.seen = self.seen, self._count()
        return self.seen - before


class UserTest:
    """The user's own test for one instance, as the safe ω (1) computes it."""

    def __init__(self, A: Any, P: Any, b: Any, norm: Any, forward: bool, rtol: float):
        self.A, self.P, self.b, self.norm = A, P, b, norm
        self.flags = 16 + (1 if forward else 12)  # zero guess, forward or local symmetric
        self.r, self.z = b.duplicate(), b.duplicate()
        self.goal = rtol * self.size(b)

    def size(self, r: Any, apply: Callable[[Any, Any], None] | None = None) -> float:
        """‖M⁻¹r‖ or √(rᵀM⁻¹r) with the safe ω's M, or with any other."""
        apply(r, self.z) if apply else self.P.SOR(r, self.z, 1.0, self.flags, 0.0, 1, 1)
        return self.z.norm() if self.norm == PRECONDITIONED else abs(r.dot(self.z)) ** 0.5

    def left(self, r: Any) -> float:
        """Left over right side: 1 where the test has just been passed."""
        return self.size(r) / self.goal

    def at(self, x: Any) -> tuple[float, float]:
        """What is left of the test at an answer, and ‖b − Ax‖."""
        self.A.mult(x, self.r)
        self.r.aypx(-1.0, self.b)
        return self.left(self.r), self.r.norm()

    def destroy(self) -> None:
        self.r.destroy()
        self.z.destroy()


class Both:
    """Convergence test of a native solve: KSP's own, as KSPConvergedDefault has it, and the user's."""

    def __init__(self, test: UserTest, rtol: float, work: Work):
        self.test, self.rtol, self.work = test, rtol, work
        self.goal, self.own = 0.0, None

    def __call__(self, ksp: Any, its: int, norm: float) -> int:
        if its == 0:
            guess = ksp.getInitialGuessNonzero()
            self.goal = self.rtol * (self.test.size(self.test.b, ksp.getPC().apply) if guess else norm)
            self.own = None
        if not norm < float("inf"):
            return int(PETSc.KSP.ConvergedReason.DIVERGED_NANORINF)
        if norm > self.goal:
            return 0
        if self.own is None:
            self.own = [its, self.work()]
        ksp.buildResidual(self.test.r)
        left = self.test.left(self.test.r)
        if len(self.own) == 2:
            self.own += [left, self.test.r.norm()]
        return 0 if left > 1.0 + 1e-6 else int(PETSc.KSP.ConvergedReason.CONVERGED_RTOL)


def petsc_instances(run: Run, seed: int) -> Iterator[tuple[Instance, Any, Any, Any, Any]]:
    """Every instance with its A, P, b and a vector for x, kept as long as PETSc's user would."""
    A = P = old = None
    for _, instance in zip(range(run.solves), run.make(seed)):
        if old is None or instance.A is not old.A:
            for matrix in (A, P) if old else ():
                matrix.destroy()
            A = petsc_matrix(instance.A)
            P = A if instance.P is None else petsc_matrix(instance.P)
        old = instance
        b = PETSc.Vec().createWithArray(instance.b.copy(), comm=PETSc.COMM_SELF)
        x = b.duplicate()
        yield instance, A, P, b, x
        b.destroy()
        x.destroy()


def solver(run: Run, prefix: str, **options: str | None) -> Any:
    """A KSP set up by options, as a user would."""
    database = PETSc.Options(prefix)
    for name, value in {"ksp_type": run.ksp, **dict(run.options), **options}.items():
        database[name] = value
    ksp = PETSc.KSP().create(PETSc.COMM_SELF)
    ksp.setOptionsPrefix(prefix)
    ksp.setFromOptions()
    return ksp


def finish(ksp: Any) -> None:
    """Destroy a KSP, and clear its options."""
    prefix = ksp.getOptionsPrefix()
    ksp.destroy()
    for name in PETSc.Options().getAll():
        if name.startswith(prefix):
            PETSc.Options().delValue(name)


def start(ksp: Any, instance: Instance, x: Any) -> None:
    ksp.setInitialGuessNonzero(instance.x0 is not None)
    x.setArray(0.0 if instance.x0 is None else instance.x0)


def norm_of(ksp: Any) -> Any:
    ksp.setUp()
    norm = ksp.getNormType()
    assert norm in (PRECONDITIONED, NATURAL)
    return norm


def make_table(run: Run, seed: int, rtol: float) -> Table:
    """Solve every instance at every ω until both tests hold."""
    ksp, work, rows = solver(run, "native_", pc_type="sor"), Work(), []
    if run.ksp == "richardson":
        ksp.setMonitor(lambda *state: None)  # without one PETSc runs all iterations untested
    forward = ("pc_sor_forward", None) in run.options
    order = [ONE, *(j for j in range(len(OMEGAS)) if j != ONE)]
    for instance, A, P, b, x in petsc_instances(run, seed):
        ksp.setOperators(A, P)
        test = UserTest(A, P, b, norm_of(ksp), forward, rtol)
        both = Both(test, rtol, work)
        ksp.setConvergenceTest(both)
        row, limit = np.zeros((5, len(OMEGAS))), MAX_IT
        for j in order:
            PETSc.Options("native_")["pc_sor_omega"] = OMEGAS[j]
            ksp.getPC().setFromOptions()
            ksp.setTolerances(max_it=limit)
            start(ksp, instance, x)
            work()
            ksp.solve(b, x)
            own = both.own or [limit, 0, np.inf, np.inf]
            row[:, j] = own[0], ksp.its if ksp.reason > 0 else limit, own[2], own[3], own[1]
            if j == ONE:
                limit = min(MAX_IT, PATIENCE * ksp.its + SOME)
        rows.append(row)
        test.destroy()
    finish(ksp)
    return Table(*np.moveaxis(np.array(rows), 1, 0))


def table_of(name: str, seed: int, rtol: float) -> Table:
    """The table of a sequence, made where it isn't there."""
    path = TABLES / f"usertest-{name.replace(' ', '-')}-{rtol:.0e}-{seed}.npz"
    if not path.exists():
        TABLES.mkdir(parents=True, exist_ok=True)
        began = time.perf_counter()
        np.savez_compressed(path, *make_table(RUNS[name], seed, rtol))
        print(f"{path.name}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    with np.load(path) as file:
        return Table(*file.values())


class Loop(NamedTuple):
    """What sorlearn does in a loop of solves, shapes (solves,)."""

    its: np.ndarray
    left: np.ndarray
    residual: np.ndarray
    omega: np.ndarray
    work: np.ndarray


def learned(name: str, seed: int, rtol: float, learner: str, options: dict[str, str | None]) -> Loop:
    """Solve the sequence with sorlearn, switched on by options only."""
    run, work, rows = RUNS[name], Work(), []
    rng, database = np.random.default_rng(7), PETSc.Options()
    prefix = f"{name.replace(' ', '_')}_{seed}_{-np.log10(rtol):.0f}_"  # none goes on with what another run has learned
    ksp = solver(run, prefix, pc_type="python", pc_python_type="sorlearn.PC", pc_sorlearn_learner=learner,
                 pc_sorlearn_seed=str(seed), ksp_rtol=str(rtol), **options)  # fmt: skip
    forward = ("pc_sor_forward", None) in run.options
    for instance, A, P, b, x in petsc_instances(run, seed):
        ksp.setOperators(A, P)
        start(ksp, instance, x)
        database[IDLE] = rng.standard_normal()
        work()
        ksp.solve(b, x)
        spent = work()
        test = UserTest(A, P, b, norm_of(ksp), forward, rtol)
        rows.append((ksp.its, *test.at(x), ksp.getPC().getPythonContext().omega, spent))
        if ksp.reason < 0:
            print(f"{name}: solve {len(rows)} ended with reason {ksp.reason}", file=sys.stderr, flush=True)
        test.destroy()
    finish(ksp)
    return Loop(*np.array(rows).T)


def extra_work(table: Table, loop: Loop) -> float:
    """Sweeps and products over what native SOR takes for as many iterations, less 1."""
    its, first = np.unique(table.own[table.work > 0], return_index=True)
    expected = np.interp(loop.its, its, table.work[table.work > 0][first])
    return float(loop.work.sum() / expected.sum() - 1)


def figures(table: Table, loop: Loop, after: int) -> dict[str, float]:
    """The columns of the report."""
    best, one, total = table.user.min(axis=1), table.user[:, ONE], loop.its
    n = min(after, len(total)) - 1
    nearest = abs(np.log(2 / loop.omega - 1)[:, None] - U).argmin(axis=1)
    chosen = table.user[np.arange(len(total)), nearest]
    worse = np.log(np.maximum(loop.residual, 1e-300) / np.maximum(table.residual[:, ONE], 1e-300))
    return {
        "best": total.sum() / best.sum(),
        "choice": chosen.sum() / best.sum(),
        "tight": total.sum() / chosen.sum(),
        "fixed": total.sum() / table.user.sum(axis=0).min(),
        "one": total.sum() / one.sum(),
        "safe": (total.cumsum() / one.cumsum())[n:].max(),
        "left": np.median(loop.left),
        "99 %": np.quantile(loop.left, 0.99),
        "worst": loop.left.max(),
        "> 1.5": (loop.left > 1.5).mean(),
        "residual": np.exp(worse.mean()),
        "extra": extra_work(table, loop),
    }


def report(name: str, seed: int, solves: int, table: Table, found: dict[str, float]) -> None:
    native = table.user[:, ONE].sum() / table.user.min(axis=1).sum()
    fixed = table.user.sum(axis=0).min() / table.user.min(axis=1).sum()
    text = f"{name:16s}{seed:2d}{solves:6d}{native:8.3f}{fixed:8.3f}"
    text += "".join(f"{found[key]:8.3f}" for key in COLUMNS)
    print(text + f"{found['> 1.5']:8.2%}{found['residual']:9.3f}{found['extra']:8.2%}", flush=True)


def heading(rtol: float, learner: str) -> None:
    print(f"rtol {rtol:g} unless the sequence has its own, learner {learner}; native ω = 1 and best fixed ω over")
    print("the best ω of every instance; then sorlearn")
    columns = "".join(f"{key:>8s}" for key in ("ω=1", "fixed", *COLUMNS, "> 1.5"))
    print(f"{'sequence':14s}seedsolves{columns}{'residual':>9s}{'extra':>8s}", flush=True)


def ablate(names: list[str], rtol: float, learner: str) -> None:
    """What every constant of tuning/accuracy.py is worth in these sequences."""
    calls = itertools.count(1)

    def measure() -> tuple[float, ...]:
        seed, found = next(calls), []  # none goes on with what another run has learned
        for name in names:
            rtol_here = RUNS[name].rtol or rtol
            loop = learned(name, 0, rtol_here, learner, {"pc_sorlearn_group": f"ablation{seed}"})
            found.append(figures(table_of(name, 0, rtol_here), loop, 20))
        means = [np.exp(np.mean([np.log(each[key]) for each in found])) for key in ("best", "tight", "residual")]
        return (*means, max(each["worst"] for each in found), 100 * np.mean([each["> 1.5"] for each in found]),
                100 * np.mean([each["extra"] for each in found]))  # fmt: skip

    ablation.ablate_accuracy(measure, ("best", "tight", "residual", "worst", "% > 1.5", "% extra"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="SEQUENCE", help=", ".join(RUNS))
    parser.add_argument("--rtol", type=float, default=1e-5)
    parser.add_argument("--learner", default="auto")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--tables", action="store_true", help="make the missing tables only")
    parser.add_argument("--set", nargs="*", default=[], metavar="OPTION=VALUE", help="more options of the solver")
    parser.add_argument("--after", type=int, default=20, help="solves from which on *safe* counts")
    parser.add_argument("--idle", action="store_true", help="a user's context that means nothing")
    parser.add_argument("--ablate", action="store_true", help="what every constant of tuning/accuracy.py is worth")
    given = parser.parse_args()
    if unknown := set(given.names) - set(RUNS):
        parser.error(f"no sequence {sorted(unknown)[0]!r}; there are {', '.join(RUNS)}")
    options = dict(text.split("=", 1) for text in given.set)
    if given.idle:
        options |= {"pc_sorlearn_context": "user", "pc_sorlearn_context_option": IDLE}
    if given.ablate:
        ablate(given.names or list(RUNS), given.rtol, given.learner)
        return
    heading(given.rtol, given.learner)
    names, below = given.names or list(RUNS), False
    for name in names:
        if RUNS[name].held_out and not below:
            below = True
            print("-" * 40 + " held out")
        for seed in range(given.seeds):
            rtol = RUNS[name].rtol or given.rtol
            table = table_of(name, seed, rtol)
            if not given.tables:
                loop = learned(name, seed, rtol, given.learner, options)
                report(name, seed, len(loop.its), table, figures(table, loop, given.after))


if __name__ == "__main__":
    main()
