"""What the sessions of one name come to, for the end of the run."""

from __future__ import annotations

from ..names import kin
from ..options import Settings
from ..records.log import RECORDS
from ..records.summary import Tally, summarise
from .comparison import Comparison
from .review import Review


class Total:
    """Adds up reviews; of sessions that are no more only sums are kept, however many there were.

    Parameters
    ----------
    settings : Settings
        The options of all.
    at_random : bool
        Whether audits are drawn at random.
    """

    def __init__(self, settings: Settings, at_random: bool) -> None:
        self._settings, self._tally, self._sessions = settings, Tally(), 0
        self._comparison = Comparison(at_random)
        self._priced = 0.0  # sum of prices over solves
        self._omegas: list[float] = []
        self._name: str | None = None
        self._open: dict[Review, None] = {}

    def begin(self, review: Review) -> None:
        """A session begins, which will count in this review."""
        self._open[review] = None
        self._name = review.name if self._name in (None, review.name) else kin(review.name)

    def end(self, review: Review) -> None:
        """This one is no more."""
        if review in self._open:
            self._add(review)
            del self._omegas[:-RECORDS]

    def _add(self, review: Review) -> None:
        del self._open[review]
        self._tally.add(review.tally)
        self._sessions += review.tally.solves > 0
        self._comparison.add(review.comparison)
        self._priced += review.tally.solves * review.price
        self._omegas += review.omegas

    def summary(self) -> str:
        """A few lines for the end of the run, which all sessions end with."""
        for review in list(self._open):
            self._add(review)
        tally, settings = self._tally, self._settings
        price = round(self._priced / tally.solves, 1) if tally.solves else 1.0  # as `Price` does
        return summarise(self._name or "", settings.learner, tally, self._omegas, settings.omega,
                         self._comparison.savings(), price, self._sessions)  # fmt: skip
