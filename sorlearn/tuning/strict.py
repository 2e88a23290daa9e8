"""The guarded solver's account: a bound on the total cost that holds whatever a learner predicts.

Audits are drawn at random, so that no sequence of costs that is fixed beforehand can hide from them.
"""

from __future__ import annotations

from typing import Any, Callable

import numpy as np

from .baseline import Baseline

#: Mean cost of the safe ω, in iterations + 1, up to which there is nothing to learn.
TINY = 5.0
#: The total may exceed the safe ω's by this share, and this many times the first audit.
SHARE, CONSTANT = 0.04, 4.0
#: Audits are drawn with a probability in this range: the more there is to lose before the account is empty, the less.
SELDOM, OFTEN = 0.01, 0.25
#: A trial this many times as dear as trials have been lately: times have changed, so audit soon.
ALARM = 1.3
#: A trial is cut off at this many times the dearest recent audit.
CUT = 1.5


class Strict(Baseline):
    """An account in which predictions count for nothing.

    The mean of the last audits stands for the solves between them, and each audit's deviation from it counts for all
    the solves that it was drawn from (a control variate).  With such costs

        E[total] ≤ (1 + SHARE)·E[safe total] + CONSTANT·(first safe cost) + the cost of the last trial,

    because a trial that is cut off and continued at the safe ω costs at most its own iterations more than the safe ω.
    Audits among solves that repeat a trial are drawn before the first of them, one by one: where a solve is drawn, the
    repeats end before it.

    Parameters
    ----------
    seed : int
        Of the draws.
    """

    _remembered = (*Baseline._remembered, "rng", "first", "trial", "alarm", "probability", "ahead", "drawn")

    def __init__(self, *, seed: int = 0) -> None:
        super().__init__()
        self.rng = np.random.Generator(np.random.PCG64([seed, 1]))
        self.first = self.trial = 0.0  # cost of the first audit, mean cost of trials
        self.alarm = False
        self.probability = 0.0  # of the audit that is due, 0 where none is
        self.ahead, self.drawn = 0, 0.0  # solves until the audit that is drawn, 0 where none is; its probability

    @property
    def tests(self) -> bool:
        """See `Baseline.tests`: an audit that was drawn."""
        return 0.0 < self.probability < 1.0

    @property
    def few(self) -> float:
        """See `Baseline.few`."""
        return TINY - 1.0

    @property
    def margin(self) -> float:
        """What may still be lost, in iterations."""
        return (1.0 + SHARE) * self.estimate + CONSTANT * self.first - self.spent

    def begin(self, price: float) -> None:
        """See `Baseline.begin`."""
        super().begin(price)
        self.probability = 0.0

    def must(self) -> None:
        """See `Baseline.must`; a certain audit."""
        self.ahead, self.probability, self.chance = 0, 1.0, 1.0

    def due(self) -> bool:
        """Whether the coming solve is to be played at the safe ω; may draw."""
        drawn, self.ahead = self.ahead == 1, 0
        probability = self.drawn if drawn else self._probability()
        due = drawn or probability == 1.0 or bool(self.rng.random() < probability)
        self.probability, self.chance = (probability, probability) if due else (0.0, 1.0 - probability)
        return due

    def spare(self, solves: int) -> int:
        """See `Baseline.spare`; draws for each, as if it were decided.

        Only as many as can't empty the account, each up to the limit; one that is cut off is the last.
        """
        if self.probability == 1.0:
            return solves
        loss = self.limit() + 1.0 - (1.0 + SHARE) * self.level
        afforded = (self.margin - CUT * self.dearest) / max(loss, 1.0)
        solves, self.ahead, self.drawn = min(solves, int(max(afforded, 0.0))), 0, self._probability()
        if not solves:
            return 0
        until = int(self.rng.geometric(self.drawn))
        if until > solves:
            return solves
        self.ahead = until
        return until - 1

    def limit(self, harder: Callable[[], float] = lambda: 1.0) -> float:
        """Iterations after which a trial is cut off; 0 for none."""
        return float(int(CUT * self.dearest) + 1) if self.audits else 0.0

    def enter(self, cost: float, *, safe: bool, ratio: float | None, solves: int = 1, limit: float = 0.0,
              at_safe: float | None = None) -> None:  # fmt: skip
        """See `Baseline.enter`; a solve at the safe ω that wasn't drawn is no audit."""
        self.ahead = max(self.ahead - solves, 0)
        safe = safe and self.probability > 0.0
        super().enter(cost, safe=safe, ratio=ratio, solves=solves, limit=limit, at_safe=at_safe)

    def _probability(self) -> float:
        if self.audits < 2 or self.tiny or self.margin < CUT * self.dearest:
            return 1.0
        return OFTEN if self.alarm else min(OFTEN, max(SELDOM, 4.0 * self.dearest / self.margin))

    def _checked(self, state: dict[str, Any]) -> dict[str, Any]:
        """An account of another kind says nothing of this one, which then begins anew."""
        return super()._checked(state if "ahead" in state else self.state())

    def _audit(self, cost: float, ratio: float | None, solves: int) -> None:
        self.first = self.first or cost
        mean = self.level
        super()._audit(cost, ratio, solves)
        self.estimate += solves * (1.0 / self.probability - 1.0) * (cost - mean)

    def _take_back(self, cost: float, believed: float) -> None:
        """Nothing was believed."""

    def _predict(self, cost: float, ratio: float | None, solves: int, limit: float, at_safe: float | None) -> None:
        super()._predict(cost, None, solves, 0.0, None)
        self.alarm = cost > ALARM * self.trial > 0.0
        self.trial += (1.0 - 0.9**solves) * (cost - self.trial) if self.trial else cost
