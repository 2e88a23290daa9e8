"""Tsallis-INF with loss estimates of lower variance."""

from math import sqrt

import numpy as np

from .base import Choice, Context, Learner, Space
from .sampling import draw
from .tsallis_inf import tsallis_weights


class TsallisINFRV(Learner):
    """The reduced-variance estimator of Zimmert and Seldin (JMLR 2021), as used by PCGBandit.

    Differs from `TsallisINF` in η = 4/√t and in the estimates: from the round on in which t·p_j ≥ 16, arm j's
    estimate is B_j + (loss − B_j)/p_j when it is played and B_j otherwise, with B_j = ½ (0 before).  The loss here
    is (k − 1)/s with s the mean of k − 1 so far; B is therefore summed apart from the unscaled k − 1.

    The regret has `TsallisINF`'s order with a smaller constant.  Losses: finite, at least ``space.least``.

    Examples
    --------
    >>> learner = TsallisINFRV(seed=1)
    >>> total = 0.0
    >>> for _ in range(1000):
    ...     choice = learner.choose()
    ...     loss = 10 + 100 * (choice.omega - 1.6) ** 2
    ...     learner.update(choice, loss)
    ...     total += loss
    >>> print(round(total / 1000, 2))
    12.34
    """

    name = "tsallis_inf_rv"
    context_numbers = 0
    _remembered = ("K", "B", "p", "y", "total")

    def __init__(self, *, space: Space = Space(), seed: int = 0):
        super().__init__(space=space, seed=seed)
        d = space.num_omegas
        self.omegas = space.grid()
        self.K = np.zeros(d)
        self.B = np.zeros(d)
        self.p = np.full(d, 1.0 / d)
        self.y = sqrt(d)
        self.total = 0.0

    def _choose(self, context: Context) -> Choice:
        return draw(self.rng, self.p, self.omegas, context)

    def _update(self, choice: Choice, loss: float) -> None:
        cost = loss - self.space.least
        self.total += cost
        self.K[choice.index] += cost / choice.propensity
        baseline = np.where(self.rounds * self.p >= 16.0, 0.5, 0.0)
        self.B += baseline
        self.B[choice.index] -= baseline[choice.index] / choice.propensity
        # While every cost is zero, so is K, and any scale will do.
        scale = self.total / self.rounds or 1.0
        self.p, self.y = tsallis_weights(self.K / scale + self.B, 4.0 / sqrt(self.rounds + 1), self.y)
