"""Algorithms that choose ω, one a file, and the registry that finds them by name."""

from functools import cache
from importlib import import_module

from .base import NO_CONTEXT, Choice, Context, Learner, MatrixFeatures, Space

#: name → class; the module is called like the learner and imported when it is first asked for.
LEARNERS = {
    "auto": "Auto",
    "tsallis_inf": "TsallisINF",
    "tsallis_inf_rv": "TsallisINFRV",
    "tsallis_inf_cb": "TsallisINFCB",
    "chebcb": "ChebCB",
    "thompson": "Thompson",
    "fixed": "Fixed",
}


@cache
def learner_class(name: str) -> type[Learner]:
    """The class of the learner called `name` (a key of `LEARNERS`)."""
    return getattr(import_module(f".{name}", __name__), LEARNERS[name])


__all__ = ["Choice", "Context", "LEARNERS", "Learner", "MatrixFeatures", "NO_CONTEXT", "Space", "learner_class"]
