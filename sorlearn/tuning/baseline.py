"""What the safe ω would have cost, and when it is due: one budget for all learners.

A conservative bandit plays the safe action whenever the total might otherwise exceed the safe action's by more than a
share (Wu, Shariff, Lattimore and Szepesvári, *Conservative bandits*, 2016; Kazerouni, Ghavamzadeh, Abbasi-Yadkori and
Van Roy, *Conservative contextual linear bandits*, 2017).
"""

from __future__ import annotations

from math import exp, isfinite, log, sqrt
from typing import Any

from .ledger import Ledger

#: Mean cost of a safe solve, in iterations + 1, up to which there is nothing to learn.
TINY = 4.0
#: Share of the safe ω's total that a learner may lose in the end, and after 20 solves.
SHARE, SHARE_AT_20 = 0.03, 0.1
#: Weight of the newest safe solve in their mean, at least.
NEWEST = 0.2
#: Comparisons of a safe solve with its neighbour before savings are estimated; least standard error of their mean.
ENOUGH, LEAST_ERROR = 4, 0.02


class Baseline:
    """The account of one solver: what was spent, and what the safe ω would have cost.

    Parameters
    ----------
    seed : int
        Of the draws of audits.
    strict : bool
        Whether the guarded solver's bound must hold, whose audits are drawn at random (`Ledger`).
    """

    _REMEMBERED = (
        "solves", "safe_solves", "mean", "spent", "estimate", "largest", "safe_total", "foreseen", "pairs", "bias",
        "scatter", "neighbour", "neighbour_is_safe", "modelled",
    )  # fmt: skip

    def __init__(self, *, seed: int = 0, strict: bool = False) -> None:
        self.strict, self.ledger = strict, Ledger(seed)
        self.solves = self.safe_solves = self.pairs = 0
        self.mean = self.spent = self.estimate = self.largest = 0.0
        self.safe_total = self.foreseen = 0.0  # cost of the safe solves; what others would have cost, as predicted
        self.bias = self.scatter = 0.0  # log of safe costs over what was predicted: mean, sum of squared deviations
        self.neighbour, self.neighbour_is_safe = 0.0, False  # cost at the safe ω of the solve before, as far as known
        self.modelled = False

    @property
    def tiny(self) -> bool:
        """Whether the safe ω takes so few iterations that there is nothing to learn."""
        return 0.0 < self.mean <= TINY

    def due(self) -> bool:
        """Whether the coming solve is to be played at the safe ω."""
        if self.strict and self.ledger.audit():
            return True
        if self.modelled or not self.solves:  # a learner with a model of costs keeps its own account
            return self.tiny
        share = max(SHARE, SHARE_AT_20 * sqrt(20.0 / self.solves))
        return self.tiny or self.spent > (1.0 + share) * self.estimate + self.mean

    def limit(self) -> float:
        """Iterations after which a trial is cut off: few in a strict account, else what only a catastrophe takes."""
        if self.strict:
            return float(self.ledger.limit())
        return 50.0 + 10.0 * self.largest if self.largest else 0.0

    def enter(self, cost: float, *, safe: bool, ratio: float | None) -> None:
        """A solve cost this much, in iterations + 1.

        Parameters
        ----------
        safe : bool
            Whether it was played at the safe ω.
        ratio : float or None
            Predicted cost at the safe ω over that of the choice; None where the learner predicts nothing.
        """
        if self.strict:
            self.ledger.enter(int(cost - 1.0), safe)
        self.solves += 1
        self.spent += cost
        self.largest = max(0.99 * self.largest, cost)
        at_safe = cost if safe else cost * (ratio or 1.0)
        self._compare(at_safe, safe)
        if safe:
            self.safe_solves += 1
            self.safe_total += cost
            self.mean += max(NEWEST, 1.0 / self.safe_solves) * (cost - self.mean)
            self.estimate += cost
        else:
            self.modelled = self.modelled or ratio is not None
            self.foreseen += at_safe
            self.estimate += self.mean if ratio is None else at_safe

    def _compare(self, at_safe: float, safe: bool) -> None:
        """Where a safe solve and another follow one another, see how much the prediction is off."""
        if self.neighbour and safe != self.neighbour_is_safe:
            off = log(at_safe / self.neighbour) if safe else log(self.neighbour / at_safe)
            self.pairs += 1
            deviation = off - self.bias
            self.bias += deviation / self.pairs
            self.scatter += deviation * (off - self.bias)
        self.neighbour, self.neighbour_is_safe = at_safe, safe

    def savings(self) -> tuple[float, float] | None:
        """Share of the safe ω's cost that was saved, and its standard error; None where that isn't known.

        What other solves would have cost at the safe ω is predicted from them, by the learner's model where it has one,
        and corrected by how the safe solves compare with their neighbours.
        """
        if self.pairs < ENOUGH:
            return None
        others = self.foreseen * exp(self.bias)
        total = self.safe_total + others
        error = sqrt(self.scatter / (self.pairs - 1.0) / self.pairs + LEAST_ERROR**2)
        return 1.0 - self.spent / total, self.spent / total * error * others / total

    def state(self) -> dict[str, Any]:
        """Plain numbers."""
        return {"ledger": self.ledger.state(), **{name: getattr(self, name) for name in self._REMEMBERED}}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned; raises KeyError, TypeError or ValueError for anything else."""
        self.ledger.restore(state["ledger"])
        for name in self._REMEMBERED:
            value = type(getattr(self, name))(state[name])
            if not isfinite(value):
                raise ValueError(f"{name} isn't finite")
            setattr(self, name, value)
