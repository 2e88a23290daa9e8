"""The interval of a scalar context."""

import math
from typing import NamedTuple

from ..errors import OptionError
from .base import Context, Space


class ContextRange(NamedTuple):
    """The closed interval in which a learner expects its context, ``low < high``."""

    low: float
    high: float

    def fraction(self, context: Context) -> float:
        """Where in the range the context's number is, from 0 to 1.

        Contexts outside count as the nearest end; the middle stands for a context that isn't known.
        """
        number = context.number
        if number is None or math.isnan(number):
            return 0.5
        return min(max((number - self.low) / (self.high - self.low), 0.0), 1.0)


def context_range(space: Space, learner: str) -> ContextRange:
    """The range that `space` gives to the learner of that name.

    Raises
    ------
    OptionError
        If an end is missing or the range is empty.
    """
    low, high = space.context_min, space.context_max
    if low is None or high is None or not -math.inf < low < high < math.inf:
        raise OptionError(
            f"-pc_sorlearn_learner {learner} needs -pc_sorlearn_context_min and -pc_sorlearn_context_max, "
            f"finite and with context_min < context_max; they are {low} and {high}"
        )
    return ContextRange(float(low), float(high))
