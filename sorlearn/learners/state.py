"""Saving and restoring what was learned, as plain numbers and arrays."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np


class Remembers:
    """Something with a state that can be saved: the attributes that it names.

    They are numbers, arrays, random generators, or again such things.
    """

    #: Names of the attributes that make up the state.
    _remembered: ClassVar[tuple[str, ...]] = ()

    def state(self) -> dict[str, Any]:
        """Everything remembered, as plain arrays and numbers; `restore` on an equal object continues the run."""
        return {name: _saved(getattr(self, name)) for name in self._remembered}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` of an equal object returned.

        Raises
        ------
        KeyError, TypeError, ValueError
            If it isn't one, or not finite; the object is then unchanged.
        """
        self._adopt(self._checked(state))

    def _checked(self, state: dict[str, Any]) -> dict[str, Any]:
        return {name: _restored(name, getattr(self, name), state[name]) for name in self._remembered}

    def _adopt(self, checked: dict[str, Any]) -> None:
        for name, value in checked.items():
            mine = getattr(self, name)
            if isinstance(mine, Remembers):
                mine._adopt(value)
            else:
                setattr(self, name, value)


def _saved(value: Any) -> Any:
    if isinstance(value, Remembers):
        return value.state()
    if isinstance(value, np.random.Generator):
        return value.bit_generator.state
    return value.copy() if isinstance(value, np.ndarray) else value


def _restored(name: str, mine: Any, value: Any) -> Any:
    """The saved `value` in the type and shape of what is there now."""
    if isinstance(mine, Remembers):
        return mine._checked(value)
    if isinstance(mine, np.random.Generator):
        bits = np.random.PCG64()
        bits.state = value
        return np.random.Generator(bits)
    if not isinstance(mine, np.ndarray):
        value = type(mine)(value)
        if not np.isfinite(value):
            raise ValueError(f"{name} isn't finite")
        return value
    array = np.array(value, dtype=mine.dtype)
    if array.shape != mine.shape or not np.all(np.isfinite(array)):
        raise ValueError(f"{name} has shape {array.shape} or is not finite, wanted shape {mine.shape}")
    return array
