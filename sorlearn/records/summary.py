"""What a run says of itself at its end: nothing that it doesn't know."""

from __future__ import annotations

from statistics import median
from typing import Any

from ..learners import learner_class

#: Standard errors on either side of an estimate.
TWO_SIDED = 2.0
#: Digits of mean tightening, and share of solves at the safe ω, from which on they are worth a word.
MUCH, MOSTLY = 0.3, 0.8
#: Solves before which a learner has had no chance to find a better one.
CHANCE = 20


class Tally:
    """Counts the solves of one run; what was loaded from others isn't in it.

    Attributes
    ----------
    failed, repaired : int
        Solves that failed as they were decided; those of them that were solved with another ω.
    continued : int
        Solves that the safe ω went on with: cut off, or short of the user's test.
    own : float
        Seconds that sorlearn itself took.
    """

    def __init__(self) -> None:
        self.solves = self.iterations = self.failed = self.repaired = self.continued = self.safe = 0
        self.seconds = self.own = self.digits = 0.0

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

    def add(self, other: Tally) -> None:
        """What another has counted, too."""
        for name, count in vars(other).items():
            setattr(self, name, getattr(self, name) + count)

    def at_safe_price(self, price: float) -> float:
        """Seconds, had all iterations cost what those at ω = 1 do, where others cost `price` of them."""
        return self.seconds / (1.0 + (price - 1.0) * (1.0 - self.safe / max(self.solves, 1)))


def reasons(tally: Tally, price: float, saved: tuple[float, float] | None, sessions: int = 1) -> list[str]:
    """Why ω stays where it is, or tolerances are tightened, with the remedy where there is one.

    Parameters
    ----------
    price : float
        What an iteration at another ω costs in iterations at ω = 1 (inodes); 1 where PETSc's kernels are alike.
    saved : (float, float) or None
        Share of the safe ω's iterations that was saved, and its standard error.
    sessions : int
        How many have been added up.
    """
    found = []
    if price > 1.0:
        found.append(f"PETSc's kernels for omega = 1 are faster on this matrix (inodes): an iteration at another omega "
                     f"counts as {price:.1f}; without them (-mat_no_inode) all omegas cost the same")  # fmt: skip
    if tally.solves and tally.digits / tally.solves > MUCH:
        found.append(f"tolerances are tightened by {tally.digits / tally.solves:.1f} digits on average, because in "
                     "this norm answers at other omegas lack digits; try -ksp_norm_type unpreconditioned (cg) or "
                     "-ksp_pc_side right (gmres)")  # fmt: skip
    if tally.solves and tally.safe > MOSTLY * tally.solves:
        if tally.solves >= CHANCE * sessions:
            found.append("the safe omega was mostly as good as any other: there is little to gain on these systems")
    elif saved and saved[0] + TWO_SIDED * saved[1] < 0.02:
        found.append("no omega was found that is better than the safe one; -pc_type sor does as well here")
    return found


def savings(tally: Tally, omega_safe: float, saved: tuple[float, float] | None, price: float = 1.0,
            time: tuple[float, float, float] | None = None) -> str:  # fmt: skip
    """What was saved against the safe ω, where that is known; neither a gain nor a loss where it may be either.

    Parameters
    ----------
    time : (float, float, float) or None
        Seconds as of `Tally.at_safe_price`, the share of the safe ω's seconds that was saved, and its standard error;
        None where it is that of iterations, as all take equally long.
    """
    if saved is None:
        return "saved: not known, as too few solves were made with the safe omega to compare with"
    text, own = f"saved against omega = {omega_safe:g}:", f"{tally.own:.2g} s that sorlearn took itself"
    share, error = saved
    if tally.solves == tally.safe:
        return f"{text} nothing, as all solves were made with it; there are the {own}"
    low, high = share - TWO_SIDED * error, share + TWO_SIDED * error
    interval = f"from {round(100.0 * low)} to {round(100.0 * high)} %"
    if low <= 0.0 <= high:
        return f"{text} not known for certain, {interval} of its iterations, less the {own}"
    spent, part, error = time or (tally.at_safe_price(price), share, error)
    first, seconds, last = (
        spent / max(1.0 - (part + off), 1e-3) - tally.seconds - tally.own
        for off in (-TWO_SIDED * error, 0.0, TWO_SIDED * error)
    )
    return (f"{text} {round(100.0 * share)} % of its iterations ({interval}), about {seconds:.2g} s "
            f"(from {first:.2g} to {last:.2g} s) after the {own}")  # fmt: skip


def summarise(
    name: str, learner: str, tally: Tally, omegas: list[float], omega_safe: float,
    saved: tuple[float, float] | None, price: float, time: tuple[float, float, float] | None = None, sessions: int = 1,
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
        lines += [savings(tally, omega_safe, saved, price, time), *reasons(tally, price, saved, sessions)]
    lines.append(f"failed: {tally.failed}, repaired: {tally.repaired}, continued with omega_safe: {tally.continued}")
    return "\n  ".join(lines)
