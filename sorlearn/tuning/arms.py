"""Which arm solves next: the one that is expected to cost least or, as far as the budget reaches, one on trial.

An arm is a whole solver.  What it costs is time: its iterations, which a regression over the context predicts, times
the smoothed seconds that one takes, and its share of set-ups.  Trials are paid for: what they take beyond the incumbent
is limited to a share of all time so far and a few first solves in advance, the cheapest come first, and each but the
safe arm's is cut off at a multiple of the incumbent.  What was cut off is known to be dearer than that (a censored
observation).

This is a contextual bandit that is greedy but for optimistic trials under a budget.  W. Chu, L. Li, L. Reyzin,
R. Schapire, *Contextual bandits with linear payoff functions*, AISTATS 2011; the budget is that of Y. Wu et al.,
*Conservative bandits*, ICML 2016.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, erf, exp, inf, log, sqrt
from typing import Any, NamedTuple

import numpy as np

from ..errors import StateError
from ..learners import Context
from ..learners.state import Remembers
from .accuracy import FAILS
from .alone import Alone
from .arm import NOISE, RECENT, Arm, basis
from .budget import Budget
from .expected import Expected, Situation, expect
from .play import Play, Played

#: A trial is cut off at so many times the incumbent, any other play of a bold arm at so many times what is expected.
CUT, LOOSE = 1.5, 4.0
#: Trials are for arms that may cost less than the incumbent by this share; an arm replaces another from this share on.
GAIN, MARGIN = 0.05, 0.03
#: Standard deviations by which a trial may hope, and by which one of an arm that is known well; deviation from which on
#: a play is a bold one.
HOPE, HOPE_TRIED, BOLD = 1.0, 0.5, 0.3
#: Standard deviations by which the safe arm, where it doesn't solve, may be dearer than is expected.
DOUBT = 2.0
#: Solves over which the set-up is spread that an arm needs before it takes over; as many as the matrix has stayed for,
#: if those are more.
SPREAD = 25.0
#: What is forgotten at each decision of arms that aren't played.
IDLE = 0.0005
#: Most solves that repeat a decision.
LONGEST = 64
#: Most decisions for which a failed arm waits.
LONGEST_WAIT = 1024
#: Less than any solve takes, in seconds.
_INSTANT = 1e-12


class Lately(NamedTuple):
    """What came of the last decision: all solves, their seconds without set-ups, and those of set-ups, as far as they
    don't count in `Rule.total` yet; solves that have repeated it, and their iterations.
    """

    solves: int = 0
    took: float = 0.0
    set_up: float = 0.0
    repeats: int = 0
    iterations: float = 0.0


class Rule(Remembers):
    """Chooses arms and learns from what they cost; lives on rank 0, in constant memory.

    Parameters
    ----------
    kinds : sequence of str
        Each arm's type of preconditioner; the first arm is the safe one.
    share : float
        Share of the time that trials may cost.
    """

    _remembered = ("_changing",)

    def __init__(self, kinds: list[str], share: float) -> None:
        safe = Arm(kinds[0])
        twins = ("sor", "eisenstat")  # of one omega
        self.arms = [safe, *(Arm(kind, safe if (kinds[0], kind) == twins else None) for kind in kinds[1:])]
        self._kinds = list(kinds)
        self._factorising: float | None = None
        self._changing = 1.0  # share of decisions before which the matrix had changed
        self._budget = Budget(share)
        self._incumbent = self._solves = self._since = 0  # since: solves before the matrix last changed
        self._phi = basis(Context())
        self._expected = self._expect()
        self._play, self._lately = Play(0), Lately()
        self._alone = Alone(len(kinds))

    # -- before a solve

    def choose(self, context: Context, factorising: Callable[[], float] = lambda: 0.0) -> Play:
        """The arm for the coming solve, and perhaps for some after it.

        Parameters
        ----------
        context : Context
            What is known of it.
        factorising : callable
            Returns the seconds that a complete factorisation would take; called once, where one comes into question.
        """
        changed = context.matrix is None or context.matrix.novelty == 0.0
        self._changing += (changed - self._changing) * 0.1
        self._since = self._solves if changed else self._since
        for arm in self.arms:
            arm.ready, arm.wait = arm.ready and not changed, max(arm.wait - 1, 0)
        self.settle()
        self._see(basis(context))
        self._expected = expected = self._expect()
        self._incumbent = self._cheapest()
        trial = self._trial()
        if trial is not None and self.arms[trial].direct and self._factorising is None:
            self._factorising = factorising()
            self._expected = expected = self._expect()
            trial = self._trial()
        i = self._incumbent if trial is None else trial
        limit, repeats = 0.0, 0.0
        if trial is not None:  # of the safe arm, whatever it takes: what is cut off says nothing of its omega
            limit = CUT * expected[self._incumbent].cost / expected[i].each if i else 0.0
        elif expected[i].deviation > BOLD:
            limit = LOOSE * exp(expected[i].log_iterations) if i else 0.0
        # the next solve tells what is unknown of its iterations here; an arm that is new costs decisions enough
        unsure = expected[i].deviation > BOLD and self.arms[i].clocked(expected[i].log_iterations)
        if trial is None and not limit and not unsure:
            repeats = min(self._budget.repeats(expected[i].cost), LONGEST)
        self._play = Play(
            i, self._incumbent if trial is not None else 0, max(ceil(limit), 4) if limit else 0.0,
            self.arms[i].tighten, self.arms[self._incumbent].tighten, int(repeats), float(trial is not None),
        )  # fmt: skip
        return self._play

    def _see(self, phi: np.ndarray) -> None:
        """The context is this now; solves that have repeated the last decision were in contexts between the two."""
        lately = self._lately
        if lately.iterations:
            i = int(self._play.arm)
            average, apart = Played(lately.iterations / lately.repeats, 0.0), 2.0 * abs(float(phi[1] - self._phi[1]))
            self.arms[i].note(0.5 * (self._phi + phi), average, self._expected[i].log_iterations, apart)
        self._phi, self._lately = phi, Lately()

    def _expect(self) -> list[Expected]:
        now = Situation(self._phi, self._changing, self._factorising or 0.0, self._solves)
        expected = expect(self.arms, now)
        self._budget.now(expected[0].cost, self._changing > 0.5)
        return expected

    def _cheapest(self) -> int:
        """The incumbent, or what replaces it: an arm that was tried and is cheaper, its first set-up included."""
        old = self._incumbent

        def cost(i: int) -> float:
            expected = self._expected[i]
            if i == old:
                found = (1.0 - MARGIN) * expected.cost
            elif self.arms[i].tried and (expected.due == 0.0 or self._budget.reaches(expected.due)):
                found = expected.cost + expected.due / self._spread
            else:
                found = inf
            return found if i else min(found, 1e300)  # the safe arm always can

        return min(range(len(self.arms)), key=cost)

    def _trial(self) -> int | None:
        """The cheapest arm to try among those that may be better than the incumbent, if the budget reaches."""
        incumbent = self._expected[self._incumbent]
        if not self.arms[self._incumbent].clocked(incumbent.log_iterations) or incumbent.cost == inf:
            return None
        left = self._budget.for_trials
        prices = {
            i: expected.due + min(expected.solving, CUT * incumbent.cost)
            for i, (arm, expected) in enumerate(zip(self.arms, self._expected))
            if i != self._incumbent and self._hopeful(arm, expected, incumbent.cost)
            and expected.due + self._beyond(arm, expected, incumbent.cost) <= left
        }  # fmt: skip
        return min(prices, key=prices.__getitem__, default=None)

    @property
    def _spread(self) -> float:
        return max(SPREAD, self._solves - self._since)

    def _hopeful(self, arm: Arm, expected: Expected, incumbent: float) -> bool:
        """Whether it may be better."""
        hope = HOPE_TRIED if arm.clocked(0.0) else HOPE
        hoped = expected.solving * exp(-hope * expected.deviation) + expected.least + expected.due / self._spread
        return hoped < (1.0 - GAIN) * incumbent and expected.cost < inf

    def _beyond(self, arm: Arm, expected: Expected, incumbent: float) -> float:
        """Seconds, without set-ups, that a trial is expected to take beyond the incumbent; all of its own if cut."""
        most = CUT * incumbent
        sigmas = log(max(expected.solving, _INSTANT) / max(most, _INSTANT)) / (expected.deviation + NOISE)
        cut = 0.5 + 0.5 * erf(sigmas / sqrt(2.0))
        beyond = cut * most + (1.0 - cut) * (min(expected.solving, most) - incumbent)
        # one set-up doesn't serve for long where matrices change, so what an untried arm may save is a guess
        return beyond if arm.tried or not self._budget.changes else max(beyond, 0.0)

    # -- after it

    def note(self, played: Played, own: float | None, solves: int = 1) -> None:
        """Learn from a solve, or from the sums of several.

        Parameters
        ----------
        own : float or None
            Seconds that deciding took; None where the solve repeated a decision, and only its clocks are read.
        solves : int
            How many they are; 0 where another answer had to be found.
        """
        i = int(self._play.arm)
        arm = self.arms[i]
        self._budget.solved(played.total)
        self._lately = self._lately._replace(solves=self._lately.solves + solves,
                                             took=self._lately.took + played.seconds + played.rest,
                                             set_up=self._lately.set_up + played.set_up_seconds)  # fmt: skip
        arm.ready, arm.renews = True, arm.renews or played.renews
        if i:
            doubted = self._expected[0].cost * exp(DOUBT * self._expected[0].deviation)
            self._budget.fell_behind(played.total - solves * doubted)
        if self._play.trial:
            self._budget.tried(played.total, self._expected[self._incumbent].cost)
        again = self._solves < arm.until
        self._solves += solves
        arm.until = 0 if played.failed else self._solves + RECENT
        if played.failed:
            if i:
                arm.wait, arm.backoff, arm.ready = arm.backoff, min(2 * arm.backoff, LONGEST_WAIT), False
            return
        arm.count_set_ups(played, again, solves)
        if played.lacks is not None:
            arm.judged(played.lacks, solves, self._play.tighten)
        took = played.seconds
        if played.lacks is not None and played.lacks > FAILS:
            took += played.rest  # an arm that doesn't iterate can't be told to solve further
        each = played._replace(iterations=played.iterations / max(solves, 1), seconds=took / max(solves, 1))
        if each.iterations:
            arm.pace.note(each.seconds / (each.iterations + 1.0), each.iterations + 1.0, solves)
        if own is not None:
            self._budget.decided(own, bool(self._play.trial))
            for other in self.arms:
                other.iterations.forget(IDLE)
        if each.iterations and own is not None:
            arm.note(self._phi, each, self._expected[i].log_iterations)
        elif own is None and solves:
            self._lately = self._lately._replace(repeats=self._lately.repeats + solves,
                                                 iterations=self._lately.iterations + played.iterations)  # fmt: skip

    @property
    def total(self) -> np.ndarray:
        """Seconds that each arm alone would have taken, shape (3, arms): least, expected, most."""
        self.settle()
        now = Situation(self._phi, self._changing, self._factorising or 0.0, self._solves)
        total = self._alone.seconds(lambda phi, changing: expect(self.arms, now._replace(phi=phi, changing=changing)))
        total[:, [arm.absent for arm in self.arms]] = inf
        return total

    def settle(self) -> None:
        """Have the solves since the last decision count in `total`."""
        solves, took, set_up = self._lately[:3]
        if solves or took or set_up:
            instead = int(self._play.heir) if self._play.trial else None
            self._alone.solved(self._phi, self._changing, int(self._play.arm), solves, took, set_up, instead)
        self._lately = self._lately._replace(solves=0, took=0.0, set_up=0.0)

    # -- what stays

    def state(self) -> dict[str, Any]:
        """All that choosing as before needs: plain arrays and numbers."""
        arms = [arm.state() for arm in self.arms]
        return {**super().state(), **self._budget.state(), "kinds": self._kinds, "arms": arms}

    def take_over(self, state: dict[str, Any]) -> None:
        """Go on where the rule that returned this state stopped; raises StateError and is unchanged then."""
        kinds = state.get("kinds")
        if kinds != self._kinds:
            raise StateError(f"of arms {kinds}, not {self._kinds}")
        try:
            mine, budget = self._checked(state), self._budget._checked(state)
            arms = [arm._checked(saved) for arm, saved in zip(self.arms, state["arms"], strict=True)]
        except (KeyError, TypeError, ValueError) as error:
            raise StateError(f"not a state of arms: {error}") from None
        self._adopt(mine)
        self._budget._adopt(budget)
        for arm, saved in zip(self.arms, arms):
            arm._adopt(saved)

    def leave_out(self, i: int) -> None:
        """This arm isn't there, or refuses the matrix."""
        self.arms[i].absent = True

    def let_go(self, i: int) -> None:
        """Its set-up is gone."""
        self.arms[i].ready = False
