"""What a chosen ω is applied by: one kind of preconditioner a file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any


class Applier(ABC):
    """The only way for ω to reach PETSc."""

    @abstractmethod
    def __str__(self) -> str:
        """It in words, for `-ksp_view`."""

    def set_up(self, pc: Any) -> None:
        """The matrix of the PC is new.  Collective."""
        return

    def reset(self) -> None:
        """Let go of the matrix, also out of a solve that ended in an error."""
        return

    def begin(self, pc: Any, ksp: Any, omega: float) -> None:
        """A solve begins, with this ω.  Collective."""
        return

    def end(self, pc: Any, ksp: Any) -> None:
        """It has ended.  Collective."""
        return

    @abstractmethod
    def apply(self, A: Any, x: Any, y: Any, omega: float) -> None:
        """y = M⁻¹x with M of this matrix and ω.  Collective."""

    @abstractmethod
    def apply_transpose(self, A: Any, x: Any, y: Any, omega: float) -> None:
        """y = M⁻ᵀx.  Collective; raises MatrixError where it can't."""
