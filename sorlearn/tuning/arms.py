"""Which arm solves next: the one that is expected to cost least or, as far as the budget reaches, one on trial.

An arm is a whole solver.  What it costs is time: its iterations, which a regression over the context predicts, times
the smoothed seconds that one takes, and its share of set-ups.  Trials are paid for: what they take beyond the incumbent
is limited to a share of all time so far and a few first solves in advance, the cheapest come first, and each is cut off
at a multiple of the incumbent.  What was cut off is known to be dearer than that (a censored observation).

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
from .arm import COLD, NOISE, PRIOR, RECENT, Arm, basis
from .clocks import Clocks
from .play import Play, Played

#: Solves of the safe arm that trials may cost in advance of their share; likewise where the matrix stays.
ADVANCE, STAYING = 0.8, 1.5
#: A trial is cut off at so many times the incumbent, any other play of a bold arm at so many times what is expected.
CUT, LOOSE = 1.5, 4.0
#: Trials are for arms that may cost less than the incumbent by this share; an arm replaces another from this share on.
GAIN, MARGIN = 0.05, 0.03
#: Standard deviations by which a trial may hope, and by which one of an arm that is known well; deviation from which on
#: a play is a bold one.
HOPE, HOPE_TRIED, BOLD = 1.0, 0.5, 0.3
#: Standard deviations by which the safe arm, where it doesn't solve, may be dearer than is expected.
DOUBT = 2.0
#: Solves over which the set-up is spread that an arm needs before it takes over.
SPREAD = 25.0
#: Set-ups an arm makes for each new matrix before that is known, though none that takes longer than to solve does, and
#: the weight of this, in solves; and what the first set-up, in which memory is allocated, says of later ones.
SET_UPS, WEIGHT, FIRST = 0.3, 4.0, 0.3
#: What is forgotten at each decision of arms that aren't played.
IDLE = 0.0005
#: Share of the time that deciding may take, and solves of the safe arm that it may take in advance; most solves that
#: repeat a decision.
DECIDING, AT_ONCE, LONGEST = 0.005, 1.0, 64
#: Most decisions for which a failed arm waits.
LONGEST_WAIT = 1024
#: Less than any solve takes, in seconds.
_INSTANT = 1e-12


class Expected(NamedTuple):
    """What is expected of an arm in the coming solve; one that is absent or waits costs infinity.

    Attributes
    ----------
    log_iterations, deviation : float
        Mean and standard deviation of the log of iterations + 1.
    each, solving : float
        Seconds an iteration, and of all.
    share, least : float
        Seconds of set-ups in an average solve; what of it has been seen.
    due : float
        Seconds of the set-up that the next solve takes.
    cost : float
        Seconds of an average solve.
    """

    log_iterations: float
    deviation: float
    each: float
    solving: float
    share: float
    least: float
    due: float
    cost: float


class Rule(Remembers):
    """Chooses arms and learns from what they cost; lives on rank 0, in constant memory.

    Parameters
    ----------
    kinds : sequence of str
        Each arm's type of preconditioner; the first arm is the safe one.
    share : float
        Share of the time that trials may cost.

    Attributes
    ----------
    total : ndarray, shape (3, arms)
        Seconds that each arm alone would have taken: least, expected, most.
    """

    _remembered = ("_changing", "_spent", "_lost", "_behind", "_first", "_deciding")

    def __init__(self, kinds: list[str], share: float) -> None:
        safe = Arm(kinds[0])
        twins = ("sor", "eisenstat")  # of one omega
        self.arms = [safe, *(Arm(kind, safe if (kinds[0], kind) == twins else None) for kind in kinds[1:])]
        self._kinds = list(kinds)
        self._factorising: float | None = None
        self._share = share
        self._changing = 1.0  # share of decisions before which the matrix had changed
        self._spent = self._lost = self._behind = self._first = self._deciding = 0.0
        self._own = Clocks()
        self._incumbent = self._since = self._solves = 0
        self._took = 0.0  # by the solves since the last decision, without set-ups
        self._phi = basis(Context())
        self._expected = self._expect()
        self._play = Play(0)
        self._repeated = 0, 0.0  # solves that have repeated the last decision, and their iterations
        self.total = np.zeros((3, len(kinds)))

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
            repeats = min(self._owed() / (DECIDING * max(expected[i].cost, 1e-9)), LONGEST)
        self._play = Play(
            i, self._incumbent if trial is not None else 0, max(ceil(limit), 4) if limit else 0.0,
            self.arms[i].tighten, self.arms[self._incumbent].tighten, int(repeats), float(trial is not None),
        )  # fmt: skip
        return self._play

    def _see(self, phi: np.ndarray) -> None:
        """The context is this now; solves that have repeated the last decision were in contexts between the two."""
        solves, iterations = self._repeated
        if iterations:
            i = int(self._play.arm)
            average, apart = Played(iterations / solves, 0.0), 2.0 * abs(float(phi[1] - self._phi[1]))
            self.arms[i].note(0.5 * (self._phi + phi), average, self._expected[i].log_iterations, apart)
        self._phi, self._repeated = phi, (0, 0.0)

    def _expect(self) -> list[Expected]:
        safe = self.arms[0]
        its, deviation = safe.predict(self._phi)
        unit = safe.pace.at(its)
        return [self._expect_of(arm, its, deviation, unit) for arm in self.arms]

    def _expect_of(self, arm: Arm, safe: float, safe_deviation: float, unit: float) -> Expected:
        """The safe arm's iterations and seconds of one are what untried arms are measured by."""
        kind = arm.kind
        if arm.tried:
            its, deviation = arm.predict(self._phi)
            deviation += COLD * (not arm.clocked(its))
        else:
            its, deviation = (log(kind.iterations), 0.0) if kind.iterations > 0.0 else (
                safe + log(-kind.iterations), safe_deviation)  # fmt: skip
            deviation += PRIOR
        its = min(max(its, 0.0), 15.0)
        each = arm.pace.at(its) or kind.each * unit
        first = max(self._factorising or 0.0, kind.set_up * unit) if arm.direct else kind.set_up * unit
        again = arm.set_up.believed if arm.set_up.count > 1 else FIRST * (arm.set_up.believed or first)
        solving = exp(its) * each
        supposed = min(SET_UPS * self._changing * again, solving)
        share, least = ((arm.set_ups * again + WEIGHT * more) / (arm.solves + WEIGHT) for more in (supposed, 0.0))
        due = 0.0
        if not arm.ready:
            due = share if self._solves < arm.until else again if arm.set_up.count else first
        cost = solving + share if not (arm.absent or arm.wait) else inf
        return Expected(its, deviation, each, solving, share, least, due, cost)

    def _cheapest(self) -> int:
        """The incumbent, or what replaces it: an arm that was tried and is cheaper, its first set-up included."""
        old, allowance = self._incumbent, self._allowance()

        def cost(i: int) -> float:
            expected = self._expected[i]
            if i == old:
                found = (1.0 - MARGIN) * expected.cost
            elif self.arms[i].tried and (expected.due == 0.0 or self._behind + expected.due <= allowance):
                found = expected.cost + expected.due / SPREAD
            else:
                found = inf
            return found if i else min(found, 1e300)  # the safe arm always can

        return min(range(len(self.arms)), key=cost)

    def _trial(self) -> int | None:
        """The cheapest arm to try among those that may be better than the incumbent, if the budget reaches."""
        incumbent = self._expected[self._incumbent]
        if not self.arms[self._incumbent].clocked(incumbent.log_iterations) or incumbent.cost == inf:
            return None
        left = self._allowance() - max(self._lost, self._behind) - self._decisions
        prices = {
            i: expected.due + min(expected.solving, CUT * incumbent.cost)
            for i, (arm, expected) in enumerate(zip(self.arms, self._expected))
            if i != self._incumbent and self._hopeful(arm, expected, incumbent.cost)
            and expected.due + self._beyond(arm, expected, incumbent.cost) <= left
        }  # fmt: skip
        return min(prices, key=prices.__getitem__, default=None)

    @staticmethod
    def _hopeful(arm: Arm, expected: Expected, incumbent: float) -> bool:
        """Whether it may be better."""
        hope = HOPE_TRIED if arm.clocked(0.0) else HOPE
        hoped = expected.solving * exp(-hope * expected.deviation) + expected.least + expected.due / SPREAD
        return hoped < (1.0 - GAIN) * incumbent and expected.cost < inf

    def _beyond(self, arm: Arm, expected: Expected, incumbent: float) -> float:
        """Seconds, without set-ups, that a trial is expected to take beyond the incumbent; all of its own if cut."""
        most = CUT * incumbent
        sigmas = log(max(expected.solving, _INSTANT) / max(most, _INSTANT)) / (expected.deviation + NOISE)
        cut = 0.5 + 0.5 * erf(sigmas / sqrt(2.0))
        beyond = cut * most + (1.0 - cut) * (min(expected.solving, most) - incumbent)
        # one set-up doesn't serve for long where matrices change, so what an untried arm may save is a guess
        return beyond if arm.tried or not self._changes else max(beyond, 0.0)

    @property
    def _decisions(self) -> float:
        """Seconds of deciding for a trial, and again after it."""
        return 2.0 * self._own.believed

    def _owed(self) -> float:
        """Seconds that deciding, once more, will have taken beyond its share."""
        granted = AT_ONCE * self._once() + DECIDING * self._spent
        return max(self._deciding + self._own.believed - granted, 0.0)

    def _once(self) -> float:
        """Seconds of a solve of the safe arm; the first may have had to make what stays."""
        return min(self._first, self._expected[0].cost)

    def _allowance(self) -> float:
        """Seconds by which trials may exceed what the incumbent takes, and all solves what the safe arm takes."""
        return (ADVANCE if self._changes else STAYING) * self._once() + self._share * self._spent

    @property
    def _changes(self) -> bool:
        """Whether the matrix changes from solve to solve, rather than stays."""
        return self._changing > 0.5

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
        self._first = self._first or played.total
        self._spent += played.total
        self._since += solves
        self._took += played.seconds + played.rest
        arm.ready = True
        if i:
            doubted = self._expected[0].cost * exp(DOUBT * self._expected[0].deviation)
            self._behind += played.total - solves * doubted
        if self._play.trial:
            taken = played.total + self._decisions
            self._lost = max(self._lost + taken - self._expected[self._incumbent].cost, 0.0)
        again = self._solves < arm.until
        self._solves += solves
        arm.until = 0 if played.failed else self._solves + RECENT
        if played.failed:
            if i:
                arm.wait, arm.backoff, arm.ready = arm.backoff, min(2 * arm.backoff, LONGEST_WAIT), False
            return
        arm.count_set_ups(played, again, solves)
        if played.lacks is not None:
            arm.judged(played.lacks, solves)
        each = played._replace(iterations=played.iterations / max(solves, 1), seconds=played.seconds / max(solves, 1))
        if each.iterations:
            arm.pace.note(each.seconds / (each.iterations + 1.0), each.iterations + 1.0, solves)
        if own is not None:
            self._own.note(own)
            if self._own.count > 1 and not self._play.trial:  # the first makes what stays; trials pay for theirs
                self._deciding += self._own.believed
            for other in self.arms:
                other.iterations.forget(IDLE)
        if each.iterations and own is not None:
            arm.note(self._phi, each, self._expected[i].log_iterations)
        elif own is None and solves:
            self._repeated = self._repeated[0] + solves, self._repeated[1] + played.iterations

    def settle(self) -> None:
        """Have the solves since the last decision count in `total`: they took what they took, others in proportion."""
        solves, took, self._since, self._took = self._since, self._took, 0, 0.0
        used = int(self._play.heir if self._play.trial else self._play.arm)
        if not self._expected[used].solving:  # nothing is known yet
            self.total += took
            return
        alike = float(solves) if self._play.trial else took / self._expected[used].solving
        for i, expected in enumerate(self._expected if solves else ()):
            spread = 1.0 if i == used else exp(2.0 * expected.deviation)
            alone = (expected.solving * side + expected.share for side in (1.0 / spread, 1.0, spread))
            self.total[:, i] += [alike * seconds for seconds in alone]

    # -- what stays

    def state(self) -> dict[str, Any]:
        """All that choosing as before needs: plain arrays and numbers."""
        return {**super().state(), "kinds": self._kinds, "arms": [arm.state() for arm in self.arms]}

    def take_over(self, state: dict[str, Any]) -> None:
        """Go on where the rule that returned this state stopped; raises StateError and is unchanged then."""
        kinds = state.get("kinds")
        if kinds != self._kinds:
            raise StateError(f"of arms {kinds}, not {self._kinds}")
        try:
            mine = self._checked(state)
            arms = [arm._checked(saved) for arm, saved in zip(self.arms, state["arms"], strict=True)]
        except (KeyError, TypeError, ValueError) as error:
            raise StateError(f"not a state of arms: {error}") from None
        self._adopt(mine)
        for arm, saved in zip(self.arms, arms):
            arm._adopt(saved)

    def leave_out(self, i: int) -> None:
        """This arm isn't there, or refuses the matrix."""
        self.arms[i].absent = True
        self.total[:, i] = inf

    def let_go(self, i: int) -> None:
        """Its set-up is gone."""
        self.arms[i].ready = False
