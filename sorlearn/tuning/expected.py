"""What the coming solve is expected to take with each arm: seconds, from iterations, clocks and set-ups."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, inf, log
from typing import NamedTuple

import numpy as np

from .arm import COLD, PRIOR, Arm

#: Set-ups that an arm which may keep them makes for each new matrix before that is known, though none that takes longer
#: than to solve does, and the weight of this, in solves; and what the first set-up, in which memory is allocated, says
#: of later ones.
SET_UPS, WEIGHT, FIRST = 0.3, 4.0, 0.3


class Situation(NamedTuple):
    """What is known before a solve.

    Attributes
    ----------
    phi : ndarray, shape (13,)
        The context, as `arm.basis` gives it.
    changing : float
        Share of decisions before which the matrix had changed.
    factorising : float
        Seconds that a complete factorisation would take; 0 where nobody has asked.
    solves : int
        Of all arms, so far.
    """

    phi: np.ndarray
    changing: float
    factorising: float
    solves: int


class Expected(NamedTuple):
    """What is expected of an arm in the coming solve; one that is absent or waits costs infinity.

    Attributes
    ----------
    log_iterations, deviation : float
        Mean and standard deviation of the log of iterations + 1.
    each, solving : float
        Seconds an iteration, and of all.
    share, least : float
        Seconds of set-ups in an average solve; what of it has been seen.
    due : float
        Seconds of the set-up that the next solve takes.
    cost : float
        Seconds of an average solve; without a share of set-ups where the matrix at hand is set up already.
    """

    log_iterations: float
    deviation: float
    each: float
    solving: float
    share: float
    least: float
    due: float
    cost: float


def expect(arms: Sequence[Arm], now: Situation) -> list[Expected]:
    """Of every arm; the first, the safe one, is what untried ones are measured by."""
    its, deviation = arms[0].predict(now.phi)
    unit = arms[0].pace.at(its)
    return [_of(arm, now, its, deviation, unit) for arm in arms]


def _of(arm: Arm, now: Situation, safe: float, safe_deviation: float, unit: float) -> Expected:
    """Where the safe arm takes so many iterations, and so many seconds for one."""
    its, deviation = _iterations(arm, now.phi, safe, safe_deviation)
    kind = arm.kind
    each = arm.pace.at(its) or kind.each * unit
    first = max(now.factorising, kind.set_up * unit) if arm.direct else kind.set_up * unit
    again = arm.set_up.believed if arm.set_up.count > 1 else FIRST * (arm.set_up.believed or first)
    solving = exp(its) * each
    supposed = now.changing * again if arm.renews else min(SET_UPS * now.changing * again, solving)
    share, least = ((arm.set_ups * again + WEIGHT * more) / (arm.solves + WEIGHT) for more in (supposed, 0.0))
    due = 0.0
    if not arm.ready:
        due = share if now.solves < arm.until else again if arm.set_up.count else first
    cost = solving + share * (not arm.ready) if not (arm.absent or arm.wait) else inf
    return Expected(its, deviation, each, solving, share, least, due, cost)


def _iterations(arm: Arm, phi: np.ndarray, safe: float, safe_deviation: float) -> tuple[float, float]:
    """Mean and standard deviation of the log of an arm's iterations + 1."""
    if arm.tried:
        its, deviation = arm.predict(phi)
        deviation += COLD * (not arm.clocked(its))
    elif arm.kind.iterations > 0.0:
        its, deviation = log(arm.kind.iterations), PRIOR
    else:
        its, deviation = safe + log(-arm.kind.iterations), safe_deviation + PRIOR
    return min(max(its, 0.0), 15.0), deviation
