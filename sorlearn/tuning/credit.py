"""What may be lost by keeping set-ups: an account that solves pay into, and that decides when keeping is tried again.

Set-ups for every matrix are the safe action here; Y. Wu, R. Shariff, T. Lattimore, C. Szepesvári, *Conservative
bandits*, ICML 2016.
"""

from __future__ import annotations

from math import ceil

#: Share of what setting up for every matrix would cost that may be lost by keeping set-ups.
SHARE = 0.01
#: In usual fresh solves with their set-ups: what there must be to lose before keeping is tried where it was too dear,
#: and the most that there is; the part of a gain that may be lost again.
CREDIT, MOST_CREDIT, AGAIN = 2.0, 20.0, 0.5
#: Weight of a set-up in what is usual.
USUAL = 0.05
#: From so many solves in a row on that keeping was too dear for, as many may follow that nobody asks of, up to a limit.
FROM, LONGEST_REST = 8, 64


class Credit:
    """The account of one preconditioner, in its applications.

    Attributes
    ----------
    dear : int
        Solves in a row that keeping was too dear for.
    """

    def __init__(self) -> None:
        self.dear = 0
        self._usual = self._left = 0.0  # a fresh solve with its set-up; what may still be lost
        self._pause, self._lost = 0, 0  # solves till keeping is tried again; trials that have lost in a row

    @property
    def used_up(self) -> bool:
        """Whether nothing may be lost any more."""
        return self._left <= 0.0

    def put_off(self, fresh: float) -> int:
        """Coming solves before keeping is tried again after a trial that lost: ever more, and till it is affordable.

        Parameters
        ----------
        fresh : float
            What a solve takes with its set-up.
        """
        earned, missing = SHARE * fresh, CREDIT * self._usual - self._left
        if missing > 0.0:
            return max(ceil(missing / earned), self._pause) if earned > 0.0 else LONGEST_REST
        return self._pause

    def rest(self, fresh: float) -> int:
        """Coming solves that may all be set up for without a question: keeping is too dear, and can't be tried yet."""
        return min(self.put_off(fresh), self.dear, LONGEST_REST) if self.dear >= FROM else 0

    def solved(self, fresh: float) -> None:
        """A solve, whatever it took, pays in its share of what it takes with a set-up."""
        self._earn(SHARE * fresh)

    def set_up(self, fresh: float) -> None:
        """It began with a set-up."""
        self._pause = max(self._pause - 1, 0)
        if not self._usual:
            self._usual, self._left = fresh, 0.5 * CREDIT * fresh
        self._usual += USUAL * (fresh - self._usual)
        self._left = min(self._left, MOST_CREDIT * self._usual)

    def kept(self, gain: float, trial: bool) -> None:
        """Keeping gained so much in a solve, or lost it; a trial is the first one after a set-up."""
        if gain > 0.0:
            self._lost = 0
            self._earn(AGAIN * gain)
        else:
            if trial:
                self._pause, self._lost = 2**self._lost, min(self._lost + 1, 10)
            self._left += gain

    def _earn(self, applications: float) -> None:
        self._left = min(self._left + applications, MOST_CREDIT * self._usual)
