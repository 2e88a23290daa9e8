"""What the safe ω would have cost, and when it is due."""

from __future__ import annotations

from typing import Any

from .ledger import Ledger


class Baseline:
    """The guarded solver's ledger; elsewhere just a limit that only a catastrophe exceeds."""

    def __init__(self, *, seed: int = 0, strict: bool = False) -> None:
        self.strict, self.ledger, self.largest = strict, Ledger(seed), 0.0

    def due(self) -> bool:
        """Whether the coming solve is to be played at the safe ω."""
        return self.strict and self.ledger.audit()

    def limit(self) -> float:
        """Iterations after which a trial is cut off; 0 for none."""
        if self.strict:
            return float(self.ledger.limit())
        return 50.0 + 10.0 * self.largest if self.largest else 0.0

    def enter(self, cost: float, *, safe: bool, ratio: float | None) -> None:
        """A solve cost this much, in iterations + 1."""
        if self.strict:
            self.ledger.enter(int(cost - 1.0), safe)
        self.largest = max(0.99 * self.largest, cost)

    def savings(self) -> tuple[float, float] | None:
        """Share of the safe ω's cost that was saved, and its standard error; None where that isn't known."""
        return None

    def state(self) -> dict[str, Any]:
        """Plain numbers."""
        return {"ledger": self.ledger.state(), "largest": self.largest}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""
        self.ledger.restore(state["ledger"])
        self.largest = float(state["largest"])
