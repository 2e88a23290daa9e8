"""What solvers with several arms have from a `sorlearn.PC` beside its callbacks."""

from __future__ import annotations

from typing import Any

from ..learners import Context
from ..tuning.decision import Decision
from ..tuning.record import Solve
from . import reading


class Lending:
    """A part of `PC`: its ω for somebody else's solve, its sweep outside a solve, and a rest from learning."""

    _resting: float | None = None
    _settings: Any
    _tuned: Any
    _sweeping: Any
    _unattended: Any
    _enter: Any
    _prefix: str
    context: Any
    _take_back: Any

    def _known(self) -> Context | None:
        return reading.context(self._sweeping.A.comm, self._prefix, self._settings, self.context)

    @property
    def omega_safe(self) -> float:
        """The ω that the user configured."""
        return self._settings.omega

    def rest(self, omega: float | None) -> None:
        """Solve with this ω and learn nothing, until told to go on (None)."""
        self._resting = omega
        self._take_back()
        self._unattended.stop()

    def lend(self, ksp: Any, A: Any) -> Decision:
        """The decision for another KSP's solve with this matrix; `learn` takes what came of it.  Collective."""
        self._take_back()
        self._unattended.stop()
        self._sweeping.A = A
        if self._tuned is None:
            self._enter(ksp)
        decision = self._tuned.before(ksp, A, self._known, measured=False)
        self._sweeping.A = None
        return decision

    def learn(self, solve: Solve) -> None:
        """What came of a decision that was lent.  Collective where the cost is time."""
        self._tuned.after(solve, 0.0)

    def apply_safe(self, P: Any, x: Any, y: Any) -> None:
        """y = M⁻¹x at the safe ω, outside a solve.  Collective."""
        self._sweeping.sweeps.sweep(P, x, y, self._settings.omega)
