"""What one run saved against the safe ω, as far as it can be known."""

from __future__ import annotations

from math import exp, inf, log, log2, sqrt

#: Standard deviation of what is unknown before any pair, in log cost: of a model's ratios, and where there is no model.
MODEL, NOTHING = 0.12, 2.0
#: Scatter of a pair before any was seen, and the pairs that this is worth.
SCATTER, WORTH = 0.25, 4.0
#: Standard error that no number of pairs removes, as they aren't what the run was: audits that were drawn at random;
#: those that were due; and what a learner without a model played for other reasons.
AT_RANDOM, DUE, PLAYED = 0.06, 0.08, 0.15
#: Pairs, by weight, without which nothing is known where there is no model.
ENOUGH = 3.0
#: Standard deviation of a model's ratios, in log cost, where no pairs confirm them although solves begin from guesses,
#: which get better or worse, or no safe solve was asked for nearly as many digits; and of those for solves that are
#: foreseen to be dearer than any safe solve was, or where the model isn't asked, whatever pairs say.
UNCONFIRMED = 0.4
#: What a model foresees above so many times the dearest safe solve of all isn't believed.
CREDIBLE = 1.5
#: Bins of half an octave of digits, and of cost; those of a bin and its neighbours are nearly as many, or as much.
BINS, LEVELS = 12, 64


class Comparison:
    """Counts what solves took and what they would have taken at the safe ω; of one run, in constant memory.

    That is known of safe solves, and predicted for the others: by the learner's model where it has one, else they are
    taken to be alike.  What a model has predicted for an audit makes a pair with that solve, which tells how far the
    prediction is off; without a model a safe solve and another that follow one another do.  Pairs weigh as much as they
    cost, for the total is what is asked for.

    Parameters
    ----------
    at_random : bool
        Whether audits are drawn at random.
    """

    def __init__(self, at_random: bool = False) -> None:
        self.at_random, self.modelled = at_random, False
        self.safe = self.others = self.foreseen = 0.0  # iterations of safe solves and on top; others' at the safe ω
        self.weight = self.squares = 0.0  # of the pairs: sum of weights and of their squares
        self.bias = self.scatter = 0.0  # log of safe costs over what was predicted: mean, sum of squared deviations
        self.dearest = 0.0  # cost of a safe solve
        self._audited, self._foreseen = [False] * BINS, [0.0] * BINS  # safe solves, and what is foreseen, by digits
        self._levels, self._solves = [0.0] * LEVELS, [0.0] * LEVELS  # what a model foresees, by cost; for how many
        self._guessed = 0.0  # what is foreseen without it
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
            Whether it was made to know what the safe ω takes: a learner plays safe, too, where matrices are easy.
        """
        at_safe = iterations if safe or ratio is None else max(ratio * (iterations + 1.0) - 1.0, 0.0)
        if safe:
            self.safe += solves * iterations
            self.dearest = max(self.dearest, iterations + 1.0)
            if digits is not None:
                self._audited[_bin(digits)] = True
        else:
            if digits is not None:
                self._foreseen[_bin(digits)] += solves * at_safe
            if ratio is None:
                self._guessed += solves * at_safe
            else:
                self._levels[_bin(at_safe, LEVELS)] += solves * at_safe
                self._solves[_bin(at_safe, LEVELS)] += solves
            self.others += solves * iterations
            self.foreseen += solves * at_safe
            self.modelled = self.modelled or ratio is not None
        if self.modelled or ratio is not None or (self.at_random and safe and not audit):
            if safe and audit and ratio is not None:
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
        self.dearest = max(self.dearest, other.dearest)
        self._audited = [mine or yours for mine, yours in zip(self._audited, other._audited)]
        self._foreseen = [mine + yours for mine, yours in zip(self._foreseen, other._foreseen)]
        self._levels = [mine + yours for mine, yours in zip(self._levels, other._levels)]
        self._solves = [mine + yours for mine, yours in zip(self._solves, other._solves)]
        self._guessed += other._guessed
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
        most = CREDIBLE * self.dearest or inf
        incredible = sum(max(each - most * solves, 0.0) for each, solves in zip(self._levels, self._solves) if solves)
        others = (self.foreseen - incredible) * exp(bias)
        left = (self.safe + self.others) / (self.safe + others)
        return 1.0 - left, left * error * others / (self.safe + others)

    def _correction(self, pairs: float) -> tuple[float, float]:
        """Log of what predictions are to be multiplied by, and its standard error: normal prior, normal pairs."""
        mean_square = self.scatter / self.weight if pairs else 0.0
        variance = (WORTH * SCATTER**2 + pairs * mean_square) / (WORTH + pairs)
        told = pairs / variance
        known = told + 1.0 / (MODEL if self.modelled else NOTHING) ** 2
        floor = AT_RANDOM if self.at_random else DUE if self.modelled else PLAYED
        doubt = 0.0
        if self.modelled and not self.at_random:
            beyond = sum(self._levels[_bin(self.dearest - 1.0, LEVELS) + 2 :]) + self._guessed
            doubt = UNCONFIRMED * max(self._unconfirmed(pairs), min(beyond / self.foreseen, 1.0))
        return self.bias * told / known, sqrt(1.0 / known + floor**2 + doubt**2)

    def _unconfirmed(self, pairs: float) -> float:
        """Share of what is foreseen for other digits than any safe solve was asked for; the less, the more pairs."""
        near = sum(each for i, each in enumerate(self._foreseen) if any(self._audited[max(i - 1, 0) : i + 2]))
        return WORTH * (1.0 - near / self.foreseen) / (WORTH + pairs)


def _bin(number: float, bins: int = BINS) -> int:
    return min(round(2.0 * log2(1.0 + max(number, 0.0))), bins - 1)
