"""What has become easier while a set-up was kept: a new one is made now and then to see what solves take with it.

Where all cost the same, the average that the rule goes by says nothing.
"""

from __future__ import annotations

#: A set-up that takes this share of what solves with the last one have is made to see what they take now; so much less
#: where the one before had found nothing new, down to a least.
LOOK, AGAIN, SELDOM = 0.02, 0.5, 0.01
#: What is new: solves with kept set-ups take less than this share of what those with the one before took.
NEW = 0.9


class News:
    """Solves with kept set-ups since the last one with a fresh set-up.

    Attributes
    ----------
    share : float
        Of what solves with the last set-up have taken, which another one is worth for a look.
    """

    def __init__(self) -> None:
        self.share = LOOK
        self._usual = 0.0  # what a solve with the set-up before took, where that was kept
        self._begin()

    def _begin(self) -> None:
        self._solves, self._total, self._excess = 0, 0.0, 0.0

    def kept(self, cost: float, fresh: float) -> None:
        """One took so much, and the last with a fresh set-up before it so much."""
        self._solves, self._total = self._solves + 1, self._total + cost
        self._excess += max(cost - fresh, 0.0)

    def found(self, fresh: float) -> float:
        """A solve with a fresh set-up took so much; returns what they took beyond that, and more than was thought."""
        if not self._solves:
            return 0.0
        before, self._usual = self._usual, self._total / self._solves
        self.share = LOOK if self._usual < NEW * before else max(AGAIN * self.share, SELDOM)
        beyond = max(self._total - self._solves * fresh - self._excess, 0.0)
        self._begin()
        return beyond
