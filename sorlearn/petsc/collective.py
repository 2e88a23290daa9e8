"""Rank 0 decides, everybody gets the value."""

from __future__ import annotations

from time import monotonic, sleep
from typing import Any

import numpy as np

#: Seconds for which ranks that have met an error wait for the others.
PATIENCE = 60.0


class Comm:
    """The ranks of one solver; on one rank nothing is sent and mpi4py isn't needed.

    Parameters
    ----------
    comm : petsc4py.PETSc.Comm
        PETSc's own duplicate of the application's communicator: messages can't meet the application's.
    """

    def __init__(self, comm: Any):
        self.size: int = comm.getSize()
        self.root: bool = comm.getRank() == 0
        self._mpi = comm.tompi4py() if self.size > 1 else None
        self.members = self._ranks_in_world()

    def _ranks_in_world(self) -> tuple[int, ...]:
        """Which processes these are: what is learned in one group of them isn't taken into another."""
        if self._mpi is None:
            return ()
        from mpi4py import MPI

        mine, world = self._mpi.Get_group(), MPI.COMM_WORLD.Get_group()
        try:
            return tuple(MPI.Group.Translate_ranks(mine, range(self.size), world))
        finally:
            mine.Free()
            world.Free()

    def share(self, values: np.ndarray) -> None:
        """Overwrite everybody's values with rank 0's.  Collective."""
        if self._mpi is not None:
            self._mpi.Bcast(values, root=0)

    def largest(self, values: np.ndarray) -> np.ndarray:
        """Elementwise maximum over the ranks.  Collective."""
        if self._mpi is None:
            return values
        from mpi4py import MPI

        result = np.empty_like(values)
        self._mpi.Allreduce(values, result, op=MPI.MAX)
        return result

    def all_come(self) -> bool:
        """Whether all ranks come here, too: one that doesn't before long waits for these elsewhere, for ever."""
        if self._mpi is None:
            return True
        request, end = self._mpi.Ibarrier(), monotonic() + PATIENCE
        while not request.Test():
            if monotonic() > end:
                return False
            sleep(0.01)
        return True

    def abort(self) -> None:
        """End all of them, a second later: a job that ends so may lose what it has just printed."""
        assert self._mpi is not None
        sleep(1.0)
        self._mpi.Abort(1)
