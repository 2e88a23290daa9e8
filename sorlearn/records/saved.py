"""A solver's saved state over its run: loaded at the start, written now and then and at the end."""

from __future__ import annotations

from typing import Any, Callable

from ..errors import StateError
from . import checkpoint, told

#: Solves between two saves.
SAVE_EVERY = 500


class Saved:
    """Loads and saves the state of one solver; what goes wrong costs one message a name, not the run.

    Parameters
    ----------
    key : str
        Name under which the solver's state stands in the file.
    stem : str
        ``-<prefix>pc_sorlearn_``, for messages.
    load, save : str or None
        Paths.
    say : callable
        Prints a line for the user.
    """

    def __init__(
        self, key: str, stem: str, load: str | None, save: str | None, say: Callable[[str], None]
    ) -> None:
        self._key, self._stem, self._load, self._save, self._say = key, stem, load, save, say
        self._last = 0

    def restore(self, restore: Callable[[dict[str, Any]], None]) -> None:
        """Hand the loaded state to `restore`, which raises StateError where it isn't of its kind."""
        if not self._load:
            return
        try:
            restore(checkpoint.load(self._load, self._key))
        except StateError as error:
            if told.first(f"{self._stem}load", self._load):
                self._say(f"sorlearn: {self._stem}load: {error}; learning starts afresh")

    def sometimes(self, solves: int, state: Callable[[], dict[str, Any]]) -> None:
        """Save every 500 solves."""
        if solves >= self._last + SAVE_EVERY:
            self.save(solves, state)

    def save(self, solves: int, state: Callable[[], dict[str, Any]]) -> None:
        """Write the state, if asked to and if there is anything to remember."""
        if not self._save or not solves:
            return
        self._last = solves
        try:
            checkpoint.save(self._save, self._key, state())
        except (OSError, StateError) as error:
            if told.first(f"{self._stem}save", self._save):
                cause = f"{self._save}: {error.strerror}" if isinstance(error, OSError) else error
                self._say(f"sorlearn: {self._stem}save: {cause}; it is left as it was, the run goes on")
