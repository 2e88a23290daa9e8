"""Who says where a solve ends with a preconditioner, and what came of it."""

from __future__ import annotations

from typing import Any

from . import position
from .usertest import outer_of


class Witness:
    """Asks once for each KSP, norm, test and place.

    Attributes
    ----------
    sees : bool
        Whether the last KSP says where its solves end, and what came of them.
    alone : bool
        Whether nobody tests an answer.
    text : str
        By what is decided, for `-ksp_view`.
    """

    def __init__(self) -> None:
        self.sees = self.alone = False
        self.text = "not solved with so far"
        self._asked = position.Asked()

    def forget(self) -> None:
        """Another matrix, and maybe another KSP."""
        self.sees = self.alone = False
        self._asked.forget()

    def matrix_changed(self) -> None:
        """Before a KSP has called: another preconditioner may have this one, and calls nothing around solves."""
        if self._asked.never:
            self.alone = not position.under_way()

    def asks(self, ksp: Any, prefix: str, guarded: bool) -> bool:
        """Whether it hasn't been asked about solves like this one of the KSP; then it is."""
        if not self._asked.anew(ksp, position.under_way()):
            return False
        held = position.why_held(ksp, guarded)
        tests = held is None or held.remedy != position.ITERATES_NOT.remedy
        around = position.depth() - 1 - (ksp.handle in outer_of)
        self.sees, self.alone = held is None, not tests and (around <= 0 or position.nobody_tests(prefix))
        if held is None:
            self.text = "decided solve by solve"
        elif self.alone:
            self.text = f"but not here, where nobody tests an answer: {held.why}"
        else:
            self.text = f"decided by the applications between two matrices, and nothing is repaired: {held.why}"
        return True
