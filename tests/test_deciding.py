"""The seam, by a kind of choice that sorlearn doesn't have: how many sweeps SOR makes; all of it is in this file."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import pytest
from petsc4py import PETSc
from systems import laplacian, random_rhs, true_residual

from sorlearn.petsc.context import Features
from sorlearn.petsc.deciding import Deciding
from sorlearn.tuning.registry import Registry

N = 16
EVERY = pytest.mark.parallel(1, 2, 3, 4)
WORLD = PETSc.COMM_WORLD
RANK, RANKS = WORLD.getRank(), WORLD.getSize()
_numbers = itertools.count()


class Sweeps(NamedTuple):
    """The action."""

    its: float
    repeats: float = 0.0
    stopped: float = 0.0


class Cheapest:
    """The session: tries 1 to 4 sweeps, each for three solves, then those that cost least in the first."""

    def __init__(self):
        self.work, self.contexts, self.saved = {}, [], 0

    def decide(self, context):
        self.contexts.append(context)
        untried = [its for its in (1, 2, 3, 4) if its not in self.work]
        return Sweeps(untried[0] if untried else min(self.work, key=self.work.get), repeats=2)

    def charge(self, its, iterations):
        self.work.setdefault(its, iterations * (1 + 2 * its))  # a product, and two sweeps, there and back

    def save(self):
        self.saved += 1


class ChoosingSweeps(Deciding):
    """The kind of choice."""

    event = PETSc.Log.Event("ChooseSweeps")

    def __init__(self, prefix):
        super().__init__(prefix, Sweeps(1))
        self.stops = f"choosing sweeps for '{prefix}' stops"

    def _begin(self):
        return Cheapest(), Features()

    def enter(self, ksp):
        self._enter(ksp.comm, N)

    def before(self, ksp):
        if self.left:
            self.left -= 1
        elif not self.stopped:
            self._decide(lambda features: features.look(ksp.getOperators()[1]),
                         lambda top: self.session.decide(self._slot.features.context(top, ksp.rtol)))  # fmt: skip
        return int(self.decision.its)

    def after(self, ksp):
        if self.session is not None and not self.broken:
            self._attempt(self.session.charge, self.decision.its, ksp.getIterationNumber())


class Solver:
    """Applies it: a KSP with PETSc's SOR, which makes as many sweeps as are chosen."""

    def __init__(self, A, prefix):
        self.A, self.ksp = A, PETSc.KSP().create(A.comm)
        self.ksp.setOperators(A)
        self.ksp.setType("cg")
        self.ksp.getPC().setType("sor")
        self.ksp.setOptionsPrefix(prefix)
        self.choosing = ChoosingSweeps(prefix)
        self.choosing.enter(self.ksp)
        self.used = []

    def solve(self, times=1):
        for seed in range(times):
            its = self.choosing.before(self.ksp)
            PETSc.Options(self.ksp.prefix)["pc_sor_its"] = its
            self.ksp.setFromOptions()
            b, x = random_rhs(self.A, seed)
            self.ksp.solve(b, x)
            self.choosing.after(self.ksp)
            assert true_residual(self.A, b, x) < 1e-3
            self.used.append(its)

    def alike(self):
        """Whether all ranks have done the same."""
        comm = self.A.comm.tompi4py() if RANKS > 1 else None
        return comm is None or all(used == self.used for used in comm.allgather(self.used))

    def destroy(self):
        self.choosing.leave()
        self.ksp.destroy()


def prefix():
    return f"sweeps{next(_numbers)}_"


@EVERY
def test_another_kind_of_choice():
    solver = Solver(laplacian(N), prefix())
    solver.solve(30)
    assert solver.alike() and solver.used[:12] == [1] * 3 + [2] * 3 + [3] * 3 + [4] * 3
    session = solver.choosing.session
    assert (session is None) is (RANK > 0)
    if session is not None:
        assert set(solver.used[12:]) == {min(session.work, key=session.work.get)}
        assert len(session.contexts) == 10 and all(context.matrix.rho > 0.9 for context in session.contexts)
    solver.destroy()


@EVERY
def test_another_solver_of_the_kind_goes_on_where_one_has_stopped():
    A, name = laplacian(N), prefix()
    one = Solver(A, name)
    one.solve(12)
    session = one.choosing.session
    other = Solver(A, name)
    assert other.choosing.session is None or other.choosing.session is not session
    other.solve(3)
    assert other.used == [1] * 3
    one.destroy()
    again = Solver(A, name)
    assert again.choosing.session is session and (session is None or session.saved == 1)
    again.solve(3)
    assert again.alike() and (session is None or set(again.used) == {min(session.work, key=session.work.get)})


@EVERY
@pytest.mark.parametrize("what", ["decide", "charge", "look", "acquire"])
def test_an_error_on_one_rank_is_told_once_and_the_action_stands_on_all(what, monkeypatch, capfd):
    """Rank 0's session, or what the last rank does by itself."""
    guilty = 0 if what in ("decide", "charge") else RANKS - 1
    owner = {"decide": Cheapest, "charge": Cheapest, "look": Features, "acquire": Registry}[what]
    solver = Solver(laplacian(N), prefix()) if what != "acquire" else None
    if solver:
        solver.solve(6)

    def fails(*arguments):
        raise ZeroDivisionError(what)

    if guilty == RANK:
        monkeypatch.setattr(owner, what, fails)
    solver = solver or Solver(laplacian(N), prefix())
    solver.solve(9)
    assert solver.alike() and len(set(solver.used[6:])) == 1 and solver.choosing.stopped
    session = solver.choosing.session
    solver.destroy()
    assert session is None or session.saved == 0  # what has failed isn't to be gone on with
    again = Solver(laplacian(N), solver.choosing.prefix)
    assert again.choosing.stopped
    again.solve()
    told = capfd.readouterr().err.count("stops:\nTraceback") if guilty == RANK else 0
    assert told == (guilty == RANK)
    again.destroy()
