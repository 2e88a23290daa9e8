"""What can go wrong, and what to do about it.

Exceptions are for misuse only: a solve that fails is an outcome, not an exception.
"""


class SorlearnError(Exception):
    """Base of everything sorlearn raises on purpose."""


class OptionError(SorlearnError, ValueError):
    """An option has a value it can't have; the message names option, value and what is allowed."""


class MatrixError(SorlearnError, TypeError):
    """The matrix can't be swept by SOR; the message names its type and the remedy."""


class StateError(SorlearnError, ValueError):
    """A saved learner state can't be used; the message says why."""
