"""What is left alone because it failed: a circuit breaker between the learner and the solver."""

from __future__ import annotations

from typing import Any

import numpy as np

from .bins import BINS, bin_of, omega_of

#: Most solves to wait after a failure that nothing could repair.
LONGEST_WAIT = 1024
#: Decisions for which an ω is dropped that answered much worse; twice as many each time.
DROPPED = 32


class Vetoes:
    """Bans around ω's that failed, the ω to fall back to, and waiting where nothing helps; constant memory.

    What failed is banned for good; what answered much worse than the safe ω is dropped for a while, as that may have
    been the matrix.

    Parameters
    ----------
    omega_safe : float
        The safe ω, which is never banned.
    """

    def __init__(self, omega_safe: float) -> None:
        self.omega_safe = omega_safe
        self.banned = np.zeros(BINS)
        self.dropped, self.longer = np.zeros(BINS), np.full(BINS, float(DROPPED))  # decisions; those of the next time
        self.best_loss = np.zeros(BINS)  # running mean of the losses of an ω; 0 where it hasn't worked
        self.failed_loss = np.zeros(BINS)  # the worst that an ω has cost by failing
        self.safe_fails = self.doubted = False
        self.wait, self.backoff = 0, 1
        self._failed = False

    def allows(self, omega: float) -> bool:
        """Whether this ω may be played: the safe one, and what hasn't failed nor answered much worse."""
        i = bin_of(omega)
        return omega == self.omega_safe or not (self.banned[i] or self.dropped[i])

    @property
    def any(self) -> bool:
        """Whether there is something that it doesn't allow."""
        return bool(self.banned.any() or self.dropped.any())

    def ban(self, omega: float) -> None:
        """Leave this ω and its neighbours alone from now on; never the safe one."""
        self.banned[_near(omega)] = 1.0
        self.banned[bin_of(self.omega_safe)] = 0.0

    def drop(self, omega: float) -> None:
        """Leave this ω and its neighbours alone for a while; never the safe one."""
        near = _near(omega)
        self.dropped[near] = longest = self.longer[bin_of(omega)]
        self.longer[near] = min(2.0 * longest, LONGEST_WAIT)
        self.dropped[bin_of(self.omega_safe)] = 0.0

    def instead(self, omega: float) -> float:
        """What is played in place of an ω that isn't allowed: the next one on the way to the safe one that has worked.

        For one that failed the safe one itself, or what worked best.
        """
        i, safe = bin_of(omega), bin_of(self.omega_safe)
        if self.banned[i] or self.safe_fails or self.doubted:
            return self.fallback()
        way = range(i, safe, 1 if safe > i else -1)
        allowed = (k for k in way if self.best_loss[k] and not (self.banned[k] or self.dropped[k]))
        return next((omega_of(k) for k in allowed), self.omega_safe)

    def fallback(self) -> float:
        """The safe ω or, where that has failed or may fail, the one that worked best."""
        if not (self.safe_fails or self.doubted):
            return self.omega_safe
        tried = np.flatnonzero(self.best_loss * (np.arange(BINS) != bin_of(self.omega_safe)))
        if not len(tried):
            return self.omega_safe
        return omega_of(int(tried[np.argmin(self.best_loss[tried])]))

    def remedy(self) -> float:
        """The ω that a solve is repeated with if it fails: that one, but the safe one while nothing helps."""
        return self.omega_safe if self.wait > 0 else self.fallback()

    def waiting(self) -> bool:
        """Whether the coming solve is no trial, because a failure could not be repaired; counts, to be asked once."""
        if self.dropped.any():
            self.dropped -= self.dropped > 0.0
        waits = self.wait > 0
        self.wait -= waits
        return waits

    def failed(self, omega: float, worked: float) -> None:
        """A solve at `omega` failed; it was repaired with `worked`, or not at all (0)."""
        self._failed = True
        if omega != self.omega_safe:
            self.ban(omega)
            self.best_loss[bin_of(omega)] = 0.0
        if not worked:
            self.wait, self.backoff = self.backoff, min(2 * self.backoff, LONGEST_WAIT)
        if worked != self.omega_safe:
            self.safe_fails, self.doubted = self.safe_fails or worked > 0.0, not worked

    def worked(self, omega: float) -> None:
        """A solve at `omega` didn't fail.  If that is the safe one, and nothing had worked, it was the system."""
        self.doubted = self.doubted and omega != self.omega_safe

    def charge(self, asked: float, played: float, loss: float) -> float:
        """The loss that the learner is told for the ω it asked for, where `played` was solved with.

        What is left alone costs what it cost when it failed.
        """
        i, j = bin_of(played), bin_of(played if asked == played else asked)
        if i != j:
            loss = max(loss, float(self.failed_loss[j]))
        elif self._failed:
            self.failed_loss[j] = max(self.failed_loss[j], loss)
        else:
            self.best_loss[i] = 0.8 * self.best_loss[i] + 0.2 * loss if self.best_loss[i] else loss
        self._failed = False
        return loss

    def state(self) -> dict[str, Any]:
        """Plain arrays and numbers."""
        names = ("banned", "dropped", "longer", "best_loss", "failed_loss", "safe_fails", "doubted", "wait", "backoff")
        return {name: getattr(self, name) for name in names}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned; raises KeyError, TypeError or ValueError for anything else."""
        for name in ("banned", "dropped", "longer", "best_loss", "failed_loss"):
            mine = getattr(self, name)
            values = np.array(state.get(name, mine) if name in ("dropped", "longer") else state[name], float)
            if values.shape != mine.shape or not np.all(np.isfinite(values)):
                raise ValueError(f"{name} has another shape or isn't finite")
            mine[:] = values
        self.safe_fails, self.doubted = bool(state["safe_fails"]), bool(state.get("doubted"))
        self.wait, self.backoff = int(state["wait"]), int(state["backoff"])


def _near(omega: float) -> slice:
    i = bin_of(omega)
    return slice(max(i - 1, 0), i + 2)
