"""What rank 0 tells the others before a solve."""

from __future__ import annotations

from math import inf, nan
from typing import NamedTuple


class Decision(NamedTuple):
    """All are numbers, so that it travels as one small array; with it every rank judges the answer alike.

    Attributes
    ----------
    omega : float
        Relaxation factor to solve with.
    fallback : float
        ω to repair a failure with: the safe one or, where that has failed, the one that worked best.
    check : float
        Whether to put the answer to the user's own test, as the safe ω computes it.
    tighten, tighten_atol : float
        Decimal digits by which rtol and atol are tightened, so that the answer passes that test.
    repeats : float
        Further solves in which this decision stands, because another would cost more than it can gain.
    limit : float
        Iterations after which a trial is cut off and continued with the safe ω; 0 for no limit.
    true_level : float
        log10 of the safe ω's ‖b − Ax‖/‖b‖ over its own test's residual; NaN where that isn't known.
    least, most : float
        Iterations below and above which the answer is put to the test although that wasn't planned.
    stopped : float
        Whether learning has stopped for good.
    """

    omega: float
    fallback: float
    check: float = 0.0
    tighten: float = 0.0
    tighten_atol: float = 0.0
    repeats: float = 0.0
    limit: float = 0.0
    true_level: float = nan
    least: float = 0.0
    most: float = inf
    stopped: float = 0.0
