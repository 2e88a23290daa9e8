"""How unlike a matrix is to an earlier one, by what is cheap to see of it."""

from __future__ import annotations

from math import inf, log
from typing import Any

#: Matrix types whose diagonal is at hand.
_READABLE = ("seqaij", "mpiaij", "seqbaij", "mpibaij", "seqsbaij", "mpisbaij")
#: Sums that have cancelled to less than this share say nothing.
_CANCELLED = 1e-8


def _readable(P: Any) -> bool:
    rows, columns = P.getSize()
    return rows == columns and P.getType() in _READABLE


class Likeness:
    """Compares matrices with the one that a preconditioner was set up for; keeps three vectors.

    If both matrices are symmetric positive definite, the condition number of A₀⁻¹A is at least the ratio of the largest
    and the least of vᵀAv/vᵀA₀v over any vectors v.  Here v are the unit vectors and the vector of ones, so that the
    diagonals and the sums of all entries are compared.  A matrix that has only been scaled is as good as the same.
    """

    def __init__(self) -> None:
        self._diagonal: Any = None
        self._now: Any = None
        self._work: Any = None
        self._sum = 0.0

    def reset(self) -> None:
        """Let go of the vectors."""
        for vector in (self._diagonal, self._now, self._work):
            if vector is not None:
                vector.destroy()
        self._diagonal = self._now = self._work = None

    def keep(self, P: Any) -> None:
        """This is the matrix that later ones are compared with.  Collective."""
        if not _readable(P):
            self.reset()
            return
        if self._diagonal is not None and self._diagonal.getSizes() != P.getSizes()[0]:
            self.reset()
        if self._diagonal is None:
            self._work, self._diagonal = P.createVecs()
            self._now = self._diagonal.duplicate()
        self._sum = self._look(P, self._diagonal)

    def distance(self, P: Any, scaled: bool = False) -> float | None:
        """log of a lower bound to the condition number; infinite where a sign has changed.  Collective.

        Parameters
        ----------
        scaled : bool
            Whether a multiple is as unlike as log of its factor says, as it is in a part of a preconditioner.

        Returns
        -------
        float or None
            0 for a multiple of the matrix, unless `scaled`; None where nothing can be compared.
        """
        if self._diagonal is None or not _readable(P):
            return None
        total = self._look(P, self._now)
        self._now.pointwiseDivide(self._now, self._diagonal)
        low, high = float(self._now.min()[1]), float(self._now.max()[1])
        if total and self._sum:
            low, high = min(low, total / self._sum), max(high, total / self._sum)
        if not (low > 0.0 and high < inf):
            return inf
        return max(log(high / low), abs(log(low)), abs(log(high))) if scaled else log(high / low)

    def _look(self, P: Any, diagonal: Any) -> float:
        """Put the diagonal into the vector; returns the sum of all entries, 0 where they cancel."""
        diagonal.set(1.0)
        P.mult(diagonal, self._work)
        total = float(self._work.sum().real)
        P.getDiagonal(diagonal)
        return total if abs(total) > _CANCELLED * abs(diagonal.sum()) else 0.0
