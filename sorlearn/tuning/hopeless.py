"""Failures that a fresh set-up didn't repair: for how long all matrices are set up for, and when from nothing."""

from __future__ import annotations

#: Most solves that are all set up for.
LONGEST_WAIT = 1024
#: Failures in a row after each of which the coming set-up is made from nothing; later ones at powers of two.
DOUBTS = 4


class Hopeless:
    """Those of one preconditioner.

    Attributes
    ----------
    wait : int
        Coming solves that are all set up for.
    """

    def __init__(self) -> None:
        self.wait, self._backoff = 0, 1
        self._in_a_row, self._broken_down = 0, False  # the last of them

    @property
    def doubted(self) -> bool:
        """Whether what a type keeps of its first set-up may be why the last solve failed."""
        n = self._in_a_row
        return n > 0 and (self._broken_down or n <= DOUBTS or not n & (n - 1))

    def waited(self) -> bool:
        """Whether the coming solve is one of those."""
        waits = self.wait > 0
        self.wait -= waits
        return waits

    def failed(self, broken_down: bool) -> None:
        """One more; `broken_down` if the solve didn't just come to its limit of iterations."""
        self._in_a_row, self._broken_down = self._in_a_row + 1, broken_down
        self.wait, self._backoff = self._backoff, min(2 * self._backoff, LONGEST_WAIT)

    def worked(self) -> None:
        """A solve was all right in the end."""
        self._in_a_row = 0
