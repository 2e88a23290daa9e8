"""Where one PC stands: whether choices of ω can be judged by the solves of the KSP that calls it."""

from __future__ import annotations

from typing import Any

from petsc4py import PETSc

from ..learners import learner_class
from ..options import Settings
from ..tuning.cost import LOOSE
from . import position
from .rescue import keep_first_residual
from .tuned import note_held

#: Unknowns of a whole system up to which there is nothing to learn about it.
_FEW_UNKNOWNS = 8
#: KSPConvergedReason of a trust region: STEP_LENGTH (or a constraint), NEG_CURVE.
_REGION = (5, 6)
_LITTLE = "the last solve was asked for less than half a digit"
_UNPRECONDITIONED = int(PETSc.KSP.NormType.UNPRECONDITIONED)


class Standing:
    """Asks once for each KSP and norm and, until ω is held, for what it solves inside of.

    Attributes
    ----------
    held : position.Held or None
        Why ω is held, if it is.
    measured : bool
        Whether answers at different ω's pass different tests.
    """

    def __init__(self) -> None:
        self.held: position.Held | None = None
        self._text, self._loose = "omega held: no KSP has called it so far", False
        self.measured = False
        self._asked = position.Asked()
        self._around: list[bytes] = []

    @property
    def text(self) -> str:
        """The same for `-ksp_view`."""
        return f"omega held: {_LITTLE}" if self._loose and self.held is None else self._text

    def forget(self) -> None:
        """Ask again."""
        self._asked.forget()

    def judges(self, ksp: Any, prefix: str, settings: Settings, guarded: bool, repairable: bool, decides: bool) -> bool:
        """Whether a choice of ω can be judged by this KSP's solves, and is worth anything in this one.

        Parameters
        ----------
        decides : bool
            Whether the solve may be decided, so that it is asked what it is inside of.
        """
        if decides and self.held is None:
            self._around = position.under_way()
        if self._asked.anew(ksp, self._around, repairable):
            self.measured = int(ksp.norm_type) != _UNPRECONDITIONED or settings.asks_true
            held = position.why_held(ksp, guarded) if repairable else position.SCALED
            small = ksp.getOperators()[1].getSize()[0] <= _FEW_UNKNOWNS
            self._hold(position.SMALL if held is None and small else held, prefix, settings)
            if self.held is None:
                keep_first_residual(ksp)
        loose = ksp.rtol > LOOSE
        if settings.summary and loose != self._loose and self.held is None:
            note_held(prefix, settings, _LITTLE if loose else None)
        self._loose = loose
        return self.held is None and not loose

    def ended(self, reason: int, prefix: str, settings: Settings, stopped: bool) -> bool:
        """A solve ended for this KSPConvergedReason, and learning may have stopped; whether the next can be judged."""
        if reason in _REGION:
            self._hold(position.TRUST_REGION, prefix, settings)
        elif stopped:
            self._text = "omega stands still, as learning has stopped"
        return self.held is None

    def _hold(self, held: position.Held | None, prefix: str, settings: Settings) -> None:
        """From now on ω is held for this reason, or isn't (None)."""
        self.held = held
        learns = learner_class(settings.learner).learns
        self._text = f"omega held: {held.why}" if held else "learning" if learns else "omega as given"
        if settings.summary:
            note_held(prefix, settings, held and held.told(prefix))
