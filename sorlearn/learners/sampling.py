"""Drawing an arm from a distribution."""

import numpy as np

from .base import Choice, Context


def draw(rng: np.random.Generator, p: np.ndarray, omegas: np.ndarray, context: Context) -> Choice:
    """Draw one of `omegas` with probabilities `p`, both of shape (num_omegas,), by one uniform number.

    The choice counts as explored when another arm was likelier.
    """
    cdf = p.cumsum()
    # The product may round up to the last entry, which would be one arm too far.
    index = min(int(cdf.searchsorted(rng.random() * cdf[-1], side="right")), len(p) - 1)
    likely = float(p[index])
    # Arms that tie differ by rounding.
    explored = likely < (1.0 - 1e-9) * float(p.max())
    return Choice(float(omegas[index]), index, min(likely, 1.0), explored, context)
