"""Where every solve is entered: in what further choices depend on, and in what the user will be told."""

from __future__ import annotations

from .accuracy import Accuracy
from .baseline import Baseline
from .decision import Decision
from .pricing import Pricing
from .record import MET, Outcome, Passed, Solve
from .review import Review
from .vetoes import Vetoes


class Books:
    """Of one session, which lends its rooms.

    Repeats that were as they should be are summed up, and count together before the next decision: so it doesn't
    matter whether anybody looked at them one by one.

    Attributes
    ----------
    solves : int
        All so far, those of a loaded state included.
    passed : Passed
        Repeats that don't count yet.
    ratio : float or None
        Of the decision that stands, as in `Baseline.enter`.
    why : str
        Why it takes the ω that it does: `chosen` by the learner, solves are too `short`, or `other` reasons; nothing
        where that isn't known.
    """

    def __init__(self, omega_safe: float, accuracy: Accuracy, baseline: Baseline, review: Review, vetoes: Vetoes,
                 pricing: Pricing) -> None:  # fmt: skip
        self._omega_safe, self._accuracy, self._baseline, self._review = omega_safe, accuracy, baseline, review
        self._vetoes, self._pricing = vetoes, pricing
        self.solves, self.passed = 0, Passed()
        self.ratio: float | None = None
        self.why = ""

    def judge(self, decision: Decision, solve: Solve) -> None:
        """What an answer says of ω, beside its cost; before it is entered."""
        omega, outcome = decision.omega, solve.outcome
        if outcome.verdict is not None:
            self._accuracy.note(omega, outcome.verdict, decision.tighten, decision.check > 0.0)
            if self._accuracy.hopeless(omega, outcome.verdict):
                self._vetoes.drop(omega)
                self._accuracy.forget(omega)
        if outcome.failed:
            self._vetoes.failed(omega, outcome.worked)
        else:
            self._vetoes.worked(omega)
        self._pricing.note(omega, solve)

    def enter(self, decision: Decision, solve: Solve) -> None:
        """One solve."""
        outcome = solve.outcome
        self._account(decision, Passed(1, outcome.iterations), outcome.alone + 1.0 if outcome.failed else None)
        self._tell(decision, solve, 1)

    def enter_idle(self, decision: Decision, solve: Solve, solves: int = 1) -> None:
        """One in which there was nothing to solve, or several: they say nothing of any ω, nor of what is saved."""
        self.solves += solves
        self._review.enter_idle(decision, solve, solves)

    def enter_stopped(self, decision: Decision, solve: Solve) -> None:
        """One after learning has stopped."""
        self.solves += 1
        self._review.enter(decision, solve, None)
        self._review.tally.stopped += 1

    def pass_by(self, decision: Decision, more: Passed, seconds: float) -> None:
        """Repeats that took so long together."""
        if more.solves:
            self._tell(decision, Solve(Outcome(more.iterations, MET[0]), seconds=seconds), more.solves)
        if more.idle:
            self.enter_idle(decision, Solve(Outcome(0, MET[0]), seconds=0.0 if more.solves else seconds), more.idle)
        self.passed = Passed(self.passed.solves + more.solves, self.passed.iterations + more.iterations)

    def settle(self, decision: Decision) -> None:
        """Have the repeats count."""
        passed, self.passed = self.passed, Passed()
        if passed.solves:
            self._account(decision, passed)

    def _account(self, decision: Decision, passed: Passed, at_safe: float | None = None) -> None:
        self._accuracy.earn(passed.iterations, passed.solves)
        cost = passed.iterations / passed.solves + 1.0
        self._baseline.enter(
            cost, safe=decision.omega == self._omega_safe, ratio=self.ratio, solves=passed.solves, limit=decision.limit,
            at_safe=at_safe,
        )  # fmt: skip

    def _tell(self, decision: Decision, solve: Solve, solves: int) -> None:
        self.solves += solves
        self._review.enter(decision, solve, self.ratio, solves, self.why, self._baseline.tests)
