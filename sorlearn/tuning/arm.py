"""What is known of one arm: beforehand by its type, and from its solves.

Its iterations are followed by a regression over the context, its seconds by clocks of which low readings are believed.
"""

from __future__ import annotations

from math import exp, hypot, log, log10
from typing import NamedTuple

import numpy as np

from ..learners import Context
from ..learners.state import Remembers
from .clocks import Clocks, Paces
from .play import Played
from .regression import Regression

#: Standard deviation of the log of iterations around what the context says of them; of one that was cut off.
NOISE, CENSORED = 0.1, 0.3
#: Likewise of an average over contexts, for each decade between them: iterations grow with its square root, or so.
STEEP = 0.6
#: Standard deviation of the log of what so few readings of a clock say of later ones; seconds of a long solve.
FEW, COLD, LONG = 3, 1.0, 5e-3
#: Solves of others after which an arm's set-up is taken to be of no use to it.
RECENT = 8
#: What is forgotten of an arm whenever it is played.
PLAYED = 0.002
#: An answer that lacks so many digits fails; those by which a failed arm's tolerance is tightened on top.
SPARE = 0.1
#: Digits that one good answer takes off the tightening; its most.
RELAX, MOST_TIGHTENED = 0.01, 8.0


class Kind(NamedTuple):
    """What is known beforehand of a type of preconditioner, in iterations of the safe arm.

    Attributes
    ----------
    iterations : float
        Those of a solve; negative for a multiple of the safe arm's.
    each : float
        What one costs.
    set_up : float
        What the first set-up costs.
    """

    iterations: float
    each: float
    set_up: float


#: Rough figures from heat and convection problems of 10⁴ to 10⁵ unknowns; a factorisation's set-up goes by its size.
KINDS = {
    "sor": Kind(-1.0, 1.0, 0.0),
    "eisenstat": Kind(-1.0, 0.7, 0.0),
    "jacobi": Kind(-2.0, 0.5, 0.0),
    "icc": Kind(-0.5, 1.2, 10.0),
    "ilu": Kind(-0.5, 1.2, 10.0),
    "bjacobi": Kind(-0.5, 1.2, 10.0),
    "asm": Kind(-0.5, 1.5, 20.0),
    "mg": Kind(12.0, 4.0, 60.0),
    "hypre": Kind(8.0, 8.0, 100.0),
    "gamg": Kind(15.0, 6.0, 400.0),
    "cholesky": Kind(2.0, 6.0, 100.0),
    "lu": Kind(2.0, 8.0, 150.0),
}
UNKNOWN = Kind(-0.5, 3.0, 100.0)
#: Types that factorise completely, whose first set-up is asked for by the size of the matrix.
DIRECT = ("cholesky", "lu", "redundant")
#: Standard deviation of the log of what such a figure says.
PRIOR = 0.7

_CENTRES, _WIDTH = np.linspace(-5.0, 0.0, 8), 0.7
#: Of the constant, log10 of the largest and the mean dominance, skew, digits, and of bumps along the dominance.
_DEVIATIONS = np.array([PRIOR, 0.4, 0.2, 0.3, 0.3, *[0.35] * len(_CENTRES)])


def basis(context: Context) -> np.ndarray:
    """The context as the regressions see it, shape (13,); only the constant where nothing is known."""
    phi = np.zeros(len(_DEVIATIONS))
    phi[0], matrix = 1.0, context.matrix
    if matrix is None:
        return phi
    least, mean = (log10(max(1.0 - rho, 1e-5)) for rho in (matrix.rho, matrix.rho_mean))
    phi[1:5] = 0.5 * least, 0.5 * mean, min(max(matrix.skew, -3.0), 3.0), matrix.digits / 8.0
    phi[5:] = np.exp(-0.5 * ((least - _CENTRES) / _WIDTH) ** 2)
    return phi


class Arm(Remembers):
    """What is known of one arm.

    Parameters
    ----------
    kind : str
        Its type of preconditioner.
    like : Arm, optional
        One that takes as many iterations, so that what is known of them is known of both.

    Attributes
    ----------
    tried : int
        Solves that say something of its iterations.
    tighten : float
        Digits by which its tolerance is tightened.
    ready : bool
        Whether it has a set-up for the matrix at hand.
    wait : int
        Decisions for which it waits because it failed.
    absent : bool
        Whether it is left out for good.
    renews : bool
        Whether it is set up for every matrix.
    until : int
        Solves of all arms up to which its set-up may still be of use, as it has solved lately.
    """

    _remembered = ("iterations", "pace", "set_up", "offset", "tried", "tighten", "solves", "set_ups", "backoff")

    def __init__(self, kind: str, like: Arm | None = None) -> None:
        self.kind = KINDS.get(kind, UNKNOWN)
        self.direct = kind in DIRECT
        self._known = like or self
        self.iterations: Regression = like.iterations if like else Regression(_DEVIATIONS)
        self.pace, self.set_up = Paces(), Clocks()
        self.offset = self.tighten = 0.0
        self.tried, self.backoff = 0, 4
        self.solves = self.set_ups = 0.0  # those after another of its own; the older, the less they count
        self.wait = 0
        self.ready = self.absent = self.renews = False
        self.until = 0

    def predict(self, phi: np.ndarray) -> tuple[float, float]:
        """Mean and standard deviation of the log of iterations + 1."""
        mean, deviation = self.iterations.predict(phi)
        return mean + self._known.offset, deviation

    def note(self, phi: np.ndarray, played: Played, expected: float, apart: float = 0.0) -> None:
        """Learn from a solve, whose log of iterations + 1 was expected to be so much.

        Parameters
        ----------
        phi : ndarray, shape (13,)
            Context of the solve or, where it stands for several, of the middle between their first and their last.
        apart : float
            How far these two are apart, in decades of the dominance.
        """
        if not self._known.tried:
            self._known.offset = expected
        self.iterations.forget(PLAYED)
        seen, noise = log(played.iterations + 1.0) - self._known.offset, hypot(NOISE, STEEP * apart)
        if played.cut:
            seen, noise = max(seen + 0.5, self.iterations.predict(phi)[0]), CENSORED
        self.iterations.update(phi, seen, noise)
        self.tried += 1

    def clocked(self, log_iterations: float) -> bool:
        """Whether its clock has been read often enough, for solves of so many iterations: seldom if they take long."""
        long = exp(min(log_iterations, 15.0)) * self.pace.at(log_iterations) > LONG
        return self.pace.count > (1 if long else FEW)

    def count_set_ups(self, played: Played, again: bool, solves: int = 1) -> None:
        """Learn what set-ups take and, where it solves `again` what comes next, how many it needs."""
        if played.set_ups:
            self.set_up.note(played.set_up_seconds / played.set_ups)
        if again:
            kept = 0.98**solves
            newer = (1.0 - kept) / 0.02  # what so many solves count
            self.solves = kept * self.solves + newer
            self.set_ups = kept * self.set_ups + newer * played.set_ups / max(solves, 1)

    def judged(self, lacks: float, solves: int, tightened: float) -> None:
        """Tighten where an answer that was `tightened` by so many digits lacked some, as far as that can help.

        Where answers of several solves lack none, relax slowly.
        """
        wanted = max(self.tighten, tightened + lacks + SPARE) if lacks > 0.0 else self.tighten - RELAX * solves
        self.tighten = min(max(wanted, 0.0), MOST_TIGHTENED)
