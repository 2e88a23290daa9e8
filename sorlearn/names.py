"""What solvers are called."""

from __future__ import annotations

import re


def kin(name: str) -> str:
    """What solvers have in common that go on where another has stopped.

    Numbers of five and more digits in a name are ids that change with every object, and count as equal.
    """
    return re.sub(r"\d{5,}", "#", name)
