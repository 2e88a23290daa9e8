"""What is asked of a matrix before a set-up is begun that can't be interrupted."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from ..errors import MatrixError
from .clib import PetscBool, library
from .context import identity

#: Floating-point operations of nested dissection in cubes of its widest separator, and a processor's, per second.
_CUBES, _RATE = 10.0, 1e9
#: Relative asymmetry that rounding may leave.
_ROUNDING = 1e-8


def factorisation(P: Any) -> float:
    """Seconds that factorising the matrix would take, roughly.  Not collective.

    Separators are about as wide as the graph of the matrix, and the last one, a dense block, takes most of the work
    (A. George, *Nested dissection of a regular finite element mesh*, SIAM J. Numer. Anal. 10, 1973).  It is no wider
    than the matrix's band; where that would be wider than a cube, a breadth-first search tells.  Where the graph isn't
    on this rank, it is taken to be that of a cube.
    """
    n = P.getSize()[0]
    width = n ** (2.0 / 3.0)
    if P.getType() == "seqaij":
        ai, aj = P.getRowIJ()
        band = int(np.abs(np.repeat(np.arange(n), np.diff(ai)) - aj).max(initial=0))
        width = band if band <= width else min(_widest(ai, aj) or width, n)
    return float(_CUBES * width**3 / _RATE)


def _widest(ai: np.ndarray, aj: np.ndarray) -> int:
    """The most vertices at one distance from the first; 0 where most can't be reached from there."""
    n = len(ai) - 1
    seen = np.zeros(n, bool)
    level, widest, reached = np.array([0]), 0, 0
    while len(level):
        seen[level] = True
        widest, reached = max(widest, len(level)), reached + len(level)
        counts = ai[level + 1] - ai[level]
        places = np.repeat(ai[level] - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts) + np.arange(counts.sum())
        near = aj[places]
        level = np.unique(near[~seen[near]])
    return widest if 2 * reached > n else 0


def pattern(P: Any, option: str) -> None:
    """Raise MatrixError, which names the option for another ordering, where PETSc's search for one wouldn't end.

    It takes the pattern of a matrix that was declared symmetric as it is, and searches for ever where entries have no
    counterpart, as they haven't where an application leaves out those that vanish; products with such a matrix, of
    which coarse grids are made, are like it.  Not collective.
    """
    if P.getType() in ("seqaij", "seqbaij") and _declared(P) and not _has_symmetric_pattern(P):
        raise MatrixError("the matrix was declared symmetric, but its pattern isn't, so that PETSc's search for an "
                          f"ordering may never end (-{option} rcm does)")  # fmt: skip


def _declared(P: Any) -> bool:
    known, symmetric = PetscBool(), PetscBool()
    answers = ctypes.byref(known), ctypes.byref(symmetric)
    library().MatIsStructurallySymmetricKnown(ctypes.c_void_p(P.handle), *answers)
    return bool(known.value and symmetric.value)


def _has_symmetric_pattern(P: Any) -> bool:
    """Whether uᵀSv = vᵀSu for random integers u and v, modulo 2⁶⁴, where S is the pattern."""
    ai, aj = P.getRowIJ()
    rows = np.repeat(np.arange(len(ai) - 1), np.diff(ai))
    u, v = np.random.default_rng(0).integers(2**63, size=(2, len(ai) - 1))
    return bool((u[rows] * v[aj]).sum() == (v[rows] * u[aj]).sum())


def _is_symmetric(P: Any) -> bool:
    """Whether uᵀPv = vᵀPu for random u and v, up to what rounding may have left on one side only.  Not collective.

    MatIsSymmetric also wants the same pattern on both sides, which assembly needn't leave where entries vanish.
    """
    rng, (u, w) = np.random.default_rng(0), P.createVecs()
    v = u.duplicate()
    for x in (u, v):
        x.setArray(rng.standard_normal(x.getLocalSize()))
    P.mult(v, w)
    size, products = u.norm() * w.norm(), [u.tDot(w)]
    P.mult(u, w)
    products.append(v.tDot(w))
    for x in (u, v, w):
        x.destroy()
    return bool(abs(products[0] - products[1]) <= _ROUNDING * size)


class Definite:
    """Whether a matrix may be factorised as a symmetric positive definite one: PETSc's shifts (Manteuffel's) may raise
    and raise the diagonal of another one without an end.  Keeps a vector.
    """

    def __init__(self) -> None:
        self._symmetric = (0, False)
        self._diagonal: Any = None

    def check(self, P: Any) -> None:
        """Raise MatrixError unless it looks like one.  Collective."""
        if P.getType() != "seqaij":
            return
        if self._symmetric[0] != identity(P):
            self.reset()
            self._symmetric, self._diagonal = (identity(P), _is_symmetric(P)), P.createVecLeft()
        P.getDiagonal(self._diagonal)
        if not self._symmetric[1]:
            raise MatrixError("the matrix isn't symmetric")
        if self._diagonal.min()[1] <= 0.0:
            raise MatrixError("the matrix isn't positive definite: there is a diagonal entry that isn't positive")

    def reset(self) -> None:
        """Let go of the vector."""
        if self._diagonal is not None:
            self._diagonal.destroy()
        self._diagonal, self._symmetric = None, (0, False)
