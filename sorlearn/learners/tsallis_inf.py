"""Tsallis-INF: as good as the best fixed ω, whatever the sequence of matrices."""

from math import sqrt

import numpy as np

from .base import Choice, Context, Learner, Space
from .sampling import draw

_TOLERANCE = 1e-8
_MAX_STEPS = 50


def tsallis_weights(losses: np.ndarray, eta: float, y: float) -> tuple[np.ndarray, float]:
    """The distribution p_i = 4/(η (K_i − x))² with x < min K such that Σ p = 1.

    Solved for y = η (min K − x)/2 instead of x: then p_i = (y + z_i)⁻² with z_i = η (K_i − min K)/2 ≥ 0, the root
    lies in [1, √d] whatever K is, and Σ p decreases convexly in y.  Newton therefore climbs to the root from
    anything left of it, and a step from the right lands on the left.

    Parameters
    ----------
    losses : array, shape (d,)
        Cumulative estimates K, in units of a typical loss.
    eta : float
        Learning rate.
    y : float
        Where to start, such as the root of the last round.

    Returns
    -------
    p : array, shape (d,)
    y : float
        The root, to a tolerance of 1e-8 in Σ p.
    """
    z = (0.5 * eta) * (losses - losses.min())
    for _ in range(_MAX_STEPS):
        root_p = 1.0 / (y + z)
        p = root_p * root_p
        total = float(p.sum())
        if abs(total - 1.0) <= _TOLERANCE:
            break
        y = max(1.0, y + 0.5 * (total - 1.0) / float(p @ root_p))
    return p / total, y


class TsallisINF(Learner):
    """Algorithm 1 of Khodak et al. (ICLR 2024), after Zimmert and Seldin (JMLR 2021).

    Each arm i of the grid has a cumulative loss K_i, estimated without bias by adding (k − 1)/p_i when it is
    played.  Round t draws from the distribution p that minimises ⟨p, K/s⟩ − (4/η) Σ √p_i, where η = 2/√t and s
    is the mean of k − 1 so far (the paper divides by an upper bound, which nobody knows beforehand).

    Over T solves the expected total is within O(√(d T)) losses of the best arm's, and with d tuned within
    O(T^⅔) iterations of the best fixed ω in the range.  Losses: finite, at least ``space.least``; k − 1 stands for
    ``loss − space.least``.

    Examples
    --------
    >>> learner = TsallisINF(seed=1)
    >>> total = 0.0
    >>> for _ in range(1000):
    ...     choice = learner.choose()
    ...     loss = 10 + 100 * (choice.omega - 1.6) ** 2
    ...     learner.update(choice, loss)
    ...     total += loss
    >>> print(round(total / 1000, 2))
    12.36
    """

    name = "tsallis_inf"
    context_numbers = 0
    _remembered = ("K", "p", "y", "total")

    def __init__(self, *, space: Space = Space(), seed: int = 0):
        super().__init__(space=space, seed=seed)
        d = space.num_omegas
        self.omegas = space.grid()
        self.K = np.zeros(d)
        self.p = np.full(d, 1.0 / d)
        self.y = sqrt(d)
        self.total = 0.0

    def _choose(self, context: Context) -> Choice:
        return draw(self.rng, self.p, self.omegas, context)

    def _update(self, choice: Choice, loss: float) -> None:
        cost = loss - self.space.least
        self.total += cost
        self.K[choice.index] += cost / choice.propensity
        # While every cost is zero, so is K, and any scale will do.
        scale = self.total / self.rounds or 1.0
        self.p, self.y = tsallis_weights(self.K / scale, 2.0 / sqrt(self.rounds + 1), self.y)
