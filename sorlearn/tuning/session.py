"""One tuned sequence of solves: who decides, and who writes.

A session lives on rank 0 and knows neither PETSc nor MPI: the PC hands it what is known before a solve and what
came of it, and tells the other ranks what it decided.
"""

from __future__ import annotations

import re
from collections import Counter, OrderedDict, deque
from math import isfinite, log
from typing import Any, Callable, NamedTuple

import numpy as np

from ..errors import StateError
from ..learners import NO_CONTEXT, Choice, Context, Learner, MatrixFeatures, learner_class
from ..options import STEM, Settings
from ..records import checkpoint
from ..records.journal import Journal
from .accuracy import BINS, OVERSHOOT, Accuracy, bin_of, omega_of
from .cost import COSTS, MIN_DIGITS, SolveRecord, Steady
from .ledger import Ledger

#: Solves between two saves, and records kept for Python programs.
SAVE_EVERY, RECORDS = 500, 1000
#: Seconds that deciding and learning take, and the parts of an iteration: callbacks, and a nonzero's way from memory.
DECISION, CALLBACK, NONZERO = 100e-6, 1.0e-6, 2.2e-9
#: Solves decided one by one before deciding may pause, per second that one takes, and at most.
WARM_UP, MOST_WARM_UP = 5e5, 500
#: Solves that it pauses for at most; those that it may pause for where one takes fewer than so many seconds.
LONGEST_HOLD, SHORT_HOLD, SHORT = 63, 2, 0.01
#: What is left of a pause when ω that can't follow the matrix ends it: where solves are very short, not at once.
PATIENCE = 16
#: Change of log(2/ω − 1) from one decision to the next that hardly matters.
STEADY = 0.2
#: Relative change of the iterations, beyond one, and rise of the cost from one decision to the next that call for
#: another.
UNLIKE, DEARER = 0.05, 0.1
#: Most solves to wait after a failure that nothing could repair.
LONGEST_PAUSE = 1024


class Decision(NamedTuple):
    """What rank 0 tells the others before a solve; all are numbers, so that it travels as one small array."""

    omega: float
    #: ω to repair a failure with: the safe one or, where that has failed, the one that worked best.
    fallback: float
    #: Whether to measure the true residual afterwards.
    check: float = 0.0
    #: Decimal digits by which the tolerance is tightened, so that the answer is as good as the safe ω's.
    tighten: float = 0.0
    #: Further solves for which ω just follows ρ, because deciding would cost more than it can gain.
    hold: float = 0.0
    #: Iterations after which a trial is cut off and continued with the safe ω; 0 for no limit.
    limit: float = 0.0
    #: Digits beyond the tolerance that the safe ω goes on to then.
    overshoot: float = OVERSHOOT
    #: Whether learning has stopped for good.
    stopped: float = 0.0


class Session:
    """Learner, accuracy, journal and saved state of one solver.

    Parameters
    ----------
    name : str
        Options prefix of the solver.
    settings : Settings
        Its options.
    say : callable
        Prints a line for the user.
    learner : Learner, optional
        One that other solvers of the group share.
    guarded : bool
        Whether trials must be paid for out of a `Ledger`.
    """

    _REMEMBERED = (
        "solves", "iterations", "failures", "rescues", "safe_solves", "safe_iterations",
        "pause", "backoff", "safe_fails", "mean_iterations", "largest", "last_u", "stretch",
        "held", "held_omega", "held_tighten", "held_rho", "tightens",
        "decided_omega", "decided_iterations", "decided_cost",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        settings: Settings,
        say: Callable[[str], None],
        learner: Learner | None = None,
        guarded: bool = False,
    ):
        self.name, self.settings, self.say = name, settings, say
        self.learner = learner or learner_class(settings.learner)(space=settings.space(), seed=settings.seed)
        self.accuracy = Accuracy(settings.omega)
        self.failed_loss = np.zeros(BINS)
        self.best_loss = np.zeros(BINS)
        self.solves = self.iterations = self.failures = self.rescues = 0
        self.safe_solves = self.safe_iterations = 0
        self.mean_iterations = self.largest = self.last_u = 0.0
        self.stretch = 1.0
        self.pause, self.backoff, self.safe_fails = 0, 1, False
        self.held, self.held_omega, self.held_tighten, self.held_rho = 0, settings.omega, 0.0, 0.0
        self.tightens = False
        self.decided_omega, self.decided_iterations, self.decided_cost = settings.omega, 0, 0.0
        self.last_context = NO_CONTEXT
        self.asked: Choice | None = None
        self._restored = self._resumed = self._complained = False
        self._saved = 0
        self._trial_failed = False
        self.ledger = Ledger(settings.seed) if guarded else None
        self.records: deque[SolveRecord] = deque(maxlen=RECORDS)
        self._steady = Steady()
        self._shares_learner = learner is not None
        self._journal = Journal(settings.journal, name, self._option("journal")) if settings.journal else None
        if settings.load:
            self._load(settings.load)

    def _option(self, option: str) -> str:
        return f"-{self.name}{STEM}{option}"

    # -- before a solve

    def decide(self, context: Context, true_norm: bool, nonzeros: int) -> Decision:
        """Choose ω for the coming solve.

        Parameters
        ----------
        context : Context
            What is known about it.
        true_norm : bool
            Whether the KSP itself tests the true residual, so that nothing needs measuring.
        nonzeros : int
            Nonzeros of the matrix, for the price of an iteration; 0 where deciding can't pause.
        """
        fallback = self._fallback()
        self._resumed, self._restored = self._restored and self.held > 0, False
        if self._resumed:  # a hold that the end of a run cut short
            followed = self.follow(context.number)
            if followed is not None:
                omega, tighten = followed
                return Decision(omega, fallback, 0.0, tighten, self.held - 1, self._limit_at(omega))
            self._resumed = False
        self.held, self.last_context = 0, context
        if self.pause > 0:
            self.pause -= 1
            self.asked = None
            return Decision(fallback, fallback)
        self.tightens = measured = not true_norm and self.learner.learns
        if self._audits(measured):
            self.asked = None
            return Decision(self.settings.omega, fallback, float(measured))
        self.asked = self.learner.choose(context)
        omega = self.asked.omega
        if omega != self.settings.omega and not self.accuracy.allows(omega):
            omega = fallback
        check = tighten = 0.0
        if measured:
            check, tighten = float(self.accuracy.due(omega)), self.accuracy.digits_lost(omega)
        hold = 0 if self.ledger or check else self._hold(omega, nonzeros)  # a check may change what is decided next
        self.held, self.held_omega, self.held_tighten = hold, omega, tighten
        self.held_rho, self.decided_omega = context.number or 0.0, omega
        limit, overshoot = self._limit_at(omega), self.accuracy.overshoot()
        return Decision(omega, fallback, check, tighten, hold, limit, overshoot)

    def _audits(self, measured: bool) -> bool:
        """Whether the coming solve is played at the safe ω, to see what that would cost or how accurate it would be."""
        if self.ledger:
            return self.ledger.audit()
        return measured and not self.safe_fails and self.accuracy.reference_due(self.solves)

    def _fallback(self) -> float:
        others = np.arange(BINS) != bin_of(self.settings.omega)
        tried = np.flatnonzero(self.best_loss * others) if self.safe_fails else ()
        if not len(tried):
            return self.settings.omega
        return omega_of(int(tried[np.argmin(self.best_loss[tried])]))

    def _hold(self, omega: float, nonzeros: int) -> int:
        """Further solves that just follow ρ: deciding may take one part in twenty of the time of the solves.

        The longer the decisions before have been much alike, the more.
        """
        each = self.settings.monitor or self.settings.journal or not (self.learner.repeatable and nonzeros)
        solve = 5e-6 + (self.mean_iterations + 1.0) * (CALLBACK + NONZERO * nonzeros)
        if each or self.solves < min(WARM_UP * solve, MOST_WARM_UP):
            return 0
        u = log(2.0 / omega - 1.0)
        steady, self.last_u = abs(u - self.last_u) < STEADY, u
        self.stretch = min(1.25 * self.stretch, LONGEST_HOLD) if steady else max(0.5 * self.stretch, 1.0)
        if self.asked.explored or omega != self.asked.omega:
            return 0
        return min(max(int(DECISION / (0.05 * solve)), SHORT_HOLD * (solve < SHORT)), int(self.stretch) - 1)

    def follow(self, rho: float | None) -> tuple[float, float] | None:
        """ω for a held solve of a matrix with this ρ, and digits to tighten by; None where it must be decided."""
        if rho == self.held_rho:
            return self.held_omega, self.held_tighten
        omega = None if rho is None else self.learner.follow(self.decided_omega, self.last_context, rho)
        if omega is None or not self.accuracy.allows(omega):
            return (self.held_omega, self.held_tighten) if self.held > PATIENCE else None
        if self.tightens and bin_of(omega) != bin_of(self.held_omega):
            self.held_tighten = self.accuracy.digits_lost(omega)
        self.held_rho, self.held_omega = rho, omega
        return omega, self.held_tighten

    def _limit_at(self, omega: float) -> float:
        """Iterations after which a trial is cut off: the guard's limit, or what only a catastrophe exceeds."""
        if omega == self.settings.omega or not self.learner.learns:
            return 0.0
        if self.ledger:
            return float(self.ledger.limit())
        return 50.0 + 10.0 * self.largest if self.largest else 0.0

    # -- after a solve

    def failed(self, omega: float, worked: float) -> None:
        """A solve at `omega` failed; it was repaired with `worked`, or not at all (0)."""
        self.failures += 1
        self._trial_failed = True
        if omega != self.settings.omega:
            self.accuracy.ban(omega)
            self.best_loss[bin_of(omega)] = 0.0
        if worked:
            self.rescues += 1
        else:
            self.pause, self.backoff = self.backoff, min(2 * self.backoff, LONGEST_PAUSE)
        if worked != self.settings.omega:
            self.safe_fails = True

    def learn(self, record: SolveRecord, true_norm: bool) -> int:
        """Charge the solve, tell the learner, and write it down; returns how many solves may go by undecided."""
        if self._resumed:
            self._resumed = False
            return self.skip(record.iterations)
        choice, loss = self.asked, COSTS[self.settings.cost](record)
        if not true_norm and self.settings.cost == "work":
            digits = max(record.digits - self.accuracy.digits_lost(record.omega), MIN_DIGITS)
            loss = COSTS["work"](record._replace(digits=digits))
        if not isfinite(loss):
            raise ValueError(f"cost {loss} of a solve with omega = {record.omega:g}")
        self.solves += 1
        known = choice or Choice(record.omega)
        record = record._replace(
            solve=self.solves,
            cost=loss,
            context=known.context,
            propensity=known.propensity,
            explored=known.explored,
        )
        if choice is not None and record.iterations > 0:
            self._update(choice, record, self._steady(loss) if self.settings.cost == "time" else loss)
        self._count(record)
        self._write(record)
        return self.held

    def _update(self, choice: Choice, record: SolveRecord, loss: float) -> None:
        played = bin_of(record.omega)
        asked = played if choice.omega == record.omega else bin_of(choice.omega)
        if asked != played:  # the choice is left alone: it costs what it cost when it failed
            loss = max(loss, self.failed_loss[asked])
        elif self._trial_failed:
            self.failed_loss[asked] = max(self.failed_loss[asked], loss)
        else:
            old = self.best_loss[played]
            self.best_loss[played] = 0.8 * old + 0.2 * loss if old else loss
        self._trial_failed = False
        self.learner.update(choice, loss)

    def _count(self, record: SolveRecord) -> None:
        if record.cost > (1.0 + DEARER) * self.decided_cost:
            self.held = 0
        self.decided_iterations, self.decided_cost = record.iterations, record.cost
        self.iterations += record.iterations
        self.mean_iterations += max(0.05, 1.0 / self.solves) * (record.iterations - self.mean_iterations)
        if record.omega == self.settings.omega or not record.rescued:
            self.largest = max(0.99 * self.largest, record.iterations)
        if record.omega == self.settings.omega:
            self.safe_solves += 1
            self.safe_iterations += record.iterations
        self.accuracy.earn(record.omega, record.iterations)
        if self.ledger:
            self.ledger.enter(record.iterations, audited=self.asked is None)

    def skip(self, iterations: int) -> int:
        """A solve went by with an ω that was held; returns how many more may."""
        self.solves += 1
        self.iterations += iterations
        self.held -= 1
        if abs(iterations - self.decided_iterations) > 1 + UNLIKE * self.decided_iterations or self._trial_failed:
            self.stretch, self.held, self._trial_failed = max(0.5 * self.stretch, 1.0), 0, False
        self._save_sometimes()
        return self.held

    def _write(self, record: SolveRecord) -> None:
        self.records.append(record)
        if self.settings.monitor:
            flag = " explored" * record.explored + " rescued" * record.rescued
            self.say(
                f"  sorlearn {self.name or '(no prefix)'} solve {record.solve}: omega {record.omega:.4f}, "
                f"{record.iterations} iterations, reason {record.reason}, cost {record.cost:.4g}{flag}"
            )
        if self._journal:
            self._journal.write(record)
        self._save_sometimes()

    # -- what stays

    def state(self) -> dict[str, Any]:
        """All that choosing as before needs: plain arrays and numbers."""
        return {
            "learner": self.learner.state(),
            "accuracy": self.accuracy.state(),
            "failed_loss": self.failed_loss,
            "best_loss": self.best_loss,
            "ledger": self.ledger.state() if self.ledger else {},
            "median": self._steady.median,
            "matrix": self.last_context.matrix,
            "user": [value for value in self.last_context.user if isfinite(value)],
            **{name: getattr(self, name) for name in self._REMEMBERED},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where the session that returned this state stopped.

        Raises
        ------
        StateError
            If it is another learner's or damaged; the session is then unchanged.
        """
        accuracy, ledger = Accuracy(self.settings.omega), Ledger() if self.ledger else None
        try:
            if ledger:
                ledger.restore(state["ledger"])
            accuracy.restore(state["accuracy"])
            failed, best = (np.array(state[name], float).reshape(BINS) for name in ("failed_loss", "best_loss"))
            numbers = {name: type(getattr(self, name))(state[name]) for name in self._REMEMBERED}
            median = float(state["median"])
            matrix = MatrixFeatures(*map(float, state["matrix"])) if state["matrix"] else None
            context = Context(matrix, tuple(map(float, state["user"])))
            if not np.all(np.isfinite([*failed, *best, *numbers.values(), median, *context.numbers])) or median < 0.0:
                raise ValueError("numbers that aren't finite, or a negative cost")
            if not self._shares_learner:  # else what the group has learned since would be lost
                self.learner.restore(state["learner"])
        except StateError:
            raise
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise StateError(f"the state is damaged: {error!r}") from None
        self.ledger, self._restored, self.last_context = ledger, True, context
        self._steady.median = median
        self.accuracy, self.failed_loss, self.best_loss = accuracy, failed, best
        for name, value in numbers.items():
            setattr(self, name, value)

    def restored_matrix(self) -> MatrixFeatures | None:
        """What the restored run was to see next, if its matrix is still the same; None in a run that isn't restored."""
        matrix = self.last_context.matrix
        if not self._restored or matrix is None:
            return None
        return matrix._replace(novelty=matrix.novelty + (self.held <= 0))

    def _load(self, path: str) -> None:
        try:
            self.restore(checkpoint.load(path, kin(self.name)))
        except StateError as error:
            self.say(f"sorlearn: {self._option('load')}: {error}; learning starts afresh")

    def _save_sometimes(self) -> None:
        if self.solves >= self._saved + SAVE_EVERY:
            self.save()

    def save(self) -> None:
        """Write the state, if asked to; a path that can't be written costs one message, not the run."""
        if not self.settings.save or not self.solves:
            return
        self._saved = self.solves
        try:
            checkpoint.save(self.settings.save, kin(self.name), self.state())
        except (OSError, StateError) as error:
            if not self._complained:
                cause = f"{self.settings.save}: {error.strerror}" if isinstance(error, OSError) else error
                self.say(f"sorlearn: {self._option('save')}: {cause}; it is left as it was, the run goes on")
            self._complained = True

    def summary(self) -> str:
        """A few lines for the end of the run."""
        mean = self.iterations / max(self.solves, 1)
        text = (
            f"sorlearn summary of {self.name or '(no prefix)'}: learner {self.settings.learner}, {self.solves} solves, "
            f"{self.iterations} iterations ({mean:.2f} a solve)"
        )
        if self.records:
            omegas = np.array([record.omega for record in self.records])
            text += f"\n  omega: median of the last {len(omegas)}: {np.median(omegas):.3f}, last {omegas[-1]:.3f}"
        if self.safe_solves:
            safe = self.safe_iterations / self.safe_solves
            saved = 100.0 * (1.0 - mean / safe) if safe else 0.0
            text += (
                f"\n  safe omega {self.settings.omega:g}: {safe:.2f} iterations a solve in {self.safe_solves} solves; "
                f"saved against it: {saved:.0f} %"
            )
        return text + f"\n  failed: {self.failures}, repaired: {self.rescues}"


def kin(name: str) -> str:
    """What solvers have in common that go on where another has stopped.

    Numbers of five and more digits in a name are ids that change with every object, and count as equal.
    """
    return re.sub(r"\d{5,}", "#", name)


class Registry:
    """What waits for its solver to come back, and the learners that groups share.

    A solver that is destroyed gives back what it learned; the next one of the same name, size and type goes on with
    it.
    """

    LIMIT = 256

    def __init__(self) -> None:
        self.waiting: OrderedDict[tuple[Any, ...], list[Any]] = OrderedDict()
        self.held: Counter[tuple[Any, ...]] = Counter()
        self.groups: dict[tuple[Any, ...], Learner] = {}

    def acquire(self, key: tuple[Any, ...], make: Callable[[], Any], clean_up: Callable[[], None]) -> Any:
        """What waits under this key, else what `make` makes.

        Where others of this key are held, `clean_up` comes first: they may be solvers that nobody can reach any more,
        and that PETSc will destroy when it is asked to.
        """
        key = self._key(key)
        if key not in self.waiting and self.held[key] > 0:
            clean_up()
        self.held[key] += 1
        waiting = self.waiting.pop(key, [])
        if not waiting:
            return make()
        found = waiting.pop()
        if waiting:
            self.waiting[key] = waiting
        return found

    def release(self, key: tuple[Any, ...], slot: Any) -> None:
        """Keep this for the next solver of its kind, and forget the oldest kinds."""
        key = self._key(key)
        self.held[key] -= 1
        if not self.held[key]:
            del self.held[key]
        self.waiting.setdefault(key, []).append(slot)
        self.waiting.move_to_end(key)
        if len(self.waiting) > self.LIMIT:
            self.waiting.popitem(last=False)

    def session(self, name: str, settings: Settings, say: Callable[[str], None], guarded: bool) -> Session:
        """A new session; its learner is the group's where there is a group."""
        if settings.group is None:
            return Session(name, settings, say, guarded=guarded)
        key = (settings.group, settings.learner, settings.space(), settings.seed)
        session = Session(name, settings, say, self.groups.get(key), guarded)
        self.groups[key] = session.learner
        return session

    @staticmethod
    def _key(key: tuple[Any, ...]) -> tuple[Any, ...]:
        return (kin(key[0]), *key[1:])
