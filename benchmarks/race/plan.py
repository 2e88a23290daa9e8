"""What is run: problems, their lengths, ranks and rounds.  Nothing here knows PETSc, so that mpiexec can be started."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

#: The tolerance of all solves, of the true residual over the right-hand side.
RTOL = 1e-8
#: Native SOR at ω's that nobody knows beforehand, and what is meant to come near.
BEST, OPTIMAL, AUTO = "SOR, best fixed ω", "SOR, instance-optimal ω", "sorlearn auto"


class Size(NamedTuple):
    """How much of a problem is run.

    Attributes
    ----------
    solves : int
        Systems of a run.
    stride : int
        Every so many of the sequence's are taken.
    every : int
        Every so many of the run's are solved by those that have no memory, and searched for their best ω.
    ranks : tuple of int
    seconds : float
        What a round takes on one rank, roughly; the search for the best ω takes about as long.
    """

    solves: int
    stride: int = 1
    every: int = 1
    ranks: tuple[int, ...] = (1,)
    seconds: float = 10.0


FULL = {
    "heat2d 25": Size(1000, every=2, seconds=7),
    "heat2d 50": Size(1000, every=5, seconds=8),
    "heat2d 100": Size(1000, every=10, ranks=(1, 2, 4), seconds=25),
    "heat2d 200": Size(1000, every=20, ranks=(1, 2, 4), seconds=95),
    "heat2d 400": Size(1000, every=50, seconds=1200),
    "heat3d 16": Size(100, seconds=5),
    "heat3d 32": Size(100, every=4, ranks=(1, 2, 4), seconds=40),
    "heat3d 64": Size(50, every=5, seconds=300),
    "blocks3d 31": Size(200, every=4, seconds=60),
    "convection 100": Size(300, every=5, ranks=(1, 2), seconds=30),
    "cavity 5": Size(3, seconds=30),
}
QUICK = {
    "heat2d 25": Size(1000, every=2, seconds=4),
    "heat2d 50": Size(200, stride=5, every=5, ranks=(1, 2), seconds=4),
    "heat2d 100": Size(200, stride=5, every=10, seconds=7),
    "heat3d 16": Size(50, every=2, seconds=3),
    "blocks3d 16": Size(50, every=2, seconds=3),
    "convection 50": Size(60, stride=5, every=3, seconds=3),
    "cavity 3": Size(3, seconds=4),
}
#: Small enough for a test; found by name only.
TINY = {"heat2d 16": Size(40, stride=25, every=2, seconds=0.1)}


def dense(name: str) -> bool:
    """Whether a contender solves every system: those that learn, and those that they are compared with."""
    return name.startswith("sorlearn") or name in (BEST, OPTIMAL)


def kept(folder: Path, name: str, ranks: int, number: int) -> Path:
    """Where the result of a round is."""
    return folder / f"{name.replace(' ', '-')}-np{ranks}-{number}.json"
