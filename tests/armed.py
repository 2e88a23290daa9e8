"""Solvers with arms, and preconditioners for arms that fail in ways of their own."""

from __future__ import annotations

import itertools

from petsc4py import PETSc
from systems import from_options, random_rhs

from sorlearn.petsc import collective
from sorlearn.tuning.play import Play

N = 16
_numbers = itertools.count()
RANKS = PETSc.COMM_WORLD.getSize()
#: A complete factorisation, an incomplete one and multigrid, on any number of ranks.
DIRECT = {"sorlearn_direct_pc_type": "cholesky" if RANKS == 1 else "redundant"}
BLOCKS = {"sorlearn_blocks_pc_type": "bjacobi"}
FLAGS = "-ksp_type python -ksp_python_type sorlearn.KSP -sorlearn_ksp_type cg"


class Broken:
    """A preconditioner that makes every solve break down."""

    def apply(self, pc, x, y):
        y.set(float("nan"))


class Refusing:
    """One that can't be set up."""

    def setUp(self, pc):
        raise RuntimeError("a matrix that I don't like")

    def apply(self, pc, x, y):
        x.copy(y)


class GivingUp:
    """One that can be set up, and no more."""

    def apply(self, pc, x, y):
        raise RuntimeError("a vector that I don't like")


class GivingUpAlone:
    """One that the last rank can't apply."""

    def apply(self, pc, x, y):
        if RANKS > 1 and PETSc.COMM_WORLD.getRank() == RANKS - 1:
            collective.PATIENCE = 1.0
            raise RuntimeError("a part that I don't like")
        x.copy(y)


class Lenient:
    """One whose norm is blind to nearly all that a residual has: left-preconditioned GMRES stops far too early."""

    def apply(self, pc, x, y):
        x.copy(y)
        values = y.getArray()
        values[3:] *= 1e-4


class Spoiling:
    """One that leads far away."""

    def apply(self, pc, x, y):
        x.copy(y)
        y.scale(-1e6)


def python_pc(name, kind):
    return {f"sorlearn_{name}_pc_type": "python", f"sorlearn_{name}_pc_python_type": f"armed.{kind}"}


def new_prefix():
    """One that nobody has had before."""
    return f"arms{next(_numbers)}_"


def with_arms(A, names, ksp_type="cg", **options):
    """A solver with arms, under a prefix that nobody has had before."""
    prefix = new_prefix()
    flags = {"ksp_type": "python", "ksp_python_type": "sorlearn.KSP", "sorlearn_ksp_type": ksp_type, **options}
    database = PETSc.Options(prefix)
    for name, value in {**flags, "sorlearn_arms": names}.items():
        database[name] = value
    return from_options(A, prefix)


def arms_of(ksp):
    return ksp.getPythonContext().arms


def rule_of(ksp):
    """What chooses, on rank 0; None on the others."""
    session = arms_of(ksp).choosing.session
    return session and session.rule


def force(ksp, **play):
    """Have every further solve decided like this."""
    rule = rule_of(ksp)

    def choose(*_):
        rule._play = Play(**play)
        return rule._play

    if rule is not None:
        rule.choose = choose
    arms_of(ksp).state()  # takes back what goes by without Python
    arms_of(ksp).choosing.left = 0


def solve(ksp, seed=0, start=None):
    """(b, x) of one solve."""
    b, x = random_rhs(ksp.getOperators()[0], seed)
    if start is not None:
        x.set(start)
    ksp.setInitialGuessNonzero(start is not None)
    ksp.solve(b, x)
    return b, x
