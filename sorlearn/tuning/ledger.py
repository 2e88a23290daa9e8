"""The guarded solver's account: what was spent, against an estimate of what the safe ω would have spent.

What a solve would have cost at the safe ω is known only for those that were really solved at it.  These audits are
drawn at random, so that no sequence of costs that is fixed beforehand can hide from them; between audits the running
mean stands in, and each audit's deviation from it counts for all the solves it was drawn from (a control variate).
"""

from __future__ import annotations

from typing import Any

import numpy as np

#: The total may exceed the safe ω's by this share, and by this many times the cost of the first safe solve.
SHARE, CONSTANT = 0.04, 4.0
#: An audit is drawn with a probability in this range: the more there is to lose before the account is empty, the less.
SELDOM, OFTEN = 0.01, 0.25
#: A trial this many times as dear as trials have been lately: times have changed, so audit soon.
ALARM = 1.3
#: A trial is cut off at this many times the largest recent cost at the safe ω.
CUT = 1.5


class Ledger:
    """Spends trials only where the account allows it, in constant memory.

    With costs that are fixed beforehand, E[total] ≤ (1 + SHARE)·E[safe total] + CONSTANT·(first safe cost) + the
    cost of the last trial, because a trial that is cut off and continued at the safe ω costs at most its own
    iterations more than the safe ω alone.

    Parameters
    ----------
    seed : int
        Of the draws of audits.
    """

    _REMEMBERED = ("spent", "estimate", "mean", "largest", "first", "trial", "alarm", "audits", "probability")

    def __init__(self, seed: int = 0):
        self.rng = np.random.Generator(np.random.PCG64([seed, 1]))
        self.spent = self.estimate = self.mean = self.largest = self.first = self.trial = 0.0
        self.alarm = False
        self.audits = 0
        self.probability = 1.0

    @property
    def margin(self) -> float:
        """Iterations that may still be lost."""
        return (1.0 + SHARE) * self.estimate + CONSTANT * self.first - self.spent

    def audit(self) -> bool:
        """Whether the coming solve is played at the safe ω; draws."""
        if self.audits < 2 or self.margin < CUT * self.largest:
            self.probability = 1.0
        elif self.alarm:
            self.probability = OFTEN
        else:
            self.probability = min(OFTEN, max(SELDOM, 4.0 * self.largest / self.margin))
        return bool(self.rng.random() < self.probability)

    def limit(self) -> int:
        """Iterations after which a trial is cut off."""
        return int(CUT * self.largest) + 1

    def enter(self, iterations: int, audited: bool) -> None:
        """A solve cost this much; `audited` if it was played at the safe ω from the start."""
        cost = iterations + 1.0
        self.spent += cost
        self.estimate += self.mean
        if not audited:
            self.alarm = cost > ALARM * self.trial > 0.0
            self.trial += 0.1 * (cost - self.trial) if self.trial else cost
            return
        self.first = self.first or cost
        self.estimate += (cost - self.mean) / self.probability
        self.audits += 1
        self.mean += max(0.2, 1.0 / self.audits) * (cost - self.mean)
        self.largest = max(cost, 0.9 * self.largest)

    def state(self) -> dict[str, Any]:
        """Plain numbers."""
        return {"rng": self.rng.bit_generator.state, **{name: getattr(self, name) for name in self._REMEMBERED}}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned; raises KeyError, TypeError or ValueError for anything else."""
        self.rng.bit_generator.state = state["rng"]
        for name in self._REMEMBERED:
            setattr(self, name, type(getattr(self, name))(state[name]))
