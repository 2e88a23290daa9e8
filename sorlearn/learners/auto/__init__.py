"""The default learner: theory with one unknown where theory holds, a regression where it doesn't.

``curves``: how log cost depends on ω.  ``features``: what the context says about its level and its minimum; ``index``:
several numbers of the user's as one.  ``bank``: regressions that differ in where they believe the minimum to be.
``learner``: the choice.
"""

from .learner import Auto

__all__ = ["Auto"]
