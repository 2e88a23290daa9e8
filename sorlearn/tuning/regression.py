"""A Bayesian linear regression that stands by itself."""

from __future__ import annotations

from math import sqrt

import numpy as np

from ..learners.state import Remembers


class Regression(Remembers):
    """y = φ·w + noise, where w is Gaussian; constant memory, O(p²) an update.

    Parameters
    ----------
    spread : ndarray, shape (p,)
        Standard deviations of the weights before anything is known; their means are 0.

    References
    ----------
    C. M. Bishop, *Pattern Recognition and Machine Learning*, 2006, section 3.3.
    """

    _remembered = ("mean", "covariance")

    def __init__(self, spread: np.ndarray) -> None:
        self._prior = np.square(spread)
        self.mean, self._covariance = np.zeros(len(spread)), np.diag(self._prior)
        self._kept = 1.0  # share of the covariance that isn't forgotten

    @property
    def covariance(self) -> np.ndarray:
        """Of the weights, shape (p, p)."""
        if self._kept < 1.0:
            self._covariance = self._kept * self._covariance + (1.0 - self._kept) * np.diag(self._prior)
            self._kept = 1.0
        return self._covariance

    @covariance.setter
    def covariance(self, value: np.ndarray) -> None:
        self._covariance, self._kept = value, 1.0

    def predict(self, phi: np.ndarray) -> tuple[float, float]:
        """Mean and standard deviation of φ·w, without the noise.

        >>> regression = Regression(np.ones(2))
        >>> regression.update(np.array([1.0, 0.0]), 3.0, noise=0.1)
        >>> [round(value, 3) for value in regression.predict(np.array([1.0, 1.0]))]
        [2.97, 1.005]
        """
        variance = self._kept * float(phi @ self._covariance @ phi)
        if self._kept < 1.0:
            variance += (1.0 - self._kept) * float(phi * phi @ self._prior)
        return float(phi @ self.mean), sqrt(max(variance, 0.0))

    def update(self, phi: np.ndarray, y: float, noise: float) -> None:
        """Take note of an observation with this standard deviation."""
        toward = self.covariance @ phi
        gain = toward / (float(phi @ toward) + noise * noise)
        self.mean = self.mean + gain * (y - float(phi @ self.mean))
        self._covariance = self._covariance - gain[:, None] * toward

    def forget(self, share: float) -> None:
        """Doubt what is known: so much of the prior's covariance comes back."""
        self._kept *= 1.0 - share
