"""What is known of a solve before it starts.

The features of the matrix come from its block on this process, the one that a local sweep sees.  The first look at a
pattern reads it whole and picks 16 rows; later looks at new values read only these, in place.
"""

from __future__ import annotations

import copy
import ctypes
from collections.abc import Sequence
from math import isfinite, log, log10, nan
from typing import Any

import numpy as np
from petsc4py import PETSc

from ..learners import NO_CONTEXT, Context, MatrixFeatures
from .clib import PetscInt, library

#: Rows looked at: those with the largest ρ at the last full look, and as many spread evenly.
WORST, SPREAD = 8, 8
_petsc = library()
#: A symmetric matrix is asked every so many looks whether it still is.
SKEW_EVERY = 8
#: What a process says that has no rows, and one whose part of the matrix can't be read.
NO_ROWS, UNREADABLE = (0.0,) * 6, (0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
_READABLE = ("seqaij", "mpiaij")


class _Sample:
    """Entries of the chosen rows, as places in the array of values."""

    def __init__(self, block: Any, values: np.ndarray):
        ai, aj = block.getRowIJ()
        self.rows = len(ai) - 1
        rows = np.repeat(np.arange(self.rows), np.diff(ai))
        self._pivots = np.flatnonzero(rows == aj).astype(ai.dtype)
        self.chosen = self._choose(ai, values)
        self.probe = (0, 0)
        lengths = np.diff(ai)[self.chosen]
        self.starts = np.cumsum(lengths) - lengths
        self.entries = np.arange(lengths.sum()) + np.repeat(ai[self.chosen] - self.starts, lengths)
        self.columns = aj[self.entries]
        self.diagonal = np.flatnonzero(np.repeat(self.chosen, lengths) == self.columns)
        self.skewed, self.looks = False, 0
        width = int(aj.max(initial=0)) + 1
        self.lower, self.upper = _triangles(rows * width + aj, width, self.entries)

    def _choose(self, ai: np.ndarray, values: np.ndarray) -> np.ndarray:
        """The rows to look at, ascending; of those that have a diagonal."""
        diagonal = values[self._pivots]
        usable = np.flatnonzero(diagonal)
        if not len(usable):
            return usable
        filled, sums = np.diff(ai) > 0, np.zeros(self.rows)
        sums[filled] = np.add.reduceat(values, ai[:-1][filled])
        rows = usable if len(diagonal) == self.rows else np.searchsorted(ai, self._pivots[usable], side="right") - 1
        share = sums[rows] / diagonal[usable]
        share[np.isnan(share)] = np.inf
        spread = rows[np.linspace(0, len(rows) - 1, min(SPREAD, len(rows))).astype(int)]
        few = min(WORST, len(rows)) - 1
        worst = np.flatnonzero(share <= np.partition(share, few)[few])  # more where some are alike: the last of those
        return np.union1d(rows[worst[np.argsort(-share[worst], kind="stable")[-WORST:]]], spread)

    def again(self, block: Any, values: np.ndarray) -> bool:
        """A full look at new values of this pattern; returns whether that chooses the same rows."""
        self.skewed, self.looks = False, 0
        return np.array_equal(self._choose(block.getRowIJ()[0], values), self.chosen)

    def fits(self, block: Any) -> bool:
        """Whether the chosen entries are those of this block, too, which has as many nonzeros."""
        ai, aj = block.getRowIJ()
        return len(ai) == self.rows + 1 and np.array_equal(aj[self.entries], self.columns)

    def look(self, values: np.ndarray) -> tuple[float, float, float]:
        """(ρ max, ρ mean, skew) of the chosen rows; ρ = 1 − row sum/diagonal."""
        v = values[self.entries]
        sums, diagonal = np.add.reduceat(v, self.starts).tolist(), v[self.diagonal].tolist()
        if not all(diagonal):
            return nan, nan, nan
        shares = [total / pivot for total, pivot in zip(sums, diagonal)]
        skew = self._skew(values) if self.skewed or self.looks % SKEW_EVERY == 0 else 0.0
        self.skewed = abs(skew) > 1e-6
        self.looks += 1
        least = min(shares)
        k = shares.index(least)
        self.probe = (int(self.chosen[k]), int(self.diagonal[k] - self.starts[k]))
        return max(1.0 - least, 0.0), 1.0 - sum(shares) / len(shares), skew

    def _skew(self, values: np.ndarray) -> float:
        lower, upper = (float(np.abs(values[places]).sum()) for places in (self.lower, self.upper))
        return 0.5 * log(lower / upper) if lower > 0.0 and upper > 0.0 else 0.0


#: The last full look, and at which matrix in which state: solvers often look at the same one in turn.
_latest: dict[tuple[int, int], _Sample] = {}


def _sampled(seen: tuple[int, int], block: Any, values: np.ndarray) -> _Sample:
    if seen not in _latest:
        sample = _Sample(block, values)
        _latest.clear()
        _latest[seen] = sample
    return copy.copy(_latest[seen])


def _triangles(keys: np.ndarray, width: int, entries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places of these entries that are below and above the diagonal, each with that of its transpose.

    Without the transposes the sums of a symmetric matrix would differ.

    Parameters
    ----------
    keys : (nonzeros,) array
        row·width + column of all entries, which rises.
    """
    rows, columns = np.divmod(keys[entries], width)
    transposes = columns * width + rows
    mirrored = np.minimum(np.searchsorted(keys, transposes), len(keys) - 1)
    found, below, above = keys[mirrored] == transposes, columns < rows, columns > rows
    lower = np.concatenate([entries[below], mirrored[above & found]])
    return lower, np.concatenate([entries[above], mirrored[below & found]])


def _values(block: Any) -> np.ndarray:
    """The real parts of the stored values of a sequential AIJ matrix, in place: read them before it changes."""
    count = int(block.getInfo(PETSc.Mat.InfoType.LOCAL)["nz_used"])
    address, matrix = ctypes.c_void_p(), ctypes.c_void_p(block.handle)
    bytes_ = ctypes.c_char * (count * np.dtype(PETSc.ScalarType).itemsize)
    _petsc.MatSeqAIJGetArrayRead(matrix, ctypes.byref(address))
    _petsc.MatSeqAIJRestoreArrayRead(matrix, ctypes.byref(ctypes.c_void_p(address.value)))
    return np.frombuffer(bytes_.from_address(address.value or 0), dtype=PETSc.ScalarType).real


def _has_inodes(block: Any) -> bool:
    """Whether PETSc sweeps this matrix by inodes: neighbouring rows with the same columns."""
    nodes = PetscInt(0)
    _petsc.MatInodeGetInodeSizes(ctypes.c_void_p(block.handle), ctypes.byref(nodes), None, None)
    return nodes.value > 0


def identity(A: Any) -> int:
    """PETSc's id of an object: unlike its address, no later one has it again."""
    identity = ctypes.c_int64()
    _petsc.PetscObjectGetId(ctypes.c_void_p(A.handle), ctypes.byref(identity))
    return identity.value


class Features:
    """The matrix as a few numbers, kept until its values change.

    Parameters
    ----------
    resumed : MatrixFeatures, optional
        What a run that goes on now was to see next, if its matrix is still the same.
    """

    def __init__(self, resumed: MatrixFeatures | None = None) -> None:
        self._resumed = resumed
        self.inodes = False
        self.nonzeros = 0
        self._sample: _Sample | None = None
        self._seen: tuple[int, int] = (0, -1)
        self._changes = self._next_full = 0
        self._here: tuple[float, ...] = UNREADABLE
        self._glimpsed = False
        self._novelty = 0

    def look(self, A: Any) -> tuple[float, ...]:
        """What this process sees: (ρ max, ρ mean, skew, −skew, inodes, unreadable), of which the largest counts."""
        seen = (identity(A), A.stateGet())
        if seen == self._seen and not self._glimpsed:
            self._novelty += 1
            return self._here
        replaced, self._seen, self._novelty, self._glimpsed = seen[0] != self._seen[0], seen, 0, False
        self._here = UNREADABLE
        if A.getType() in _READABLE:
            self._here = self._local(A, replaced) if A.getLocalSize()[0] else NO_ROWS
        return self._here

    def glimpse(self, A: Any) -> tuple[float, ...]:
        """What counts where features don't, as `look` returns it: how many nonzeros there are, and whether inodes."""
        seen = (identity(A), A.stateGet())
        if seen == self._seen and self._glimpsed:
            return self._here
        self._seen, self._sample, self._glimpsed = seen, None, True
        if A.getType() in _READABLE:
            block = A.getDiagonalBlock() if A.getType() == "mpiaij" else A
            nonzeros = int(block.getInfo(PETSc.Mat.InfoType.LOCAL)["nz_used"])
            if nonzeros != self.nonzeros:
                self.nonzeros, self.inodes = nonzeros, _has_inodes(block)
            if block is not A:
                block.destroy()
        self._here = (*UNREADABLE[:4], float(self.inodes), 1.0)
        return self._here

    def context(self, top: Sequence[float], rtol: float) -> Context:
        """The context of the coming solve from what all processes see, empty where one can't read its part."""
        rho, mean, high, low, inodes, unreadable = top
        self.inodes = inodes > 0.0
        if unreadable:
            return NO_CONTEXT
        matrix = MatrixFeatures(rho, mean, high if high > low else -low, -log10(rtol) if rtol > 0.0 else 0.0)
        if self._resumed and self._resumed._replace(novelty=0.0) == matrix:
            self._novelty = int(self._resumed.novelty)
        self._resumed = None
        return Context(matrix._replace(novelty=float(min(self._novelty, 8))))

    def glance(self, A: Any) -> float | None:
        """ρ of the row where it was largest at the last look; None where that takes a look.  Not collective."""
        sample = self._sample
        if (identity(A), A.stateGet()) == self._seen:
            return self._here[0]
        if sample is None or self._here is UNREADABLE or A.getType() != "seqaij" or A.getSize()[0] != sample.rows:
            return None
        row, place = sample.probe
        columns, values = A.getRow(row)
        if len(columns) <= place or columns[place] != row:
            return None
        row_values = values.real.tolist()
        return 1.0 - sum(row_values) / row_values[place] if row_values[place] else None

    def watched(self) -> tuple[tuple[int, int], float, tuple[int, int, int]]:
        """What `glance` goes by: id and state of the matrix seen last, ρ; row, place of its diagonal in it, rows.

        The row is −1 where it takes a look, and −2 where this process has none.
        """
        sample, probe = self._sample, (-1, 0, 0)
        if self._here is NO_ROWS:
            probe = (-2, 0, 0)
        elif sample is not None and self._here is not UNREADABLE:
            probe = (*sample.probe, sample.rows)
        return self._seen, self._here[0], probe

    def _local(self, A: Any, replaced: bool) -> tuple[float, ...]:
        """Features of this process's block; a full look when it is new, and rarer and rarer after that."""
        block = A.getDiagonalBlock() if A.getType() == "mpiaij" else A
        try:
            values = _values(block)
            known = self._sample is not None and len(values) == self.nonzeros
            known = known and not (replaced and not self._sample.fits(block))
            if not known or self._changes >= self._next_full:
                self.nonzeros = len(values)
                with np.errstate(all="ignore"):
                    if not (known and self._sample.again(block, values)):
                        self._sample = _sampled(self._seen, block, values)
                self.inodes = _has_inodes(block)
                self._next_full = 2 * self._changes + 8
            self._changes += 1
            if not len(self._sample.chosen):
                return UNREADABLE
            rho, mean, skew = self._sample.look(values)
            return (rho, mean, skew, -skew, float(self.inodes), 0.0) if isfinite(rho + mean + skew) else UNREADABLE
        finally:
            if block is not A:
                block.destroy()
