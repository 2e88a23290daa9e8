"""What one run saved against the safe ω, as far as it can be known."""

from __future__ import annotations

from math import exp, log, sqrt

#: Standard deviation of what is unknown before any pair, in log cost: of a model's ratios, and where there is no model.
MODEL, NOTHING = 0.12, 2.0
#: Scatter of a pair before any was seen, and the pairs that this is worth.
SCATTER, WORTH = 0.4, 4.0
#: Standard error that no number of pairs removes, as they aren't what the run was: safe solves drawn at random; those
#: that a learner with a model asked for; and those that one without played for other reasons.
AT_RANDOM, ASKED_FOR, PLAYED = 0.06, 0.1, 0.15
#: Pairs, by weight, without which nothing is known where there is no model.
ENOUGH = 3.0
#: A model that seems as far off, in log cost, met another matrix instead: the easy ones are where it plays safe.
ANOTHER = 0.5


class Comparison:
    """Counts what solves took and what they would have taken at the safe ω; of one run, in constant memory.

    That is known of safe solves, and predicted for the others: by the learner's model where it has one, else they are
    taken to be alike.  Where a safe solve and another follow one another, the two tell how far the prediction is off;
    such pairs weigh as much as they cost, for the total is what is asked for.

    Parameters
    ----------
    at_random : bool
        Whether safe solves are drawn at random.
    """

    def __init__(self, at_random: bool = False) -> None:
        self.at_random, self.modelled = at_random, False
        self.safe = self.others = self.foreseen = 0.0  # iterations of safe solves and others; these at the safe ω
        self.weight = self.squares = 0.0  # of the pairs: sum of weights and of their squares
        self.bias = self.scatter = 0.0  # log of safe costs over what was predicted: mean, sum of squared deviations
        self._last: tuple[float, bool] | None = None  # cost at the safe ω of the solve before, and whether it was safe

    def enter(self, iterations: float, safe: bool, ratio: float | None, solves: int = 1) -> None:
        """A solve took so many, or several did so on average; `ratio` as in `Baseline.enter`."""
        at_safe = iterations if safe else iterations * (ratio or 1.0)
        if safe:
            self.safe += solves * iterations
        else:
            self.others += solves * iterations
            self.foreseen += solves * at_safe
            self.modelled = self.modelled or ratio is not None
        if self._last is not None and safe != self._last[1]:
            seen, told = (at_safe + 1.0, self._last[0]) if safe else (self._last[0], at_safe + 1.0)
            self._pair(log(seen / told), sqrt(seen * told))
        self._last = at_safe + 1.0, safe

    def _pair(self, off: float, weight: float) -> None:
        if self.modelled and not self.at_random and abs(off) > ANOTHER:
            return
        self.weight += weight
        self.squares += weight * weight
        deviation = off - self.bias
        self.bias += weight / self.weight * deviation
        self.scatter += weight * deviation * (off - self.bias)

    def add(self, other: Comparison, unit: float = 1.0) -> None:
        """What another counts, too, whose iterations are worth so much each; no pair is of both."""
        self.safe += unit * other.safe
        self.others += unit * other.others
        self.foreseen += unit * other.foreseen
        self.modelled = self.modelled or other.modelled
        if weight := unit * other.weight:
            off, before = other.bias - self.bias, self.weight
            self.weight += weight
            self.squares += unit * unit * other.squares
            self.bias += weight / self.weight * off
            self.scatter += unit * other.scatter + before * weight / self.weight * off * off

    def savings(self) -> tuple[float, float] | None:
        """Share of the safe ω's iterations that was saved, and its standard error; None where that isn't known."""
        if not self.others:
            return (0.0, 0.0) if self.safe else None
        pairs = self.weight**2 / self.squares if self.squares else 0.0
        if not (self.modelled or pairs >= ENOUGH):
            return None
        bias, error = self._correction(pairs)
        others = self.foreseen * exp(bias)
        left = (self.safe + self.others) / (self.safe + others)
        return 1.0 - left, left * error * others / (self.safe + others)

    def _correction(self, pairs: float) -> tuple[float, float]:
        """Log of what predictions are to be multiplied by, and its standard error: normal prior, normal pairs."""
        mean_square = self.scatter / self.weight if pairs else 0.0
        variance = (WORTH * SCATTER**2 + pairs * mean_square) / (WORTH + pairs)
        told = pairs / variance
        known = told + 1.0 / (MODEL if self.modelled else NOTHING) ** 2
        floor = AT_RANDOM if self.at_random else ASKED_FOR if self.modelled else PLAYED
        return self.bias * told / known, sqrt(1.0 / known + floor**2)
