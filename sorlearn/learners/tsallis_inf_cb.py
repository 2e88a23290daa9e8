"""Tsallis-INF, one for each bin of a context."""

from math import sqrt

import numpy as np

from .base import Choice, Context, Learner, Space
from .context_range import context_range
from .sampling import draw
from .tsallis_inf import tsallis_weights


class TsallisINFCB(Learner):
    """Tsallis-INF-CB of Khodak et al. (ICLR 2024): m equal bins of the context, `TsallisINF` in each.

    Row j of every array, and its own round counter, belong to bin j.  Contexts outside the range go to the first or
    last bin, solves without a context to the middle one.

    Against the best ω for every bin the regret is that of m learners with T/m solves each, O(√(m d T)); finer bins
    come closer to the best ω for every context and learn more slowly.  Losses: finite, at least ``space.least``.

    Examples
    --------
    >>> learner = TsallisINFCB(space=Space(context_min=0.0, context_max=1.0), seed=1)
    >>> total = 0.0
    >>> for t in range(1000):
    ...     c = t % 2
    ...     choice = learner.choose(Context(user=(c,)))
    ...     loss = 10 + 100 * (choice.omega - 1.3 - 0.5 * c) ** 2
    ...     learner.update(choice, loss)
    ...     total += loss
    >>> print(round(total / 1000, 2))
    13.94
    """

    name = "tsallis_inf_cb"
    context_numbers = 1
    needs_context_range = True
    reads_matrix = True
    _remembered = ("K", "p", "y", "total", "played")

    def __init__(self, *, space: Space = Space(), seed: int = 0):
        super().__init__(space=space, seed=seed)
        self.range = context_range(space, self.name)
        m, d = space.context_bins, space.num_omegas
        self.omegas = space.grid()
        self.K = np.zeros((m, d))
        self.p = np.full((m, d), 1.0 / d)
        self.y = np.full(m, sqrt(d))
        self.total = np.zeros(m)
        self.played = np.zeros(m, dtype=int)

    def _bin(self, context: Context) -> int:
        m = self.space.context_bins
        return min(int(m * self.range.fraction(context)), m - 1)

    def _choose(self, context: Context) -> Choice:
        return draw(self.rng, self.p[self._bin(context)], self.omegas, context)

    def _update(self, choice: Choice, loss: float) -> None:
        j = self._bin(choice.context)
        cost = loss - self.space.least
        self.played[j] += 1
        self.total[j] += cost
        self.K[j, choice.index] += cost / choice.propensity
        # While every cost is zero, so is K, and any scale will do.
        scale = self.total[j] / self.played[j] or 1.0
        eta = 2.0 / sqrt(self.played[j] + 1)
        self.p[j], self.y[j] = tsallis_weights(self.K[j] / scale, eta, float(self.y[j]))
