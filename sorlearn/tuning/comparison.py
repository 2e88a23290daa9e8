"""What one run saved against the safe ω, as far as it can be known."""

from __future__ import annotations

from math import exp, log, log2, sqrt

#: Standard deviation of what is unknown before any pair, in log cost: of a model's ratios, and where there is no model.
MODEL, NOTHING = 0.12, 2.0
#: Scatter of a pair before any was seen, and the pairs that this is worth.
SCATTER, WORTH = 0.4, 4.0
#: Standard error that no number of pairs removes, as they aren't what the run was: safe solves drawn at random; those
#: that a learner with a model asked for; and those that one without played for other reasons.
AT_RANDOM, ASKED_FOR, PLAYED = 0.06, 0.1, 0.15
#: Pairs, by weight, without which nothing is known where there is no model.
ENOUGH = 3.0
#: A model that seems as far off, in log cost, may have met another matrix instead: the easy ones are where it plays
#: safe.  Such a pair corrects nothing, nor does it confirm anything.
ANOTHER = 0.5
#: Standard deviation of a model's ratios, in log cost, where no pairs confirm them although solves begin from guesses,
#: which get better or worse, no safe solve was asked for nearly as many digits, or pairs were left out.
UNCONFIRMED = 0.4
#: What is foreseen above so many times the dearest safe solve and the solve itself isn't believed, nor confirmed.
CREDIBLE = 4.0
#: Bins of half an octave of digits; those of a bin and its neighbours are nearly as many.
BINS = 12


class Comparison:
    """Counts what solves took and what they would have taken at the safe ω; of one run, in constant memory.

    That is known of safe solves, and predicted for the others: by the learner's model where it has one, else they are
    taken to be alike.  Where a safe solve and another follow one another, the two tell how far the prediction is off;
    such pairs weigh as much as they cost, for the total is what is asked for.  Where safe solves are drawn at random
    and there is a model, what it has predicted for one makes a pair with that solve itself.

    Parameters
    ----------
    at_random : bool
        Whether some safe solves are drawn at random: then these alone make pairs, for a learner plays safe where
        matrices are easy.
    """

    def __init__(self, at_random: bool = False) -> None:
        self.at_random, self.modelled = at_random, False
        self.safe = self.others = self.foreseen = 0.0  # iterations of safe solves and on top; others' at the safe ω
        self.weight = self.squares = 0.0  # of the pairs: sum of weights and of their squares
        self.bias = self.scatter = 0.0  # log of safe costs over what was predicted: mean, sum of squared deviations
        self.left_out = 0  # pairs
        self.dearest = 0.0  # cost of a safe solve
        self._audited, self._foreseen = [False] * BINS, [0.0] * BINS  # safe solves, and what is foreseen, by digits
        self._last: tuple[float, bool] | None = None  # cost at the safe ω of the solve before, and whether it was safe

    def enter(
        self, iterations: float, safe: bool, ratio: float | None, solves: int = 1, digits: float | None = 0.0,
        audit: bool = False,
    ) -> None:  # fmt: skip
        """A solve took so many, or several did so on average; `ratio` as in `Baseline.enter`.

        Parameters
        ----------
        digits : float or None
            Decimal digits that were asked for, which isn't known where it began from a guess.
        audit : bool
            Whether it was drawn at random to know what the safe ω takes.
        """
        at_safe = iterations if safe else self._at_safe(iterations + 1.0, ratio) - 1.0
        if safe:
            self.safe += solves * iterations
            self.dearest = max(self.dearest, iterations + 1.0)
            if digits is not None:
                self._audited[_bin(digits)] = True
        else:
            if digits is not None and at_safe >= iterations * (ratio or 1.0) - 1.0:
                self._foreseen[_bin(digits)] += solves * at_safe
            self.others += solves * iterations
            self.foreseen += solves * at_safe
            self.modelled = self.modelled or ratio is not None
        if safe and self.at_random and (ratio is not None or not audit):
            if audit and ratio is not None:
                self._pair(-log(ratio), iterations + 1.0)
            self._last = None
            return
        if self._last is not None and safe != self._last[1]:
            seen, told = (at_safe + 1.0, self._last[0]) if safe else (self._last[0], at_safe + 1.0)
            self._pair(log(seen / told), sqrt(seen * told))
        self._last = at_safe + 1.0, safe

    def enter_failed(self, iterations: float, alone: float, known: bool) -> None:
        """A solve failed as it was decided: all iterations beyond those of one attempt `alone` were made on top.

        Whether it is `known` that the safe ω would have taken that attempt; else they are taken to be alike.
        """
        if known:
            self.safe += alone
            self.others += iterations - alone
        else:
            self.others += iterations
            self.foreseen += alone
        self._last = None

    def _pair(self, off: float, weight: float) -> None:
        if self.modelled and not self.at_random and abs(off) > ANOTHER:
            self.left_out += 1
            return
        self.weight += weight
        self.squares += weight * weight
        deviation = off - self.bias
        self.bias += weight / self.weight * deviation
        self.scatter += weight * deviation * (off - self.bias)

    def add(self, other: Comparison) -> None:
        """What another counts, too; no pair is of both."""
        self.safe += other.safe
        self.others += other.others
        self.foreseen += other.foreseen
        self.modelled = self.modelled or other.modelled
        self.left_out += other.left_out
        self.dearest = max(self.dearest, other.dearest)
        self._audited = [mine or yours for mine, yours in zip(self._audited, other._audited)]
        self._foreseen = [mine + yours for mine, yours in zip(self._foreseen, other._foreseen)]
        if weight := other.weight:
            off, before = other.bias - self.bias, self.weight
            self.weight += weight
            self.squares += other.squares
            self.bias += weight / self.weight * off
            self.scatter += other.scatter + before * weight / self.weight * off * off

    def savings(self) -> tuple[float, float] | None:
        """Share of the safe ω's iterations that was saved, and its standard error; None where that isn't known."""
        if not self.foreseen:
            return (1.0 - (self.safe + self.others) / self.safe, 0.0) if self.safe else None
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
        doubt = UNCONFIRMED * self._unconfirmed(pairs) if self.modelled and not self.at_random else 0.0
        return self.bias * told / known, sqrt(1.0 / known + floor**2 + doubt**2)

    def _unconfirmed(self, pairs: float) -> float:
        """Share of pairs, those before any included, that were left out, or before any for solves of other digits."""
        near = sum(each for i, each in enumerate(self._foreseen) if any(self._audited[max(i - 1, 0) : i + 2]))
        doubtful = self.left_out + WORTH * (1.0 - near / self.foreseen)
        return doubtful / (WORTH + pairs + self.left_out)

    def _at_safe(self, cost: float, ratio: float | None) -> float:
        """What a solve would have cost at the safe ω, in iterations + 1."""
        return cost if ratio is None else max(min(ratio * cost, CREDIBLE * max(self.dearest, cost)), 1.0)


def _bin(digits: float) -> int:
    return min(round(2.0 * log2(1.0 + max(digits, 0.0))), BINS - 1)
