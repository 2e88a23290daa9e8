"""One tuned sequence of solves: decide, charge, update, log.

A session lives on rank 0 and knows neither PETSc nor MPI: the solver's side hands it what is known before a solve and
what came of it, and tells the other ranks what it decided.  Only a session updates a learner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf, isfinite
from time import perf_counter
from typing import Any, Callable

from ..learners import NO_CONTEXT, Choice, Context, Learner, learner_class
from ..options import STEM, Settings
from ..records.log import Log
from ..records.saved import Saved
from . import memory
from .accuracy import Accuracy
from .asking import ask
from .baseline import Baseline
from .books import Books
from .decision import Decision
from .pricing import Pricing
from .record import Passed, Solve, SolveRecord
from .repeat import FOR_GOOD, Repeats
from .review import Review
from .standing import Standing
from .strict import Strict
from .vetoes import Vetoes


class Session:
    """Chooses ω for one solver and learns from what its solves cost.

    Parameters
    ----------
    name : str
        Options prefix of the solver.
    key : str
        Name that its saved state goes by.
    settings : Settings
        Its options.
    say : callable
        Prints a line for the user.
    learner : Learner, optional
        One that other solvers of the group share.
    guarded : bool
        Whether it chooses for the guarded solver, `sorlearn.KSP`, whose total cost is bounded strictly.
    """

    def __init__(self, name: str, key: str, settings: Settings, say: Callable[[str], None],
                 learner: Learner | None = None, guarded: bool = False) -> None:  # fmt: skip
        self.name, self.settings = name, settings
        self.learner = learner or learner_class(settings.learner)(space=settings.space(), seed=settings.seed)
        self.accuracy, self.vetoes = Accuracy(settings.omega_of_test), Vetoes(settings.omega)
        self.repeats, self.pricing = Repeats(), Pricing(settings.cost)
        self.baseline = Strict(seed=settings.seed) if guarded else Baseline()
        self.asked: Choice | None = None
        self.standing = Standing(settings.omega, self.learner, self.accuracy, self.vetoes, self.repeats)
        self._alone = self._resumes = self.restored = False
        self._shares_learner, self._guarded = learner is not None, guarded
        self.log = Log.of(name, say if settings.monitor else None, settings.journal, f"-{name}{STEM}journal")
        self.review = Review(name, settings, self.pricing, self.log, at_random=guarded)
        self.books = Books(settings.omega, self.accuracy, self.baseline, self.review, self.vetoes, self.pricing)
        self._saved = Saved(key, f"-{name}{STEM}", settings.load, settings.save, say)
        self._saved.restore(self.restore)

    # -- before a solve

    def decide(self, context: Context, measured: bool, nonzeros: int, alone: bool = False, ranks: int = 1) -> Decision:
        """Choose ω for the coming solve.

        Parameters
        ----------
        context : Context
            What is known about it.
        measured : bool
            Whether answers at different ω's pass different tests, and can be put to the user's.
        nonzeros : int
            Nonzeros of the matrix, for the price of an iteration; 0 where that isn't known.
        alone, ranks : bool, int
            Whether solves may repeat the decision, as no others would have to know; how many ranks there are.
        """
        self.standing.measured, self._alone = measured, alone
        self._resumes, self.restored = self.restored and self.repeats.left > 0, False
        alike = self._resumes and context.user == self.standing.chosen.context.user
        if alike and (decision := self.standing.resume(context.number, ranks > 1)):  # a run's end cut it short
            return decision._replace(repeats=self.repeats.left - 1)
        self._resumes = False
        standing, learner = self.standing, self.learner
        self.books.settle(standing.decision)
        self.repeats.moved(standing.decision.omega)
        self.baseline.begin(self.repeats.price)
        omega, asked = ask(context, learner, self.vetoes, self.baseline, self.pricing)
        self.asked, matrix = asked, context.matrix
        check = measured and learner.learns and self.accuracy.due(omega)
        few = self.baseline.few if asked is None and self.baseline.tiny else 0.0
        audit = asked is not None and asked.explored
        as_asked = asked is not None and omega == asked.omega and not audit
        self.books.why = "chosen" if as_asked else "short" if asked is None and self.baseline.tiny else "other"
        skewed = matrix is not None and matrix.skew != 0.0
        willing = (few > 0.0 or as_asked) and not check and learner.repeatable
        repeats = FOR_GOOD if alone and not (learner.learns or self.log.observed) else self.repeats.plan(
            omega, nonzeros, willing, audit, few,
            lambda: learner.excess(standing.decision.omega, asked) if asked is not None and as_asked else inf,
        )  # fmt: skip
        number = context.number
        standing.rho = number if number is not None and isfinite(number) else 0.0
        standing.chosen = Choice(omega, context=NO_CONTEXT if few else context)
        standing.decision = Decision(
            omega, self.vetoes.remedy(), float(check), *standing.tightening(omega), repeats,
            self.baseline.limit(lambda: learner.harder(context))
            if learner.learns and omega != self.settings.omega else 0.0, self.accuracy.level, skewed=float(skewed),
        )  # fmt: skip
        return standing.decision

    # -- after a solve

    def charge(self, solve: Solve) -> int:
        """Charge the solve, tell the learner, and write it down; returns how many solves may repeat the decision."""
        if self._resumes or solve.outcome.idle:
            if not self._resumes:
                self.repeats.idled()
                self.books.ratio = None
            self._resumes = False
            return self.repeated(solve)
        began, omega, outcome = perf_counter(), self.standing.decision.omega, solve.outcome
        self.books.judge(self.standing.decision, solve)
        loss, asked = self.pricing.loss(self.standing.decision, solve), self.asked
        self.books.ratio = self.pricing.at_safe(self.learner, asked, loss) if asked and asked.omega == omega else None
        self.books.enter(self.standing.decision, solve)
        if asked is not None and outcome.tells and not self.baseline.tiny:
            told = self.pricing.told(self.learner, omega, loss, outcome.iterations)
            self.learner.update(asked, self.vetoes.charge(asked.omega, omega, told))
        own = 0.0 if outcome.verdict or outcome.rescued else solve.own + perf_counter() - began
        self.repeats.decided(outcome.iterations, loss, own, solve.seconds)
        if self.learner.learns:
            self.repeats.shorten(self.baseline.spare(0 if outcome.rescued else self.repeats.left))
        elif self._alone:
            self.repeats.stand()
        record = SolveRecord.of(self.books.solves, omega, solve, asked or Choice(omega), loss, False)
        self.log.write(record._replace(propensity=record.propensity * self.baseline.chance))
        self._saved.sometimes(self.books.solves, self.state)
        return self.repeats.left

    def repeated(self, solve: Solve) -> int:
        """A solve repeated the decision, so that nothing is learned; returns how many more may."""
        if (outcome := solve.outcome).idle:
            self.books.enter_idle(self.standing.decision, solve)
        elif self.standing.like(outcome.iterations) and not (outcome.failed or outcome.verdict or outcome.rescued):
            self.repeats.repeated()
            self.books.pass_by(self.standing.decision, Passed(1, outcome.iterations), solve.seconds)
        else:
            self.books.settle(self.standing.decision)
            self.books.judge(self.standing.decision, solve)
            self.repeats.end(outcome.iterations)
            self.baseline.spare(0)
            self.books.enter(self.standing.decision, solve)
        self._passed([self.standing.decision.omega], [solve], self.books.solves, outcome.idle and not self.repeats.left)
        return self.repeats.left

    def pass_unseen(self, omegas: Sequence[float], solves: Sequence[Solve], passed: Passed, seconds: float) -> None:
        """Solves have repeated the decision with nobody looking, these with these ω's and perhaps more."""
        first = self.books.solves + 1
        self.repeats.repeated(passed.solves)
        self.books.pass_by(self.standing.decision, passed, seconds)
        self._passed(omegas, solves, first)

    def _passed(self, omegas: Sequence[float], solves: Sequence[Solve], first: int, all: bool = False) -> None:
        """Write down solves that have repeated the decision, numbered from the first; else the observed ones only."""
        for number, (omega, solve) in enumerate(zip(omegas, solves) if all or self.log.observed else (), first):
            choice = Choice(omega, context=self.standing.chosen.context)
            self.log.write(SolveRecord.of(number, omega, solve, choice, self.repeats.cost, True))
        self._saved.sometimes(self.books.solves, self.state)

    def pass_stopped(self, solve: Solve) -> None:
        """A solve with the safe ω, after learning has stopped."""
        safe = Decision(self.settings.omega, self.settings.omega)
        self.books.enter_stopped(safe, solve)
        loss, choice = self.pricing.loss(safe, solve), Choice(safe.omega)
        self.log.write(SolveRecord.of(self.books.solves, safe.omega, solve, choice, loss, True))

    # -- what stays

    def state(self) -> dict[str, Any]:
        """All that choosing as before needs: plain arrays and numbers."""
        return memory.state(self)

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where the session that returned this state stopped; raises StateError and is unchanged then."""
        fresh = Session(self.name, "", replace(self.settings, load=None, save=None, journal=None), print,
                        guarded=self._guarded)  # fmt: skip
        memory.restore(self, fresh, state, with_learner=not self._shares_learner)

    def save(self) -> None:
        """Write the state, if asked to."""
        self._saved.save(self.books.solves, self.state)
