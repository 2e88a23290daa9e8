"""Which arm solves, as rank 0 tells the others, and what came of it."""

from __future__ import annotations

from typing import NamedTuple


class Play(NamedTuple):
    """What rank 0 tells the others before a solve; all are numbers.

    Attributes
    ----------
    arm : float
        Number of the arm that solves.
    heir : float
        Number of the arm that goes on where it is cut off.
    limit : float
        Iterations after which it is; 0 for no limit.
    tighten, heir_tighten : float
        Decimal digits by which the tolerances of the two are tightened, so that the answer passes the user's test.
    repeats : float
        Further solves that repeat this decision.
    trial : float
        Whether another arm is expected to be cheaper.
    stopped : float
        Whether choosing has stopped for good.
    """

    arm: float
    heir: float = 0.0
    limit: float = 0.0
    tighten: float = 0.0
    heir_tighten: float = 0.0
    repeats: float = 0.0
    trial: float = 0.0
    stopped: float = 0.0


class Played(NamedTuple):
    """What came of it.

    Attributes
    ----------
    iterations : float
        Those of the arm itself.
    seconds : float
        What it took on this rank without set-ups.
    set_ups : int
        Set-ups it has made.
    set_up_seconds : float
        What these took.
    rest : float
        Seconds that other arms took to go on or repair.
    cut, failed : bool
        Whether it was cut off; whether it failed.
    lacks : float or None
        Digits by which its answer fails the user's test, negative where it passes; None where that wasn't measured.
    renews : bool
        Whether every matrix is set up for, as nobody tests its answers.
    """

    iterations: float
    seconds: float
    set_ups: int = 0
    set_up_seconds: float = 0.0
    rest: float = 0.0
    cut: bool = False
    failed: bool = False
    lacks: float | None = None
    renews: bool = False

    @property
    def total(self) -> float:
        """Seconds of the whole solve."""
        return self.seconds + self.set_up_seconds + self.rest
