"""The decision that stands: its ω follows the matrix as theory says, until another one is made."""

from __future__ import annotations

from math import inf

from ..learners import Choice, Learner
from ..learners.course import Course
from .accuracy import Accuracy
from .bins import bin_of, range_of, u_of
from .decision import Decision, Plan
from .repeat import Repeats
from .vetoes import Vetoes


class Standing:
    """The last decision of a session, which lends its rooms.

    Attributes
    ----------
    decision : Decision
        As it is now.
    chosen : Choice
        What its ω was before it followed the matrix, and for which context.
    rho : float
        ρ that its ω is for.
    measured : bool
        Whether answers at different ω's pass different tests.
    """

    def __init__(self, omega_safe: float, learner: Learner, accuracy: Accuracy, vetoes: Vetoes, repeats: Repeats):
        self._learner, self._accuracy, self._vetoes, self._repeats = learner, accuracy, vetoes, repeats
        self.decision, self.chosen = Decision(omega_safe, omega_safe), Choice(omega_safe)
        self.rho, self.measured = 0.0, False
        self._asked_for: Choice | None = None
        self._followed: Course | None = None

    def tightening(self, omega: float) -> tuple[float, float]:
        """Digits by which rtol and atol are to be tightened at this ω."""
        return self._accuracy.tightening(omega) if self.measured else (0.0, 0.0)

    def follow(self, rho: float | None) -> Decision | None:
        """The decision, its ω moved to a matrix with this ρ as theory says; None where one must be made."""
        if self.measured and self.decision.most == inf and self._accuracy.affords:
            self.decision = self.decision._replace(check=0.0, least=self._repeats.least, most=self._repeats.most)
        if rho == self.rho:
            return self.decision
        course = self._course()
        omega = None if rho is None or course is None else course.at(rho)
        if rho is None or omega is None or not self._vetoes.allows(omega):
            return self.decision if self._repeats.stands() else None
        if self.measured and bin_of(omega) != bin_of(self.decision.omega):
            tighten, tighten_atol = self.tightening(omega)
            self.decision = self.decision._replace(tighten=tighten, tighten_atol=tighten_atol)
        self.rho, self.decision = rho, self.decision._replace(omega=omega)
        return self.decision

    def resume(self, rho: float | None, together: bool) -> Decision | None:
        """As `follow`, after a restart; ranks that solve `together` follow it only as far as its other numbers hold."""
        before, (low, high) = (self.decision, self.rho), self._alike()
        decision = self.follow(rho)
        if decision is not None and together and not low <= u_of(decision.omega) < high:
            self.decision, self.rho = before
            return None
        return decision

    def _course(self) -> Course | None:
        """How ω follows the matrix; asked of the learner once a choice, which doesn't learn while it stands."""
        if self._asked_for is not self.chosen:
            self._asked_for, self._followed = self.chosen, self._learner.course(self.chosen.omega, self.chosen.context)
        return self._followed

    @property
    def drift(self) -> float:
        """Fall of log(2/ω − 1) since it was made."""
        return u_of(self.chosen.omega) - u_of(self.decision.omega)

    def like(self, iterations: int) -> bool:
        """Whether a solve with so many iterations is like the one that it was made for.

        Where ω has moved iterations may have, too; but where answers are measured, unlike ones call for that.
        """
        return self._repeats.like(iterations, self._rate * self.drift)

    @property
    def _rate(self) -> float:
        return 0.0 if self.measured else self._repeats.rate

    def followed(self, decision: Decision, rho: float) -> None:
        """It has followed the matrix to this ρ, elsewhere."""
        self.decision, self.rho = decision, rho

    def plan(self) -> Plan:
        """How it may be repeated with nobody looking."""
        decision = self.follow(self.rho)
        assert decision is not None
        left, least, most = self._repeats.left, self._repeats.least, self._repeats.most
        course, patience = self._course(), self._repeats.patience
        return Plan(left, decision, least, most, self.rho, course, self._alike(), patience, self.drift, self._rate)

    def _alike(self) -> tuple[float, float]:
        """Values of log(2/ω − 1) for which the other numbers of the decision hold, and no veto."""
        if not self._vetoes.allows(self.decision.omega):
            return inf, -inf
        return range_of(bin_of(self.decision.omega)) if self.measured or self._vetoes.any else (-inf, inf)
