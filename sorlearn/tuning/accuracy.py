"""Does an ω stop the solver at a worse answer than the safe ω would?

KSP's default norms involve the preconditioner, and the preconditioner depends on ω: some ω "converge" early to a
worse answer.  This room decides which solves have their true residual measured (at a price of under 1 % of the
work), and what the measurement means.
"""

from math import exp, log, log10
from typing import Any

import numpy as np

#: Bins of u = log(2/ω − 1), the axis on which cost is smooth; width 0.1.
U_MAX, U_MIN, WIDTH = 1.5, -5.5, 0.1
BINS = round((U_MAX - U_MIN) / WIDTH) + 1
#: Work of one measurement (a product with A and two norms) in iterations of the solver.
CHECK_WORK = 0.5
#: Share of all work that may go into measurements after the first few in every bin.
SHARE, FEW = 0.008, 5
#: Measurements of the safe ω before the learner has its way, and the share of all work that later ones may cost.
SAMPLES, REFERENCE_SHARE = 3, 0.004
#: log10 of how much larger than the reference a true residual may be before the safe ω looks into it.
SUSPECT = 0.15
#: Digits asked for beyond the reference: the safe ω may leave less than has been seen of it, and no solve may end
#: above twice of that.
RESERVE = 0.1
#: Least digits beyond the user's tolerance that the safe ω goes on to, because it would have stepped over it, too;
#: where an iteration gains more, that gain less what the factor of 2 forgives.
OVERSHOOT, FORGIVEN = 0.3, 0.35
#: How fast extremes are forgotten: the lowest residuals of the safe ω, the most digits that another ω lost.
FORGET = 0.03
#: Digits lost beyond which tightening the tolerance isn't tried any more: ω is dropped.
HOPELESS = 2.0


def bin_of(omega: float) -> int:
    """Index of ω's bin, in [0, BINS)."""
    u = log(2.0 / omega - 1.0)
    return min(max(round((U_MAX - u) / WIDTH), 0), BINS - 1)


def omega_of(index: int) -> float:
    """The ω in the middle of a bin."""
    return 2.0 / (1.0 + exp(U_MAX - WIDTH * index))


def _level(relative: float) -> float:
    return log10(max(relative, 1e-300))


class Accuracy:
    """True accuracy by ω, in constant memory.

    An ω whose answers lack digits against the safe ω's is solved with a tolerance that is tighter by these digits;
    one that lacks too many is dropped.

    Parameters
    ----------
    safe : float
        The safe ω, which loses no digits by definition.

    Attributes
    ----------
    lost : (BINS,) array
        Decimal digits that an answer lacks against the safe ω's if the tolerance is the user's, about the most.
    checks : (BINS,) array
        Number of measurements.
    banned : (BINS,) array
        1 where an ω is left alone, because it failed or answered much worse.
    reference : float
        log10 of the lowest ‖b − Ax‖/‖b‖ that the safe ω leaves; 0 before the first measurement.
    gain : float
        Digits that an iteration gained in the last solve that was measured.
    """

    _REMEMBERED = ("lost", "checks", "banned", "reference", "gain", "credit", "unseen", "safe_work")

    def __init__(self, safe: float) -> None:
        self._safe = bin_of(safe)
        self.lost = np.zeros(BINS)
        self.checks = np.zeros(BINS)
        self.banned = np.zeros(BINS)
        self.reference = self.gain = self.credit = 0.0
        self.unseen = self.safe_work = 0.0

    def due(self, omega: float) -> bool:
        """Whether the coming solve at this ω should be measured."""
        return self.checks[bin_of(omega)] < FEW or self.credit >= CHECK_WORK

    def reference_due(self, solves: int) -> bool:
        """Whether the coming solve should be the safe ω's, to be measured: early, and then for a share of the work."""
        known = self.checks[self._safe]
        return bool(solves and known < SAMPLES or self.unseen > self.safe_work > 0.0)

    def earn(self, omega: float, iterations: int) -> None:
        """A solve went by: a share of its work may be spent on measuring; savings are kept for ten checks at most."""
        self.credit = min(self.credit + SHARE * (iterations + 1), 10 * CHECK_WORK)
        self.unseen += REFERENCE_SHARE * (iterations + 1)
        if bin_of(omega) == self._safe:
            self.safe_work = iterations + 1.0

    def digits_lost(self, omega: float) -> float:
        """Digits by which to tighten the tolerance at this ω, at least 0: the most of it and its neighbours.

        Interpolated where none of them was measured.
        """
        i = bin_of(omega)
        if i == self._safe:
            return 0.0
        near = slice(max(i - 1, 0), i + 2)
        lost = float(self.lost[near].max(initial=-np.inf, where=self.checks[near] > 0))
        if lost == -np.inf:
            known = np.flatnonzero(self.checks)
            lost = float(np.interp(i, known, self.lost[known])) if len(known) else 0.0
        return max(lost + RESERVE, 0.0)

    def overshoot(self) -> float:
        """Digits beyond the tolerance that the safe ω would step, if it went on from far away."""
        return max(self.gain - FORGIVEN, OVERSHOOT)

    def shortfall(self, omega: float, relative: float, gain: float) -> float:
        """Take note of a measured ‖b − Ax‖/‖b‖.

        Returns the digits beyond the tolerance that the safe ω should go on to, because the answer may be worse than
        its own would be; 0 if it isn't.  `gain` is what an iteration of this solve gained, in digits.
        """
        self.credit = max(self.credit - CHECK_WORK, 0.0)
        self.gain = gain
        level = _level(relative)
        if bin_of(omega) == self._safe:
            self.checks[self._safe] += 1
            self.unseen = 0.0
            self._refer(level, lower=True)
            return 0.0
        excess = level - self.reference if self.reference else gain
        if not self.reference or excess > SUSPECT:
            return max(min(excess + OVERSHOOT, gain), OVERSHOOT)
        self._note(omega, excess)
        return 0.0

    def settle(self, omega: float, before: float, after: float, digits: float = OVERSHOOT) -> None:
        """A suspicion was looked into: the safe ω went on and left ‖b − Ax‖/‖b‖ at `after`.

        It was asked for `digits` beyond the tolerance, of which it would have gone `OVERSHOOT` by itself.  What it left
        above the reference the instance is to blame for, not ω.
        """
        level = _level(after) + digits - OVERSHOOT
        self._refer(level, lower=False)
        self._note(omega, _level(before) - max(level, self.reference))
        if self.lost[bin_of(omega)] > HOPELESS:
            self.ban(omega)

    def _refer(self, level: float, lower: bool) -> None:
        """Follow the lowest levels that the safe ω leaves: down at once, up slowly.

        But a residual steps over the tolerance by less than one iteration's gain; a level that is higher by more is
        another instance's.
        """
        if not self.reference or (lower and level < self.reference):
            self.reference = level
        elif level > self.reference:
            self.reference = max(self.reference + FORGET * (level - self.reference), level - self.gain)

    def _note(self, omega: float, excess: float) -> None:
        i = bin_of(omega)
        lost = excess + self.digits_lost(omega)
        self.lost[i] += (1.0 if lost > self.lost[i] or not self.checks[i] else FORGET) * (lost - self.lost[i])
        self.checks[i] += 1

    def ban(self, omega: float) -> None:
        """Leave this ω and its neighbours alone from now on; the safe ω is never left alone."""
        i = bin_of(omega)
        self.banned[max(i - 1, 0) : i + 2] = 1.0
        self.banned[self._safe] = 0.0

    def allows(self, omega: float) -> bool:
        """Whether this ω has neither failed nor answered much worse."""
        return not self.banned[bin_of(omega)]

    def state(self) -> dict[str, Any]:
        """Plain arrays and numbers."""
        return {name: getattr(self, name) for name in self._REMEMBERED}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned; raises KeyError, TypeError or ValueError for anything else."""
        for name in self._REMEMBERED:
            mine = getattr(self, name)
            if isinstance(mine, np.ndarray):
                mine[:] = np.asarray(state[name], float)
            else:
                setattr(self, name, float(state[name]))
            if not np.all(np.isfinite(getattr(self, name))):
                raise ValueError(f"{name} isn't finite")
