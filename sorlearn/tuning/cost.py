"""What a solve is charged for.

The default cost, `work`, counts effort per decimal digit of what the *user's* test asks for: an ω that makes the
solver stop early in its own preconditioned norm gains nothing by it.
"""

from __future__ import annotations

from math import log10
from typing import Callable, NamedTuple

#: Fewest digits a solve is credited with: a solve that starts almost converged says little about ω.
MIN_DIGITS = 0.5
#: Relative tolerance above which nothing is tried: half an iteration may do, so that costs say nothing, and an answer
#: within what is promised may be worse than none.
LOOSE = 10.0**-MIN_DIGITS
#: Digits credited where nobody says how many were asked for.
USUAL_DIGITS = 8.0


class Charge(NamedTuple):
    """What the costs are computed from.

    Attributes
    ----------
    iterations : int
        Repairs included.
    before, after : float or None
        First and last residual norm in the norm of the KSP; None where another ω has had a part, or unknown.
    target : float or None
        Residual norm at which KSP's own test is passed; None where that isn't known.
    asked : float
        Decimal digits that the user's rtol asks for.
    lost : float
        Digits by which the tolerance had to be tightened at this ω.
    seconds, flops : float
        Of the whole solve.
    price : float
        Cost of an iteration at this ω in iterations at ω = 1.
    """

    iterations: int
    before: float | None = None
    after: float | None = None
    target: float | None = None
    asked: float = USUAL_DIGITS
    lost: float = 0.0
    seconds: float = 0.0
    flops: float = 0.0
    price: float = 1.0


def work(charge: Charge) -> float:
    """Iterations per digit asked for; the first residual and the set-up count as one iteration.

    What the last iteration gains beyond the tolerance is deducted, up to one iteration: a residual that drops far
    below the tolerance at the end, as in tiny systems, is luck of the last step.
    """
    before, after, target, k = charge.before, charge.after, charge.target, float(charge.iterations)
    if not before or after is None:
        digits = charge.asked
    elif target and target < before:
        digits = log10(before / target) - charge.lost
        beyond = log10(target / after) if after > 0.0 else digits
        if 0.0 < after < before:
            k -= min(max(beyond, 0.0) * k / log10(before / after), 1.0)
    else:
        digits = (log10(before / after) if after > 0.0 else charge.asked) - charge.lost
    return charge.price * (k + 1.0) / max(digits, MIN_DIGITS)


def iterations(charge: Charge) -> float:
    """The iteration count, as in the paper."""
    return float(max(charge.iterations, 1))


def seconds(charge: Charge) -> float:
    """Wall-clock seconds."""
    return max(charge.seconds, 1e-9)


def flops(charge: Charge) -> float:
    """Floating-point operations, in millions; deterministic."""
    return max(charge.flops, 1.0) * 1e-6


COSTS: dict[str, Callable[[Charge], float]] = {
    "work": work, "iterations": iterations, "time": seconds, "flops": flops,
}  # fmt: skip
