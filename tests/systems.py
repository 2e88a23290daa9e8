"""Matrices and solvers that several tests use; importing it initialises PETSc."""

from __future__ import annotations

from math import inf

import numpy as np
from petsc4py import PETSc

from sorlearn.learners import Choice
from sorlearn.petsc import fast
from sorlearn.petsc.pc import PC

CLASS = "sorlearn.PC"


def keeps_codes():
    """Whether errors have their own codes: from 3.20 on petsc4py gives all inside a Python PC another one."""
    return PETSc.Sys.getVersion() < (3, 20) or bool(fast.library())


def laplacian(n, shift=0.0, comm=PETSc.COMM_WORLD):
    """−h²Δ − shift on an n × n grid with zero boundary values."""
    A = PETSc.Mat().createAIJ((n * n, n * n), nnz=(5, 4), comm=comm)
    fill(A, n, shift)
    return A


def fill(A, n, shift=0.0, scale=1.0):
    """Give A the values of scale · (−h²Δ) − shift."""
    for row in range(*A.getOwnershipRange()):
        i, j = divmod(row, n)
        A.setValue(row, row, 4.0 * scale - shift)
        for k, inside in ((row - n, i > 0), (row + n, i < n - 1), (row - 1, j > 0), (row + 1, j < n - 1)):
            if inside:
                A.setValue(row, k, -scale)
    A.assemble()


def one_sided(n):
    """−h²Δ, and zeros that the pattern has on one side only."""
    A = PETSc.Mat().createAIJ((n * n, n * n), nnz=6, comm=PETSc.COMM_SELF)
    for i in range(0, n * (n - 1) - 1, 3):
        A.setValue(i, i + n + 1, 0.0)
    fill(A, n)
    return A


def random_rhs(A, seed=0):
    """(b, x) with b the same on any number of ranks."""
    x, b = A.createVecs()
    low, high = b.getOwnershipRange()
    b.setArray(np.random.default_rng(seed).standard_normal(b.getSize())[low:high])
    return b, x


def solver(A, prefix="", *, ksp_type="cg", **options):
    """A KSP with sorlearn's PC; `options` are those of the options database, without the prefix."""
    database = PETSc.Options(prefix)
    for name, value in {"ksp_type": ksp_type, "pc_type": "python", "pc_python_type": CLASS, **options}.items():
        database[name] = value
    return from_options(A, prefix)


def native(A, prefix="native_", **options):
    """A KSP with PETSc's own SOR."""
    return solver(A, prefix, pc_type="sor", **options)


def from_options(A, prefix):
    """A KSP that reads what the options database says for its prefix."""
    ksp = PETSc.KSP().create(A.comm)
    ksp.setOptionsPrefix(prefix)
    ksp.setOperators(A)
    ksp.setFromOptions()
    return ksp


def true_residual(A, b, x):
    """‖b − Ax‖/‖b‖."""
    r = b.duplicate()
    A.mult(x, r)
    r.aypx(-1.0, b)
    value = r.norm() / b.norm()
    r.destroy()
    return value


def user_test(ksp, b, x, start=None, *, transposed=False, omega=1.0, from_first=False):
    """The KSP's norm of the residual at x over what the user's tolerances allow, with PETSc's own SOR at `omega`.

    Written apart from sorlearn, and by the formula: ‖M⁻¹r‖/max(rtol ‖M⁻¹b‖, atol), natural norm √(rᴴM⁻¹r).
    With `from_first` the first residual, that of `start`, stands for b.
    """
    A, P = ksp.getOperators()
    PETSc.Options("usertest_")["pc_sor_omega"] = omega
    pc = PETSc.PC().create(A.comm)
    pc.setOptionsPrefix("usertest_")
    pc.setType("sor")
    pc.setOperators(A, P)
    pc.setFromOptions()
    pc.setUp()
    spaces = [A.getNullSpace(), A.getTransposeNullSpace()]
    null, left = reversed(spaces) if transposed else spaces

    def residual(y):
        r = b.copy()
        if y is not None:
            (A.multTranspose if transposed else A.mult)(y, r)
            r.aypx(-1.0, b)
        if left:
            left.remove(r)
        return r

    def norm(r):
        if int(ksp.norm_type) == int(PETSc.KSP.NormType.UNPRECONDITIONED):
            return r.norm()
        z = r.duplicate()
        pc.apply(r, z)
        if null:
            null.remove(z)
        if int(ksp.norm_type) == int(PETSc.KSP.NormType.NATURAL):
            return abs(r.dot(z)) ** 0.5
        return z.norm()

    rtol, atol, _, _ = ksp.getTolerances()
    scale = norm(residual(start if from_first else None))
    value = norm(residual(x)) / max(rtol * scale, atol)
    pc.destroy()
    return value


class Trial(PC):
    """sorlearn's PC, whose learner always wants the same ω."""

    wanted = 1.9

    def _enter(self, ksp):
        super()._enter(ksp)
        session = self._tuned.session
        if session:
            session.learner.choose = lambda context: Choice(self.wanted)
            session.learner.update = lambda choice, loss: None
            session.learner.at_safe = lambda choice, loss: None
            session.learner.excess = lambda omega, choice: inf
            if not self.guarded:
                session.baseline.due = lambda: False
