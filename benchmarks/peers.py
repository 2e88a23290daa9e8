"""Other people's newest ways to choose a solver's parameter while it runs, behind sorlearn's contract of a learner.

They are here to be compared with, and written anew from what their authors say.
"""

from __future__ import annotations

from math import log, sqrt

import numpy as np

from sorlearn.learners import Choice, Context, Learner, Space


def chain_laplacian(d: int) -> np.ndarray:
    """Laplacian of the path graph on d arms, shape (d, d)."""
    links = np.eye(d, k=1) + np.eye(d, k=-1)
    return np.diag(links.sum(axis=1)) - links


def entropic_weights(losses: np.ndarray, eta: float, alpha: float) -> np.ndarray:
    """p_i = (η (K_i − x))^(1/(α − 1)) with x < min K such that Σ p = 1: the step of Tsallis-INF with entropy α.

    Solved for y = η (min K − x) by Newton's method, which climbs to the root from y = 1.
    """
    power = 1.0 / (alpha - 1.0)
    z, y = eta * (losses - losses.min()), 1.0
    for _ in range(50):
        p = (y + z) ** power
        excess = float(p.sum()) - 1.0
        if excess <= 1e-8:
            break
        y -= excess / (power * float((p / (y + z)).sum()))
    return p / p.sum()


class Spectral(Learner):
    """Feedback shared with neighbouring arms of a chain: costs are taken to be smooth along it.

    The estimate of all costs from one that was seen is ``(μL + diag p)⁻¹ e_i``, with L the chain's Laplacian, instead
    of e_i/p_i (Valko et al., Spectral bandits for smooth graph functions, ICML 2014; Kocák et al., JMLR 2020).
    """

    mu: float

    def __init__(self, *, space: Space, seed: int = 0):
        super().__init__(space=space, seed=seed)
        d = space.num_omegas
        self.omegas = space.grid()
        self.L = self.mu * chain_laplacian(d)
        self.K = np.zeros(d)
        self.p = np.full(d, 1.0 / d)
        self.total = 0.0

    def _choose(self, context: Context) -> Choice:
        i = int(self.rng.choice(len(self.p), p=self.p))
        return Choice(float(self.omegas[i]), i, float(self.p[i]), False, context)

    def _update(self, choice: Choice, loss: float) -> None:
        self.total += loss
        shared = np.linalg.solve(self.L + np.diag(self.p + 1e-15), np.eye(len(self.p))[choice.index])
        self.K += loss * shared
        self.p = self._weights(self.K / (self.total / self.rounds or 1.0))

    def _weights(self, losses: np.ndarray) -> np.ndarray:
        raise NotImplementedError


class SpectralINF(Spectral):
    """SpectralINF of PCGBandit, with its defaults: Tsallis entropy 0.9, rate 0.1, μ = 0.001.

    Khodak, Jung, Wynne, Chow and Kolemen, One-shot acceleration of transient PDE solvers via online-learned
    preconditioners (arXiv 2509.08765; Computer Physics Communications 327, 2026), and the README of its package.
    """

    name = "spectral_inf"
    mu = 1e-3

    def _weights(self, losses: np.ndarray) -> np.ndarray:
        return entropic_weights(losses, 0.1, 0.9)


class SpectralExp3(Spectral):
    """Exponential weights on the same estimates, rate √(log d/(2 d_eff t)), as in earlier versions of that package.

    The effective dimension d_eff is that of the uniform distribution, tr[(μL + I/d)⁻¹/d].
    """

    name = "spectral_exp3"
    mu = 1.0

    def __init__(self, *, space: Space, seed: int = 0):
        super().__init__(space=space, seed=seed)
        d = space.num_omegas
        self.dimension = float(np.trace(np.linalg.inv(self.L + np.eye(d) / d)) / d)

    def _weights(self, losses: np.ndarray) -> np.ndarray:
        eta = sqrt(log(len(losses)) / (2.0 * self.dimension * (self.rounds + 1)))
        p = np.exp(-eta * (losses - losses.min()))
        return p / p.sum()


class TryAll(Learner):
    """Every 100 solves every arm once, then the cheapest of them until the next time.

    OPM Flow's ``--linear-solver=hybrid`` (opm-simulators, pull request 4260) does so with two solvers, which it tries
    on one and the same system; here every trial is a solve that was due, which is cheaper.
    """

    name = "try_all"
    period = 100

    def __init__(self, *, space: Space, seed: int = 0):
        super().__init__(space=space, seed=seed)
        self.omegas = space.grid()
        self.seen = np.zeros(space.num_omegas)

    def _choose(self, context: Context) -> Choice:
        turn = self.rounds % self.period
        i = turn if turn < len(self.omegas) else int(self.seen.argmin())
        return Choice(float(self.omegas[i]), i, 1.0, False, context)

    def _update(self, choice: Choice, loss: float) -> None:
        if (self.rounds - 1) % self.period < len(self.omegas):
            self.seen[choice.index] = loss


PEERS = {cls.name: cls for cls in (SpectralINF, SpectralExp3, TryAll)}
