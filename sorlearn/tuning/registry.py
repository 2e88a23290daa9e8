"""What outlives a solver: sessions that wait for the next of their kind, and the learners that groups share."""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import Any, Callable

from ..learners import Learner
from ..names import kin
from ..options import STEM, Settings
from ..records import told
from .session import Session


class Registry:
    """What waits for its solver to come back, and the learners that groups share.

    A solver that is destroyed gives back what it learned; the next one of the same name, size and type goes on with
    it.
    """

    LIMIT = 256

    def __init__(self) -> None:
        self.waiting: OrderedDict[tuple[Any, ...], list[Any]] = OrderedDict()
        self.in_use: Counter[tuple[Any, ...]] = Counter()
        self.groups: dict[tuple[Any, ...], Learner] = {}

    def acquire(self, key: tuple[Any, ...], make: Callable[[], Any], clean_up: Callable[[], None]) -> Any:
        """What waits under this key, else what `make` makes.

        Where others of this key are in use, `clean_up` comes first: they may be solvers that nobody can reach any more,
        and that PETSc will destroy when it is asked to.
        """
        key = self._key(key)
        if key not in self.waiting and self.in_use[key] > 0:
            clean_up()
        self.in_use[key] += 1
        waiting = self.waiting.pop(key, [])
        if not waiting:
            return make()
        found = waiting.pop()
        if waiting:
            self.waiting[key] = waiting
        return found

    def release(self, key: tuple[Any, ...], slot: Any) -> None:
        """Keep this for the next solver of its kind, and forget the oldest kinds."""
        key = self._key(key)
        self.in_use[key] -= 1
        if not self.in_use[key]:
            del self.in_use[key]
        self.waiting.setdefault(key, []).append(slot)
        self.waiting.move_to_end(key)
        if len(self.waiting) > self.LIMIT:
            self.waiting.popitem(last=False)

    def session(self, name: str, settings: Settings, say: Callable[[str], None], guarded: bool) -> Session:
        """A new session; its learner is the group's where there is a group."""
        if settings.group is None:
            return Session(name, kin(name), settings, say, guarded=guarded)
        key = (settings.group, settings.learner, settings.space(), settings.seed, settings.cost)
        apart = any(other[0] == settings.group and other != key for other in self.groups)
        if apart and told.first(name, f"group {settings.group}"):
            say(f"sorlearn: solver '{name}': others of -{name}{STEM}group {settings.group} have another learner, "
                "range, seed or cost, and share nothing with it")  # fmt: skip
        session = Session(name, kin(name), settings, say, self.groups.get(key), guarded)
        self.groups[key] = session.learner
        return session

    @staticmethod
    def _key(key: tuple[Any, ...]) -> tuple[Any, ...]:
        return (kin(key[0]), *key[1:])
