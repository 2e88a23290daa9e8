"""Gaussian Thompson sampling on the logarithm of the loss."""

from math import log1p, sqrt

import numpy as np
from scipy.special import ndtr

from .base import Choice, Context, Learner, Space

#: Where a normal variable is looked at, in standard deviations.
_NODES = np.linspace(-6.0, 6.0, 33)
#: Keeps ties random and divisions finite where all losses were equal.
_LEAST_DEVIATION = 1e-9
_LEAST_PROPENSITY = 1e-12


def lowest_probability(index: int, mean: np.ndarray, deviation: np.ndarray) -> float:
    """Probability that the `index`-th of independent normal variables is the lowest, to within a tenth of it.

    ∫ Π_{j≠i} P(θ_j > x) dΦ_i(x) by the trapezoidal rule.  The product falls where θ_i may lie or, much more steeply
    after many plays, where the lowest mean is: nodes are put in both places.

    Parameters
    ----------
    index : int
    mean, deviation : array, shape (d,)
    """
    best = int(mean.argmin())
    x = np.sort(np.concatenate([mean[k] + deviation[k] * _NODES for k in (index, best)]))
    above = ndtr((mean[:, None] - x) / deviation[:, None])
    below = 1.0 - above[index]
    above[index] = 1.0
    beaten = above.prod(axis=0)
    inside = float((beaten[1:] + beaten[:-1]) @ np.diff(below)) / 2.0
    return inside + float(below[0] * beaten[0])


class Thompson(Learner):
    """Gaussian Thompson sampling (after Agrawal and Goyal, JACM 2017) over the grid.

    Observes v = log(1 + (loss − least)/s), s being the first loss above ``space.least``: the logarithm keeps one
    disastrous solve from deciding an arm's fate.  With n_i plays of arm i and mean V_i of its v, round t draws

        θ_i ~ N((n_i V_i + M)/(n_i + 1), S²/(n_i + 1))

    and plays the arm with the lowest; M and S are the mean and the standard deviation of all v so far.  So the prior
    of every arm is what an average solve looked like, with the weight of one observation.

    For stochastic losses the regret is O(√(d T log d)) in units of v; none is claimed against an adversary.  The paper
    has no such algorithm; it is here because it leaves bad arms quickly.  Losses: finite, at least ``space.least``.

    Examples
    --------
    >>> learner = Thompson(seed=1)
    >>> total = 0.0
    >>> for _ in range(1000):
    ...     choice = learner.choose()
    ...     loss = 10 + 100 * (choice.omega - 1.6) ** 2
    ...     learner.update(choice, loss)
    ...     total += loss
    >>> print(round(total / 1000, 2))
    10.54
    """

    name = "thompson"
    context_numbers = 0
    _remembered = ("played", "sums", "squares", "scale")

    def __init__(self, *, space: Space = Space(), seed: int = 0):
        super().__init__(space=space, seed=seed)
        self.omegas = space.grid()
        self.played = np.zeros(space.num_omegas)
        self.sums = np.zeros(space.num_omegas)
        self.squares = 0.0
        self.scale = 0.0

    def posterior(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of every arm's θ, each of shape (num_omegas,)."""
        t = max(self.rounds, 1)
        M = float(self.sums.sum()) / t
        S = sqrt(max(self.squares / t - M * M, _LEAST_DEVIATION**2))
        weight = self.played + 1.0
        return (self.sums + M) / weight, S / np.sqrt(weight)

    def _choose(self, context: Context) -> Choice:
        mean, deviation = self.posterior()
        index = int((mean + deviation * self.rng.standard_normal(len(mean))).argmin())
        propensity = max(lowest_probability(index, mean, deviation), _LEAST_PROPENSITY)
        explored = bool(mean[index] > mean.min())
        return Choice(float(self.omegas[index]), index, min(propensity, 1.0), explored, context)

    def _update(self, choice: Choice, loss: float) -> None:
        cost = loss - self.space.least
        # A first cost of zero says nothing about the unit.
        self.scale = self.scale or cost
        v = log1p(cost / self.scale) if cost else 0.0
        self.played[choice.index] += 1.0
        self.sums[choice.index] += v
        self.squares += v * v
