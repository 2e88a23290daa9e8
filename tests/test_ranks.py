"""Any number of ranks, with or without rows, in any communicator: all of a solver's ranks use the same ω."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from petsc4py import PETSc
from systems import fill, laplacian, random_rhs, solver, true_residual

import sorlearn.petsc.pc
from sorlearn.learners import LEARNERS
from sorlearn.petsc.context import Features
from sorlearn.tuning.accuracy import Accuracy
from sorlearn.tuning.session import Session

MPI = pytest.importorskip("mpi4py.MPI")
WORLD = PETSc.COMM_WORLD
#: Small, so that seven ranks that share two cores get through many solves.
N = 20
RTOL = 1e-5
EVERY = pytest.mark.parallel(1, 2, 3, 4, 7)
FEW = 4


class Watched:
    """A solver whose ω is written down at every iteration, on every rank."""

    def __init__(self, A, prefix, **options):
        self.A = A
        self.ksp = solver(A, prefix, ksp_rtol=RTOL, **options)
        self.tuner = self.ksp.getPC().getPythonContext()
        self.omegas = []
        self.ksp.setMonitor(lambda *_: self.omegas.append(self.tuner.omega))

    def solve(self, seed):
        b, x = random_rhs(self.A, seed)
        self.ksp.solve(b, x)
        assert self.ksp.getConvergedReason() > 0
        assert true_residual(self.A, b, x) < 20 * RTOL

    def check(self, different=2):
        """All ranks have used the same ω, and at least so many different ones."""
        comm = self.A.comm.tompi4py()
        everybody = comm.allgather(self.omegas)
        assert all(omegas == everybody[0] for omegas in everybody)
        assert len(set(self.omegas)) >= different
        self.ksp.destroy()


def spread(sizes, n=N):
    """−h²Δ with so many rows on the ranks."""
    local = sizes[WORLD.rank]
    A = PETSc.Mat().createAIJ(((local, n * n), (local, n * n)), nnz=(5, 4))
    fill(A, n)
    return A


def distributions():
    """Numbers of rows by rank: even, all on the first or the last rank, and none on every other one."""
    size, rows = WORLD.size, N * N
    yield [rows // size + (rank < rows % size) for rank in range(size)]
    yield [rows] + [0] * (size - 1)
    yield [0] * (size - 1) + [rows]
    holders = (size + 1) // 2
    yield [0 if rank % 2 else rows // holders + (rank // 2 < rows % holders) for rank in range(size)]


@EVERY
def test_same_omega_everywhere_for_every_learner():
    moved = []
    for number, (learner, sizes) in enumerate(zip(LEARNERS, itertools.cycle(distributions()))):
        solves = Watched(
            spread(sizes), f"l{number}_", pc_sorlearn_learner=learner,
            pc_sorlearn_context_min=0.0, pc_sorlearn_context_max=9.0,
        )  # fmt: skip
        opinions = itertools.cycle(np.roll(range(9), WORLD.rank))  # ranks may be of different ones
        solves.tuner.context = opinions.__next__
        for seed in range(FEW):
            solves.solve(seed)
        solves.check(different=1)
        moved.append(len(set(solves.omegas)) > 1)
    assert sum(moved) >= len(LEARNERS) - 2


@EVERY
def test_same_omega_everywhere_from_the_matrix():
    for number, sizes in enumerate(distributions()):
        solves = Watched(spread(sizes), f"m{number}_")
        for seed in range(FEW):
            solves.A.shift(0.1)
            solves.solve(seed)
        solves.check()


@pytest.mark.parallel(2, 3)
def test_clocks_that_differ(monkeypatch):
    """With cost `time`, the slowest rank counts, whatever the others' clocks say."""
    rng = np.random.default_rng(WORLD.rank)
    slow = WORLD.rank == WORLD.size - 1
    clock = itertools.accumulate(iter(lambda: float(rng.uniform(1, 2)) * (100.0 if slow else 1e-3), None))
    for room in (sorlearn.petsc.pc, sorlearn.petsc.clock):
        monkeypatch.setattr(room, "perf_counter", lambda: next(clock))
    solves = Watched(laplacian(N), "clock_", pc_sorlearn_cost="time")
    for seed in range(2 * FEW):
        solves.solve(seed)
    assert all(100.0 <= record.seconds for record in solves.tuner.records)
    assert len(solves.tuner.records) == 2 * FEW * (WORLD.rank == 0)
    solves.check()


@pytest.mark.parallel(3)
def test_two_solvers_on_communicators_that_overlap():
    """One on all ranks and one on some of them, taking turns."""
    some = WORLD.tompi4py().Split(WORLD.rank != 1, WORLD.rank)
    everywhere = Watched(laplacian(N), "both_")
    here = Watched(laplacian(4, comm=PETSc.Comm(some)), "both_")
    for seed in range(FEW):
        everywhere.solve(seed)
        if WORLD.rank != 1:
            here.solve(seed)
            here.solve(seed + 100)
    everywhere.check()
    here.check(different=0 if WORLD.rank == 1 else 2)
    some.Free()


@pytest.mark.parallel(4)
def test_groups_go_their_own_ways():
    """Disjoint groups run different numbers of solves of the same name; nobody waits for anybody."""
    group = WORLD.rank % 2
    comm = WORLD.tompi4py().Split(group, WORLD.rank)
    solves = Watched(laplacian(N, comm=PETSc.Comm(comm)), "group_")
    for seed in range(FEW * (1 + group)):
        solves.solve(seed)
    solves.check()
    histories = WORLD.tompi4py().allgather(len(solves.omegas))
    assert histories[0] == histories[2] != histories[1] == histories[3]
    comm.Free()


@pytest.mark.parallel(3)
@pytest.mark.parametrize("first", ["alive", "destroyed"])
def test_the_same_name_in_one_group_after_the_other(first, capfd):
    """Ranks 0 and 1, then 1 and 2, then 0 and 2: what a rank knows from one group isn't taken into another."""
    world = WORLD.tompi4py()
    alive = []
    for members in ((0, 1), (1, 2), (0, 2), (0, 1)):
        comm = world.Split(WORLD.rank in members, WORLD.rank)
        if WORLD.rank in members:
            solves = Watched(laplacian(N, comm=PETSc.Comm(comm)), "again_")
            for seed in range(FEW):
                solves.solve(seed)
            assert not solves.tuner.position.startswith("omega held")
            assert len(solves.tuner.records) >= FEW * (WORLD.rank == members[0])
            if first == "alive":
                alive.append(solves)
            else:
                solves.check(different=1)
        world.Barrier()
    for solves in alive:
        solves.check(different=1)
    assert "learning stops" not in capfd.readouterr().err


#: What is made to raise: where, the rank (−1 for the last), and how many calls go well before.
FAULTS = [
    (Session, "decide", 0, 0), (Session, "decide", 0, 3), (Session, "charge", 0, 0), (Session, "charge", 0, 3),
    (Accuracy, "note", 0, 1), (Features, "look", 0, 2), (Features, "look", -1, 0), (Features, "look", -1, 2),
]  # fmt: skip


@pytest.mark.parallel(2, 3)
def test_an_exception_on_one_rank(monkeypatch, capfd):
    """One message, ω stands still on all ranks, and every solve converges."""
    everybody = WORLD.tompi4py()
    for number, (owner, name, rank, well) in enumerate(FAULTS):
        calls = itertools.count()
        intact = getattr(owner, name)

        def fails(self, *arguments, intact=intact, calls=calls, well=well, rank=rank, **keywords):
            if WORLD.rank == rank % WORLD.size and next(calls) >= well:
                raise ArithmeticError("injected")
            return intact(self, *arguments, **keywords)

        with monkeypatch.context() as patch:
            patch.setattr(owner, name, fails)
            solves = Watched(laplacian(N), f"fault{number}_")
            stood = []
            for seed in range(2 * FEW):
                solves.A.shift(0.01)
                solves.solve(seed)
                stood.append(solves.tuner.omega)
            solves.check(different=1)
        err = capfd.readouterr().err
        assert sum(everybody.allgather(err.count("sorlearn: learning stops"))) == 1, (name, rank)
        assert sum(everybody.allgather(err.count("ArithmeticError: injected"))) == 1, (name, rank)
        assert len(set(stood[-4:])) == 1, (name, stood)


@pytest.mark.parallel(2, 3)
def test_a_users_function_that_raises_on_one_rank(capfd):
    def context():
        if WORLD.rank == WORLD.size - 1:
            raise LookupError("no context here")
        return 1.0

    solves = Watched(
        laplacian(N), "user_", pc_sorlearn_learner="chebcb", pc_sorlearn_context_min=0.0, pc_sorlearn_context_max=9.0
    )
    solves.tuner.context = context
    for seed in range(FEW):
        solves.solve(seed)
    solves.check(different=1)
    messages = WORLD.tompi4py().allgather(capfd.readouterr().err.count("sorlearn: learning stops"))
    assert messages == [0] * (WORLD.size - 1) + [1]


@pytest.mark.parallel(1, 2, 3)
@pytest.mark.parametrize("source", ["option", "assigned"])
def test_a_users_context_where_a_solver_is_made_anew_after_idle_solves(source):
    """The decision that goes on then is one that is to be repeated; on several ranks nobody may wait for it alone."""
    A, name = laplacian(N), f"idle_{source}_"
    options = {"pc_sorlearn_context_option": "kappa"} if source == "option" else {}
    PETSc.Options()["kappa"] = 1.0
    ksp = solver(A, name, ksp_norm_type="unpreconditioned", **options)
    if source == "assigned":
        ksp.getPC().getPythonContext().context = 1.0
    for seed in range(30):
        b, x = random_rhs(A, seed)
        if seed < 10 or seed == 20:
            b.set(0.0)
        if seed in (10, 21):
            ksp.reset()
            ksp.setOperators(A)
            if source == "assigned":
                ksp.getPC().getPythonContext().context = 1.0
        ksp.solve(b, x)
        assert ksp.getConvergedReason() > 0
