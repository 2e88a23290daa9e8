"""How figures look: one marker and colour a name, of those that Okabe and Ito chose for the colour-blind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

#: Where figures go.
FIGURES = Path(os.environ.get("SORLEARN_FIGURES", Path(__file__).parent / "figures"))
BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILION, PURPLE, GREY = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#B8A800", "#0072B2", "#D55E00", "#CC79A7", "#808080",
)  # fmt: skip
#: Where names have no look of their own.
CYCLE = (VERMILION, BLUE, GREEN, ORANGE, BLACK, PURPLE, GREY, SKY, YELLOW)
_STYLES = {
    "CG": (GREY, "x", "-"),
    "ω = 1": (GREY, "v", "--"),
    "ω = 1.2": (SKY, "<", "--"),
    "ω = 1.4": (YELLOW, ">", "--"),
    "ω = 1.5": (YELLOW, "^", "--"),
    "ω = 1.6": (PURPLE, "^", "--"),
    "ω = 1.8": (BLUE, "d", "--"),
    "best fixed ω": (BLACK, None, ":"),
    "instance-optimal": (BLACK, None, "-"),
    "tsallis_inf": (GREEN, "o", "-"),
    "tsallis_inf_cb": (BLUE, "s", "-"),
    "chebcb": (PURPLE, "D", "-"),
    "spectral_exp3": (ORANGE, "P", "-"),
    "auto": (VERMILION, "*", "-"),
    "auto, no context": (VERMILION, "*", ":"),
}


def of(name: str) -> dict[str, Any]:
    """Keywords of `plot` for something that has its own look."""
    color, marker, line = _STYLES[name]
    return {"color": color, "marker": marker, "linestyle": line, "markersize": 5, "linewidth": 1.6}


def smooth(values: np.ndarray, width: int) -> np.ndarray:
    """Moving average, shorter at the ends."""
    ones = np.ones(max(1, width))
    return np.convolve(values, ones, "same") / np.convolve(np.ones(len(values)), ones, "same")


@contextmanager
def figure(name: str, folder: str | None = None, columns: int = 1, rows: int = 1) -> Iterator[list[Any]]:
    """The axes of a figure as wide as a page, saved as `name`.png; axes that draw nothing without matplotlib."""
    try:
        import matplotlib
    except ImportError:
        print(f"no {name}.png: it needs matplotlib (python3 -m pip install matplotlib)")
        yield [_Nothing()] * (columns * rows)
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"font.size": 9, "axes.grid": True, "grid.alpha": 0.3, "axes.titlesize": 9})
    size = (8.0, (4.6 if columns == 1 else 3.6) * (1 if rows == 1 else 0.8 * rows))
    drawn, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    yield list(axes.flat)
    path = Path(folder or FIGURES) / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn.savefig(path, dpi=110)
    plt.close(drawn)
    _compress(path)


def _compress(path: Path) -> None:
    """A palette instead of full colours: half the size, and nobody sees it."""
    from PIL import Image

    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(128)
    small.save(path, optimize=True)


class _Nothing:
    """Takes every call and attribute of an axis, and does nothing."""

    def __getattr__(self, name: str) -> _Nothing:
        return self

    def __call__(self, *arguments: Any, **keywords: Any) -> _Nothing:
        return self
