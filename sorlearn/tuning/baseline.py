"""What the safe ω would have cost, and when it is due: one budget for all learners.

A conservative bandit plays the safe action whenever the total might otherwise exceed that of the safe action by more
than a share [1]_ [2]_.  What the safe ω costs is seen in the solves that are played at it, the audits; between them it
is predicted, and every prediction is in doubt until audits have borne it out.

References
----------
.. [1] Y. Wu, R. Shariff, T. Lattimore, C. Szepesvári, *Conservative bandits*, ICML 2016.
.. [2] A. Kazerouni, M. Ghavamzadeh, Y. Abbasi-Yadkori, B. Van Roy, *Conservative contextual linear bandits*, NIPS 2017.
"""

from __future__ import annotations

from math import sqrt
from typing import Any, Callable, ClassVar

from ..learners.state import Remembers

#: Mean cost of the safe ω, in iterations + 1, up to which there is nothing to learn; for a learner that predicts
#: nothing and so would have to try everything; saved share that disproves it.
TINY, BLIND_TINY, PROVEN = 4.0, 8.0, 0.1
#: Weight of the newest solve in that mean, at least.
NEWEST = 0.2
#: Where the first solve at the safe ω cost no more, a second one shows whether it stays at so few.
FEW = 6.0
#: Share of the safe ω's total that a learner may lose, and one that predicts nothing and so has to try everything.
SHARE, BLIND_SHARE = 0.02, 0.05
#: Solves for which it is granted in advance.
ADVANCE = 20.0
#: Relative standard deviation of the predictions before any audit of them, and the weight of that, in audits.
DOUBT, PRIOR = 0.2, 2.0
#: What is predicted above so many times the dearest audit isn't believed.
CREDIBLE = 1.3
#: An audit is due where this many times the dearest one was foreseen for so many solves: predictions so far from all
#: audits are guesses.  After each it takes this many times as much as before, at least: it may have met an easy system.
#: It waits until what is foreseen, of which so many times the dearest audit counts, is this share of what was spent.
FAR, OFTEN_FAR, FARTHER, FARTHEST, AT_ONCE = 2.0, 64, 1.5, 4.0, 0.02
#: Solves between two audits, at least.  Their number rises with the square of what is saved, in units of this share,
#: and with all solves, in units of so many; but this share of the total audits may always cost.
APART, TELLING, LONG, AFFORDED = 4.0, 0.05, 25.0, 0.001
#: A trial is cut off at so many times the dearest of the last audits: at more it would take long to earn it again; and
#: after the first one alone, as a loss early in a short run isn't earned again, where the system isn't harder.
TIMES, FIRST_TIMES, HARDER = 3.0, 2.2, 2.0
#: Where only a doubt that nothing adds evidence to keeps from trials, one is made after so many solves nevertheless.
PAUSE = 16
#: Factor by which an audit may be cheaper than was predicted; after the second one in a row that is by more, what was
#: predicted since the last that wasn't is taken back in proportion, as far as there is still something to lose.
MISSED = 1.1


class Baseline(Remembers):
    """The account of one solver, in constant memory.  Costs are iterations + 1, those of repairs included.

    What a learner predicts counts as far as it is credible, less a doubt: a standard error, which audits lower, and
    what they have cost less than was predicted.  While more than that was spent the safe ω is due; in good times it is
    due the more rarely the better they are.

    ``strict.py`` has an account that believes no prediction.

    Attributes
    ----------
    spent, estimate : float
        What was spent, and what the safe ω would have cost.
    price : float
        What an audit takes, its decisions included, over its solve.
    chance : float
        Probability of what was decided last, an audit or none.
    """

    _remembered: ClassVar[tuple[str, ...]] = (
        "solves", "audits", "evidence", "since", "spent", "estimate", "unseen", "beyond", "level", "dearest",
        "predicts", "streak", "pending", "missed", "highest", "foreseen", "far", "told",
    )  # fmt: skip

    _due, _tests = True, False  # whether what was decided last is an audit, and one of what was predicted

    def __init__(self) -> None:
        self.solves = self.audits = self.evidence = self.since = 0
        self.spent = self.estimate = 0.0
        self.unseen = self.pending = 0.0  # predicted part of the estimate; of it what no audit has borne out
        self.missed = False  # whether the last audit was far cheaper than predicted
        self.level = self.dearest = 0.0  # costs at the safe ω: mean, dearest of late
        self.highest = self.foreseen = 0.0  # cost of the dearest audit; what was foreseen last that was far more
        self.far = 0  # solves for which far more was foreseen
        self.told = self.beyond = 0.0  # sums of what was believed before audits, and of what they cost beyond it
        self.streak = 0  # solves at the safe ω in a row
        self.predicts = False
        self.price = self.chance = 1.0

    @property
    def tests(self) -> bool:
        """Whether what was decided last is an audit of what was predicted."""
        return self._tests

    @property
    def tiny(self) -> bool:
        """Whether the safe ω takes so few iterations that there is nothing to learn, and nothing was gained either."""
        return 0.0 < self.level <= self.few + 1.0 and self.spent > (1.0 - PROVEN) * self.estimate

    @property
    def few(self) -> float:
        """Iterations of the safe ω up to which that is so."""
        return (TINY if self.predicts else BLIND_TINY) - 1.0

    @property
    def margin(self) -> float:
        """What may still be lost, in iterations."""
        return self._expected_margin() - DOUBT / sqrt(1.0 + self.evidence) * self.unseen

    def _expected_margin(self) -> float:
        """The same without the standard error."""
        share = SHARE if self.predicts else BLIND_SHARE
        granted = share * max(self.estimate, ADVANCE * self.level)
        return self.estimate + granted - max(-self._bias(), 0.0) * self.unseen - self.spent

    def begin(self, price: float) -> None:
        """A decision comes, and costs this much: repeats of the one before are entered."""
        self.price = price

    def must(self) -> None:
        """The coming solve is played at the safe ω, due or not."""
        self._due = True

    def due(self) -> bool:
        """Whether the coming solve is to be played at the safe ω."""
        self._due = self._is_due()
        self._tests = self._due and self.since > 0
        return self._due

    def _is_due(self) -> bool:
        if self.audits < 1 + (self.level <= FEW) or self.tiny:
            return True
        if self._far_off and min(self.foreseen, FARTHEST * self.highest) <= AT_ONCE * self.spent:
            return True
        margin = self.margin
        if margin < 0.0:
            return self.streak < PAUSE or self._expected_margin() < 0.0
        saved = margin / self.spent
        rarely = (saved / TELLING) ** 2 * max(1.0, self.solves / LONG)
        return self.since > APART + min(rarely, self.price * saved / AFFORDED)

    def limit(self, harder: Callable[[], float] = lambda: 1.0) -> float:
        """Iterations after which a trial is cut off; 0 for none.

        Parameters
        ----------
        harder : callable
            Says what the learner expects of the safe ω over what its first solve cost; it is asked where an audit of
            that one is all that is known.
        """
        if not self.audits:
            return 0.0
        usual = max(self.dearest, self.level)
        if self.audits > 1:
            return TIMES * usual
        foreseen = min(harder(), HARDER)
        return (TIMES * foreseen if foreseen > 1.0 else FIRST_TIMES) * usual

    def enter(self, cost: float, *, safe: bool, ratio: float | None, solves: int = 1, limit: float = 0.0,
              at_safe: float | None = None) -> None:  # fmt: skip
        """A solve cost this much, or several did so on average.

        Parameters
        ----------
        safe : bool
            Whether it was played at the safe ω.
        ratio : float or None
            What it would have cost at the safe ω, over `cost`, in the learner's opinion; where it was played there,
            what the learner had predicted.  None where it has no opinion.
        limit : float
            Iterations after which a trial was to be cut off; 0 for none.
        at_safe : float, optional
            What a solve that failed would have cost at the safe ω alone; the rest of `cost` comes of learning.
        """
        self.solves += solves
        self.spent += solves * cost
        if not safe or ratio is not None:
            self.predicts = ratio is not None
        self.streak = self.streak + solves if safe else 0
        if safe:
            self._audit(cost if at_safe is None else at_safe, ratio, solves)
        else:
            self._predict(cost, ratio, solves, limit, at_safe)

    def spare(self, solves: int) -> int:
        """How many of so many further solves may repeat the last, with nothing due in between.

        Called with 0 where repeats end before they were to.
        """
        return solves

    def _checked(self, state: dict[str, Any]) -> dict[str, Any]:
        """Of older states, too."""
        older = {"highest": state["dearest"], "foreseen": 0.0, "far": 0, "told": float(state["evidence"])}
        return super()._checked({**older, **state})

    @property
    def _far_off(self) -> bool:
        """Whether predictions have been far from all audits for long."""
        return self.far >= OFTEN_FAR

    def _bias(self) -> float:
        """What audits cost beyond the predictions before them: as a share of these, near nought while there are few."""
        return self.beyond / self.told * self.evidence / (self.evidence + PRIOR) if self.told else 0.0

    def _audit(self, cost: float, ratio: float | None, solves: int) -> None:
        self.estimate += solves * cost
        if not self._due and ratio is not None:  # a learner plays safe where matrices are easy: that bears out nothing
            self.dearest = max(cost, self.dearest)
            self._follow(cost, self.solves, solves)
            return
        believed = self._believed(cost, ratio)
        self.highest = max((FARTHER if self._far_off else 1.0) * self.highest, cost)
        if self.since and believed > 0.0:
            self.evidence += 1
            self.told += believed
            self.beyond += min(cost - believed, believed)
            self._take_back(cost, believed)
        self.audits, self.since, self.far = self.audits + solves, 0, 0
        self._follow(cost, self.audits, solves)
        self.dearest = max(cost, 0.9**solves * self.dearest)

    def _take_back(self, cost: float, believed: float) -> None:
        """An audit cost this much where so much was predicted."""
        missed = believed > MISSED * cost
        if missed and self.missed:
            self.estimate -= min((1.0 - cost / believed) * self.pending, max(self._expected_margin(), 0.0))
        if not missed or self.missed:
            self.pending = 0.0
        self.missed = missed and not self.missed

    def _predict(self, cost: float, ratio: float | None, solves: int, limit: float, at_safe: float | None) -> None:
        """Trials: what the safe ω would have cost is predicted, where it wasn't seen."""
        believed, seen = self._believed(cost, ratio), 0.0
        if at_safe is not None:
            believed = seen = at_safe
        elif cost > limit + 1.0 > 1.0:  # cut off: the rest was the safe ω's, from a better guess
            seen = cost - limit
            self.dearest, believed = max(self.dearest, seen), max(believed, seen)
        if ratio is not None:
            if ratio * cost > FAR * self.highest:
                self.far, self.foreseen = self.far + solves, ratio * cost
            self._follow(believed, self.solves, solves)
        self.estimate += solves * believed
        self.unseen += solves * believed - seen
        self.since += solves
        self.pending += solves * believed - seen

    def _believed(self, cost: float, ratio: float | None) -> float:
        """What the safe ω would have cost, as far as the learner's opinion is credible; the level where it has none."""
        return self.level if ratio is None else min(ratio * cost, CREDIBLE * self.highest)

    def _follow(self, cost: float, count: int, solves: int) -> None:
        kept = (1.0 - max(NEWEST, 1.0 / count)) ** solves
        self.level += (1.0 - kept) * (cost - self.level)
