"""Names of files as PETSc has them: in UTF-8, whatever the locale of the Python that it has loaded."""

from __future__ import annotations

import errno


def encoded(path: str) -> bytes:
    """The path for the system; in the C locale a Python inside an application would take ASCII alone.

    Raises
    ------
    OSError
        If no file can be called that.
    """
    try:
        name = path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        name = b"\0"
    if b"\0" in name:
        raise OSError(errno.EINVAL, "no file can have this name", path)
    return name
