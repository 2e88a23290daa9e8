"""What a run says of itself at its end: nothing that it doesn't know."""

from __future__ import annotations

from math import exp
from statistics import median
from typing import Any

from ..learners import learner_class

#: Standard errors on either side of an estimate.
TWO_SIDED = 2.0
#: Digits of mean tightening, and share of solves at the safe ω, from which on they are worth a word.
MUCH, MOSTLY = 0.3, 0.8
#: A share of iterations that is hardly worth having.
LITTLE = 0.02
#: Solves before which a learner has had no chance to find a better one.
CHANCE = 20
#: Standard deviation of iterations, over their mean, from which on it shows what one takes; mean seconds of solves in
#: which all that is fixed is too short to matter.
VARIED, LONG = 0.1, 1e-3


class Tally:
    """Counts the solves of one run; what was loaded from others isn't in it.

    Attributes
    ----------
    failed, repaired : int
        Solves that failed as they were decided; those of them that were solved with another ω.
    continued : int
        Solves that the safe ω went on with: cut off, or short of the user's test.
    chosen, short, other : int
        Solves with the safe ω that the learner chose, that are so short that no other is tried, or that have other
        reasons, as far as these are known.
    stopped : int
        Solves after an error has stopped learning, with the safe ω.
    own : float
        Seconds that sorlearn itself took.
    """

    def __init__(self) -> None:
        self.solves = self.iterations = self.failed = self.repaired = self.continued = self.safe = 0
        self.chosen = self.short = self.other = self.stopped = 0
        self.seconds = self.own = self.digits = 0.0
        self._plain, self._mean = 0, (0.0, 0.0)  # solves with no other ω's part in them; their iterations and seconds
        self._squares = self._products = 0.0  # sums of products of deviations: iterations, and these with seconds

    def count(self, outcome: Any, seconds: float, digits: float, safe: bool, solves: int = 1) -> None:
        """A solve, or several together, ended with this outcome; tolerances had been tightened by so many digits."""
        self.solves += solves
        self.iterations += outcome.iterations
        self.seconds += seconds
        self.digits += solves * digits
        self.safe += solves * safe
        self.failed += outcome.failed
        self.repaired += outcome.failed and outcome.worked > 0.0
        self.continued += outcome.rescued and not outcome.failed
        if outcome.iterations and not (outcome.failed or outcome.rescued):
            self._time(outcome.iterations / solves, seconds / solves, solves)

    def add(self, other: Tally) -> None:
        """What another has counted, too; what an iteration takes is of the first."""
        first = not self._plain
        for name, count in vars(other).items():
            if not name.startswith("_"):
                setattr(self, name, getattr(self, name) + count)
            elif first:
                setattr(self, name, count)

    def _time(self, iterations: float, seconds: float, solves: int) -> None:
        self._plain += solves
        off = iterations - self._mean[0], seconds - self._mean[1]
        part = solves / self._plain
        self._mean = self._mean[0] + part * off[0], self._mean[1] + part * off[1]
        self._squares += solves * (1.0 - part) * off[0] ** 2
        self._products += solves * (1.0 - part) * off[0] * off[1]

    @property
    def each(self) -> float | None:
        """Seconds of an iteration, of solves that have a fixed part, too: least squares; None where that isn't known.

        At most what it is if all that is fixed takes as long as an iteration.
        """
        iterations, seconds = self._mean
        most = seconds / (iterations + 1.0)
        if self._plain >= CHANCE and self._squares > self._plain * (VARIED * iterations) ** 2:
            return min(max(self._products / self._squares, 0.0), most)
        return most if seconds > LONG else None


def interval(saved: tuple[float, float]) -> tuple[float, float]:
    """Least and largest share that may have been saved; the error is a factor's, on what is left."""
    left, error = 1.0 - saved[0], saved[1]
    factor = exp(TWO_SIDED * error / left)
    return 1.0 - left * factor, 1.0 - left / factor


def reasons(prefix: str, tally: Tally, price: float, saved: tuple[float, float] | None, sessions: int = 1) -> list[str]:
    """Why ω stays where it is, or tolerances are tightened, with the remedy where there is one.

    Parameters
    ----------
    prefix : str
        Options prefix of the solver.
    price : float
        What an iteration at another ω costs in iterations at ω = 1 (inodes); 1 where PETSc's kernels are alike.
    saved : (float, float) or None
        Share of the safe ω's iterations that was saved, and its standard error.
    sessions : int
        How many have been added up.
    """
    found, gain = [], interval(saved) if saved else (0.0, 0.0)
    if price > 1.0:
        found.append(f"PETSc's kernels for omega = 1 are faster on this matrix (inodes): an iteration at another omega "
                     f"counts as {price:.1f}; without them (-mat_no_inode) all omegas cost the same")  # fmt: skip
    if tally.solves and tally.digits / tally.solves > MUCH:
        found.append(f"tolerances are tightened by {tally.digits / tally.solves:.1f} digits on average, because in "
                     "this norm answers at other omegas lack digits; try "
                     f"-{prefix}ksp_norm_type unpreconditioned (cg) or -{prefix}ksp_pc_side right (gmres)")  # fmt: skip
    decided, safe = tally.solves - tally.stopped, tally.safe - tally.stopped
    if decided and safe > MOSTLY * decided:
        known = tally.chosen + tally.short + tally.other
        if decided >= CHANCE * sessions and gain[0] < LITTLE and 2 * known > safe:
            found.append(_why_safe(prefix, tally.chosen / known, tally.short / known))
    elif saved and gain[1] < LITTLE:
        found.append(f"no omega was found that is better than the safe one; -{prefix}pc_type sor does as well here")
    return found


def _why_safe(prefix: str, chosen: float, short: float) -> str:
    """Why most solves were made with the safe ω, by what share of them which reason has."""
    if short > 0.5:
        return "solves with the safe omega take so few iterations that no other was tried"
    if chosen > 0.5:
        return "the safe omega was mostly as good as any other: there is little to gain on these systems"
    return (f"others than the safe omega failed, or were too dear to be tried more often; narrower bounds may help "
            f"(-{prefix}pc_sorlearn_omega_min, -{prefix}pc_sorlearn_omega_max)")  # fmt: skip


def savings(tally: Tally, omega_safe: float, saved: tuple[float, float] | None, price: float = 1.0, sessions: int = 1
            ) -> str:  # fmt: skip
    """What was saved against the safe ω, where that is known; neither a gain nor a loss where it may be either.

    Of several sessions no seconds: iterations take longer in some than in others.
    """
    if saved is None:
        return "saved: not known, as too few solves were made with the safe omega to compare with"
    text, own = f"saved against omega = {omega_safe:g}:", f"{tally.own:.2g} s that sorlearn took itself"
    share = saved[0]
    if tally.solves == tally.safe and not share:
        return f"{text} nothing, as all solves were made with it; there are the {own}"
    low, high = interval(saved)
    between = f"from {round(100.0 * low)} to {round(100.0 * high)} %"
    if low <= 0.0 <= high:
        return f"{text} not known for certain, {between} of its iterations, less the {own}"
    if sessions > 1 or (each := tally.each) is None:
        return f"{text} {round(100.0 * share)} % of its iterations ({between}), less the {own}"
    dearer = 1.0 + (price - 1.0) * (1.0 - tally.safe / tally.solves)  # an iteration, on average
    first, seconds, last = (
        each * tally.iterations * (1.0 / dearer / max(1.0 - part, 1e-3) - 1.0) - tally.own
        for part in (low, share, high)
    )
    return (f"{text} {round(100.0 * share)} % of its iterations ({between}), about {seconds:.2g} s "
            f"(from {first:.2g} to {last:.2g} s) after the {own}")  # fmt: skip


def summarise(
    name: str, learner: str, tally: Tally, omegas: list[float], omega_safe: float,
    saved: tuple[float, float] | None, price: float, sessions: int = 1,
) -> str:  # fmt: skip
    """A few lines for the end of the run; parameters as above, `omegas` those of the last solves that were decided."""
    mean = tally.iterations / max(tally.solves, 1)
    lines = [f"sorlearn summary of {name or '(no prefix)'}: learner {learner}, {tally.solves} solves, "
             f"{tally.iterations} iterations ({mean:.2f} a solve), {tally.seconds:.3g} s"]  # fmt: skip
    if sessions > 1:
        lines.append(f"sum of {sessions} solvers that were tuned separately, as they are of several sizes or types, or "
                     f"there at the same time; {tally.solves / sessions:.1f} solves each")  # fmt: skip
    if omegas:
        of = (f"{len(omegas)} decisions {median(omegas):.3f}" if sessions > 1 else
              f"the last {len(omegas)} decisions {median(omegas):.3f}, last {omegas[-1]:.3f}")  # fmt: skip
        lines.append(f"omega: median of {of}")
    if learner_class(learner).learns:
        lines += [savings(tally, omega_safe, saved, price, sessions), *reasons(name, tally, price, saved, sessions)]
    if tally.stopped:
        lines.append(f"learning has stopped, for a reason that was said then: {tally.stopped} solves after it were "
                     f"made with omega = {omega_safe:g}")  # fmt: skip
    lines.append(f"failed: {tally.failed}, repaired: {tally.repaired}, continued with omega_safe: {tally.continued}")
    return "\n  ".join(lines)
