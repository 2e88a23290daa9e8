"""How much to tighten the tolerance at which ω, so that every answer passes the test that the user asked for.

KSP's default norms involve the preconditioner, and the preconditioner depends on ω: ‖M_ω⁻¹r‖ ≤ rtol ‖M_ω⁻¹b‖ isn't
what the user wrote, which is the same with the M of the solver that was configured, SOR at the safe ω.  How far the
two are apart is a property of ω and the problem, and hardly of luck: so it is measured now and then, for under 1 %
of the work, and the tolerance at ω is tightened by its running mean; never loosened, so that KSP's own test always
holds, too.
"""

from __future__ import annotations

from math import isfinite, log10, nan
from typing import Any

import numpy as np

from .bins import BINS, bin_of
from .record import Verdict

#: Work of one measurement in iterations of the solver: a product with A and two or three sweeps.
CHECK_WORK = 2.0
#: Share of all work that may go into measurements, beside the first of every ω; credit is kept for so many.
SHARE, KEPT = 0.005, 3.0
#: Bins on one side in which a measurement spares an ω its own, and on both sides.
NEAR, BETWEEN = 1, 4
#: Where so many digits are lost, so many measurements are wanted before they are believed.
SHAKY, SEVERAL = 0.5, 10
#: Weight of the newest measurement in a running mean, at least.
NEWEST = 0.2
#: Digits beyond which a surprise counts no more: then it is rather the instance than ω.
OUTLIER = 0.5
#: log10 of how far an answer may fail the test: beyond it the safe ω goes on, and all but one in a hundred answers
#: are to stay within it, measured or not.
FAILS = 0.176
#: log10 of how far an answer may fail it in any case, where the safe ω finds none itself.
PROMISED = 0.477
#: What is left of the reserve after every measurement.
FADING = 0.94
#: Digits by which a true residual may be worse than the safe ω's beyond what the tests explain before it alone calls
#: for the safe ω.
EXPLAINED = 0.7
#: Digits by which trials overstep their tolerance beyond what the safe ω does: their steps are longer.
LONGER = 0.2
#: Solves at an ω that is known that are measured in any case, to begin with; solves between two measurements at the
#: safe ω, which is seldom played: then each is worth its price.
FIRST, APART = 3, 4.0
#: Digits lost beyond which tightening isn't tried any more: ω is dropped.
HOPELESS = 2.0


def shortfall(verdict: Verdict, true_level: float) -> float | None:
    """Digits beyond the user's tolerance to which the safe ω should continue this answer; None where it is good.

    The true residual counts where it is worse than the safe ω's by more than the tests explain.
    """
    hidden = verdict.true - true_level - verdict.relative
    caution = hidden if hidden > EXPLAINED else 0.0
    return caution if verdict.lacks + caution > FAILS else None


def worse_than_none(verdict: Verdict, rtol: float) -> bool:
    """Whether an answer leaves more than there was to begin with."""
    return verdict.lacks > -log10(max(rtol, 1e-300))


class Means:
    """A running mean in every bin of ω, interpolated where there is none."""

    def __init__(self, counts: np.ndarray) -> None:
        self.values, self._counts = np.zeros(BINS), counts

    def note(self, i: int, value: float) -> None:
        """Take note of a value in bin i, whose count includes it."""
        step = value - self.values[i]
        if self._counts[i] > 1:
            step = max(NEWEST, 1.0 / self._counts[i]) * min(max(step, -OUTLIER), OUTLIER)
        self.values[i] += step

    def at(self, i: int) -> float:
        """The mean in bin i; 0 before the first value."""
        if self._counts[i]:
            return float(self.values[i])
        known = np.flatnonzero(self._counts)
        return float(np.interp(i, known, self.values[known])) if len(known) else 0.0


class Accuracy:
    """What tightening every ω needs, in constant memory.

    Parameters
    ----------
    safe : float or None
        The safe ω, whose own test is the user's; None where the user's is that of no ω.

    Attributes
    ----------
    checks : (BINS,) array
        Number of measurements; there are none of the safe ω, which needs none.
    relative, absolute, true : Means
        Of the `Verdict`s.
    level : float
        Running mean of `Verdict.true` at the safe ω; NaN before the first measurement there.
    reserve, scatter : float
        Digits beyond the mean that the worst answers lately would have needed; by how much means are off.
    alarm : float
        Whether the last answer that was measured failed, so that the next one is.
    """

    _NUMBERS = ("level", "age", "reserve", "scatter", "credit", "measured", "levels", "alarm")

    def __init__(self, safe: float | None) -> None:
        self._safe = -1 if safe is None else bin_of(safe)
        self.checks = np.zeros(BINS)
        self.relative, self.absolute, self.true = (Means(self.checks) for _ in range(3))
        self.level, self.age = nan, APART
        self.reserve = self.scatter = self.credit = self.measured = self.levels = self.alarm = 0.0

    def due(self, omega: float) -> bool:
        """Whether the coming solve at this ω should be measured: its first one, then for a share of the work."""
        i = bin_of(omega)
        if i == self._safe:
            return self.age >= APART and self.affords
        if self.alarm or self.credit >= CHECK_WORK or not self._known(i):
            return True
        few = self.measured < FIRST or (self.checks[i] < SEVERAL and self.relative.at(i) > SHAKY)
        return self.affords and few

    def _known(self, i: int) -> bool:
        """Whether an ω has been measured in bin i, close by, or on both sides not far away."""
        checks = self.checks
        between = checks[max(i - BETWEEN, 0) : i].any() and checks[i : i + BETWEEN + 1].any()
        return bool(between or checks[max(i - NEAR, 0) : i + NEAR + 1].any())

    def earn(self, iterations: int, solves: int = 1) -> None:
        """Work was done, iterations of so many solves, a share of which may be spent on measuring."""
        self.credit = min(self.credit + SHARE * (iterations + solves), KEPT * CHECK_WORK)
        self.age += solves

    def tightening(self, omega: float) -> tuple[float, float]:
        """Decimal digits, at least 0, by which to tighten rtol and atol at this ω."""
        i = bin_of(omega)
        if i == self._safe:
            return 0.0, 0.0
        reserve = self.reserve + self.scatter / max(float(self.checks[i]), 1.0)
        digits, surplus = max(self.relative.at(i) + reserve, 0.0), 0.0
        if isfinite(self.level) and self.checks.any():  # true residuals on average no larger than the safe ω's
            surplus = max(self.true.at(i) - self.level - LONGER - digits, 0.0)
        return digits + surplus, max(self.absolute.at(i) + reserve, 0.0) + surplus

    @property
    def affords(self) -> bool:
        """Whether measurements that weren't planned, and those at the safe ω, may overdraw the credit."""
        return self.credit > -KEPT * CHECK_WORK

    def note(self, omega: float, verdict: Verdict, tightened: float = 0.0, planned: bool = True) -> None:
        """Take note of an answer that was measured after rtol was tightened by so many digits.

        Of one whose measurement wasn't planned just the price, as those aren't a fair sample, unless it failed: then ω
        or the matrices aren't what they were.
        """
        i = bin_of(omega)
        least = min(self.credit, 0.0) if planned and i != self._safe else -(KEPT + 1.0) * CHECK_WORK
        self.credit = max(self.credit - CHECK_WORK, least)
        failed = verdict.lacks > FAILS
        if not (planned or failed):
            return
        self.alarm = float(failed and i != self._safe)
        if i == self._safe:
            self.levels += 1.0
            self.age, step = 0.0, max(NEWEST, 1.0 / self.levels)
            self.level = self.level + step * (verdict.true - self.level) if isfinite(self.level) else verdict.true
            return
        known, relative = self._known(i), self.relative.at(i)
        self.checks[i] += 1.0
        self.relative.note(i, verdict.relative)
        self.absolute.note(i, verdict.absolute)
        self.true.note(i, verdict.true)
        if known:  # else nobody could know how much to tighten
            self.measured += 1.0
            off = min(abs(verdict.relative - relative), OUTLIER)
            self.scatter += max(NEWEST, 1.0 / self.measured) * (off - self.scatter)
            lacked = verdict.lacks + tightened - max(relative, 0.0)  # tightened by the mean alone
            self.reserve = max(FADING * self.reserve, min(lacked, OUTLIER) - FAILS)

    def forget(self, omega: float) -> None:
        """What was measured at this ω counts no more."""
        self.checks[bin_of(omega)] = 0.0

    def hopeless(self, omega: float, verdict: Verdict) -> bool:
        """Whether this ω should be dropped: so many digits are lost at it this time, or would have to be asked for."""
        dropped = self._safe not in (-1, bin_of(omega))
        return dropped and max(verdict.relative, *self.tightening(omega)) > HOPELESS

    def state(self) -> dict[str, Any]:
        """Plain arrays and numbers."""
        means = {name: getattr(self, name).values for name in ("relative", "absolute", "true")}
        numbers = {name: getattr(self, name) for name in self._NUMBERS}
        return {"checks": self.checks, **means, **numbers, "level": self.level if isfinite(self.level) else None}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned; raises KeyError, TypeError or ValueError for anything else."""
        for name in ("checks", "relative", "absolute", "true"):
            mine = self.checks if name == "checks" else getattr(self, name).values
            values = np.array(state[name], float)
            if values.shape != mine.shape or not np.all(np.isfinite(values)):
                raise ValueError(f"{name} has another shape or isn't finite")
            mine[:] = values
        for name in self._NUMBERS:
            unknown = name == "level" and state[name] is None
            value = nan if unknown else float(state[name])
            if not unknown and not isfinite(value):
                raise ValueError(f"{name} isn't finite")
            setattr(self, name, value)
