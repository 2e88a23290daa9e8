"""Whose word counts for the coming solve: the vetoes', the account's, the learner's, or that of prices."""

from __future__ import annotations

from ..learners import Choice, Context, Learner
from .baseline import Baseline
from .pricing import Pricing
from .strict import Strict
from .vetoes import Vetoes


def ask(
    context: Context, learner: Learner, vetoes: Vetoes, baseline: Baseline | Strict, pricing: Pricing
) -> tuple[float, Choice | None]:
    """ω of the coming solve, and the choice that the learner may be told the cost of, if any."""
    omega_safe = learner.space.omega
    if vetoes.waiting():
        if vetoes.safe_fails:
            return vetoes.fallback(), None
        baseline.must()
        return omega_safe, None
    if learner.learns and baseline.due() and not vetoes.safe_fails:
        return omega_safe, None if baseline.tiny else learner.safe(context)
    asked = learner.choose(context)
    if not vetoes.allows(asked.omega):
        return vetoes.instead(asked.omega), asked
    dearer = pricing.dearer(asked.omega, omega_safe) if learner.smooth else 1.0
    if dearer > 1.0 and 1.0 + learner.excess(omega_safe, asked) < dearer:
        safe = learner.safe(context)
        return omega_safe, safe and safe._replace(explored=False)
    return asked.omega, asked
