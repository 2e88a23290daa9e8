"""ChebCB: learns the cost as a polynomial of the context, for every ω, and so follows the best ω of each instance."""

from math import log, pi, sqrt

import numpy as np
from scipy.linalg import solve_triangular
from scipy.optimize import lsq_linear

from .base import Choice, Context, Learner, Space
from .context_range import context_range
from .sampling import draw

#: Number m of Chebyshev polynomials, as in the paper's experiments.
_FEATURES = 6
_DEGREES = np.arange(_FEATURES)
#: A thousandth of an observation: of the fits that few contexts allow it picks the one nearest zero, which is
#: optimistic about contexts that an arm hasn't seen, so that it is tried there.
_RIDGE = 1e-3 * np.eye(_FEATURES)
#: α of the paper in units of the losses' range: how far a Lipschitz function is from m polynomials.
_ALPHA = (pi + 2.0 / pi * log(2 * _FEATURES + 1)) / (2 * (_FEATURES + 1))


def boxed_minimiser(H: np.ndarray, v: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Minimiser of φᵀHφ − 2φᵀv subject to |φ| ≤ box; H is positive definite.

    Parameters
    ----------
    H : array, shape (m, m)
    v, box : array, shape (m,)
    """
    C = np.linalg.cholesky(H)
    # Lengths of the box as units: its sides may be zero, and lsq_linear's tolerances are absolute.
    unit = box.max()
    rhs = solve_triangular(C, v / unit, lower=True)
    u = lsq_linear(C.T * (box / unit), rhs, (-1.0, 1.0), method="bvls", max_iter=100 * len(v)).x
    return box * u


class ChebCB(Learner):
    """Algorithm 3 of Khodak et al. (ICLR 2024): SquareCB (Foster and Rakhlin 2020) on a Chebyshev regression.

    f(c) = (T_0(z), …, T_{m−1}(z)), z the context scaled to [−1, 1], m = 6.  Arm i's cost k − 1 is modelled as
    ⟨φ_i, f(c)⟩ with φ_i the least-squares fit in the box |φ_{i,0}| ≤ K, |φ_{i,j}| ≤ 2Δ/j, where K is the highest
    cost so far and Δ the difference to the lowest.  Arms that weren't played have φ_i = 0.  Round t plays an arm i
    that isn't the cheapest with probability 1/(d + η (ŷ_i − min ŷ)), ŷ_i = ⟨φ_i, f(c_t)⟩,
    η = 2t √(d t / (R + 2 (αΔ)² t)), R the squared errors of the predictions so far less those of the present fits.

    The paper divides costs by a scale that grows with K.  θ = φ/scale, and the scale cancels in the box, in η ŷ and so
    in the probabilities: nothing here depends on it.  A fit inside the box stays one when the box grows, so a solve
    refits only the arm it played, and those at the rim if K or Δ grew.  Gram matrix, moments and sum of squares of an
    arm are all that fits and errors need.

    Expected excess over the best ω of every instance: O(T^{9/11} √n) iterations.  Losses: finite, at least
    ``space.least``.

    Examples
    --------
    >>> learner = ChebCB(space=Space(context_min=0.0, context_max=1.0), seed=1)
    >>> total = 0.0
    >>> for t in range(1000):
    ...     c = (t % 50) / 50
    ...     choice = learner.choose(Context(user=(c,)))
    ...     loss = 10 + 100 * (choice.omega - 1.3 - 0.5 * c) ** 2
    ...     learner.update(choice, loss)
    ...     total += loss
    >>> print(round(total / 1000, 2))
    11.05
    """

    name = "chebcb"
    context_numbers = 1
    needs_context_range = True
    reads_matrix = True
    _remembered = ("phi", "gram", "moments", "squares", "residuals", "at_rim", "error", "highest", "lowest")

    def __init__(self, *, space: Space = Space(), seed: int = 0):
        super().__init__(space=space, seed=seed)
        self.range = context_range(space, self.name)
        d, m = space.num_omegas, _FEATURES
        self.omegas = space.grid()
        self.phi = np.zeros((d, m))
        self.gram = np.zeros((d, m, m))
        self.moments = np.zeros((d, m))
        self.squares = np.zeros(d)
        self.residuals = np.zeros(d)
        self.at_rim = np.zeros(d, dtype=bool)
        self.error = 0.0
        self.highest = 0.0
        self.lowest = 0.0

    def probabilities(self, context: Context) -> np.ndarray:
        """The distribution from which the next choice is drawn, shape (num_omegas,)."""
        y = self.phi @ self._features(context)
        best = int(y.argmin())
        p = 1.0 / (len(y) + self._eta() * (y - y[best]))
        p[best] += 1.0 - p.sum()
        return p

    def _features(self, context: Context) -> np.ndarray:
        return np.cos(_DEGREES * np.arccos(2.0 * self.range.fraction(context) - 1.0))

    def _eta(self) -> float:
        t = self.rounds + 1
        R = max(self.error - float(self.residuals.sum()), 0.0)
        uncertainty = R + 2.0 * (_ALPHA * (self.highest - self.lowest)) ** 2 * t
        return 2.0 * t * sqrt(self.space.num_omegas * t / uncertainty) if uncertainty else 0.0

    def _choose(self, context: Context) -> Choice:
        return draw(self.rng, self.probabilities(context), self.omegas, context)

    def _update(self, choice: Choice, loss: float) -> None:
        i, f, cost = choice.index, self._features(choice.context), loss - self.space.least
        self.error += (float(self.phi[i] @ f) - cost) ** 2
        self.gram[i] += f[:, None] * f
        self.moments[i] += cost * f
        self.squares[i] += cost * cost
        grown = self._grow(cost)
        self._fit(i)
        if grown:
            for j in np.flatnonzero(self.at_rim):
                self._fit(int(j))

    def _grow(self, cost: float) -> bool:
        before = self.highest, self.lowest
        self.highest = max(self.highest, cost)
        self.lowest = min(self.lowest, cost) if self.rounds > 1 else cost
        return (self.highest, self.lowest) != before

    def _fit(self, i: int) -> None:
        H, v = self.gram[i] + _RIDGE, self.moments[i]
        box = 2.0 * (self.highest - self.lowest) / np.maximum(_DEGREES, 1.0)
        box[0] = self.highest
        phi = np.linalg.solve(H, v)
        # Equal losses make a box without width, which their exact fit misses by rounding.
        self.at_rim[i] = bool((np.abs(phi) > box + 1e-9 * self.highest).any())
        if self.at_rim[i]:
            phi = boxed_minimiser(H, v, box)
        self.phi[i] = phi
        self.residuals[i] = self.squares[i] + float(phi @ (self.gram[i] @ phi - 2.0 * v))
