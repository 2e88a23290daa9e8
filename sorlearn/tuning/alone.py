"""What each arm alone would have taken for all solves, by what is known of it in the end.

Seconds of solves that an arm has made are its own; those of others are what it would be expected to take now, in the
contexts that they were in.  So what is learned late of an arm counts for the solves before, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp, hypot

import numpy as np

from .expected import Expected

#: Contexts whose logs of the dominance's root are in the same interval of this length count as one.
WIDTH = 0.125
#: Factor by which systems solved with an arm may be harder than it is expected to find them, or easier.
HARDER = 2.0
#: Standard deviation of the log of seconds an iteration at other times of a run.
CLOCK = 0.1


class _Contexts:
    """Solves in contexts that count as one.

    Attributes
    ----------
    solves, took, trials : ndarray, shape (arms,)
        Solves of each arm, their seconds without set-ups, and trials of others in its place.
    """

    def __init__(self, arms: int, dim: int) -> None:
        self.solves, self.took, self.trials = np.zeros((3, arms))
        self._phi, self._changing, self._count = np.zeros(dim), 0.0, 0

    def seen(self, phi: np.ndarray, changing: float) -> None:
        """One of them, and the share of decisions with another matrix."""
        self._phi, self._changing, self._count = self._phi + phi, self._changing + changing, self._count + 1

    @property
    def middle(self) -> tuple[np.ndarray, float]:
        """Averages of both."""
        return self._phi / self._count, self._changing / self._count


class Alone:
    """Sums of solves by context and arm; constant memory."""

    def __init__(self, arms: int) -> None:
        self._own = np.zeros(arms)  # seconds of its solves, and of its first set-up
        self._set_up = np.zeros(arms, bool)
        self._contexts: dict[int, _Contexts] = {}

    def solved(self, phi: np.ndarray, changing: float, arm: int, solves: int, took: float, set_up: float,
               instead: int | None) -> None:  # fmt: skip
        """So many solves of this arm took so many seconds, and its set-ups.

        Parameters
        ----------
        phi : ndarray, shape (13,)
            Their context.
        changing : float
            Share of decisions before which the matrix had changed.
        instead : int or None
            The arm that they were on trial for, if they were.
        """
        where = round(float(phi[1]) / WIDTH)
        if where not in self._contexts:
            self._contexts[where] = _Contexts(len(self._own), len(phi))
        alike = self._contexts[where]
        alike.seen(phi, changing)
        if instead is None:
            alike.solves[arm] += solves
            alike.took[arm] += took
            self._own[arm] += took + set_up
        else:
            alike.trials[instead] += solves
            self._own[arm] += set_up * (not self._set_up[arm])
        self._set_up[arm] |= set_up > 0.0

    def seconds(self, expect: Callable[[np.ndarray, float], Sequence[Expected]]) -> np.ndarray:
        """Of each arm, shape (3, arms): least, expected, most.

        Parameters
        ----------
        expect : callable
            Returns what is expected of all arms in a context, with that share of other matrices.
        """
        total = np.tile(self._own, (3, 1))
        for alike in self._contexts.values():
            for i, expected in enumerate(found := expect(*alike.middle)):
                spread = exp(2.0 * hypot(expected.deviation, CLOCK))
                alone = np.array([expected.solving * side + expected.share for side in (1.0 / spread, 1.0, spread)])
                total[:, i] += alone * (alike.trials.sum() - alike.trials[i])
                total[:, i] += (expected.solving + expected.share) * alike.trials[i]
                total[:, i] += sum(_others(alone, alike, i, found))
        return total


def _others(alone: np.ndarray, alike: _Contexts, i: int, expected: Sequence[Expected]) -> list[np.ndarray]:
    """What this arm would have taken for the solves of each of the others, which may have been harder than expected."""
    found = []
    for other in range(len(expected)):
        if other == i or not alike.solves[other]:
            continue
        solves, took, solving = alike.solves[other], alike.took[other], expected[other].solving
        if solving:
            found.append(alone * min(max(took / solving, solves / HARDER), solves * HARDER))
        else:  # nothing is known
            found.append(np.full(3, took))
    return found
