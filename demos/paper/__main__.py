"""All experiments: their cells in one go, then their figures, and `paper.json` with all numbers and the versions.

    python3 -m paper [--quick] [--most N_X] [--long N_X] [--figures FOLDER] [experiment ...]
"""

from __future__ import annotations

import argparse
import json
import platform
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from . import cells, style

EXPERIMENTS = ("asymptotic", "comparators", "degenerate", "learning", "contextual", "cg", "heat2d", "regret",
               "neighbours_robertson", "neighbours_vector", "neighbours_newton", "neighbours_sorted",
               "neighbours_inexact")  # fmt: skip


def plain(value: Any) -> Any:
    """Numbers that JSON knows, to six digits."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray) and not value.ndim:
        return plain(value.item())
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(item) for item in value]
    if isinstance(value, (np.integer, np.floating, float)):
        number = float(value)
        return int(number) if number.is_integer() else float(f"{number:.6g}")
    return value


def versions() -> dict[str, str]:
    """Of all that the numbers depend on."""
    import scipy
    from petsc4py import PETSc

    from sorlearn import __version__

    return {"sorlearn": __version__, "PETSc": ".".join(map(str, PETSc.Sys.getVersion())), "numpy": np.__version__,
            "scipy": scipy.__version__, "Python": platform.python_version(), "machine": platform.machine()}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="paper", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="all of it, small, in under two minutes")
    parser.add_argument("--most", type=int, default=400, help="largest n_x of the heat equation (default: 400)")
    parser.add_argument("--long", type=int, default=400, help="largest n_x with 3 trials of 5000 steps, not 1 of 1000")
    parser.add_argument("--figures", type=Path, default=style.FIGURES, help="where figures and paper.json go")
    parser.add_argument("experiments", nargs="*", metavar="experiment", help=f"some of {', '.join(EXPERIMENTS)}")
    given = parser.parse_args()
    names = given.experiments or EXPERIMENTS
    modules = {name: import_module(f".{name}", __package__) for name in names}
    limited = {"most": given.most, "long": given.long}
    options = {name: limited if name == "heat2d" else {} for name in names}
    cells.run([cell for name, module in modules.items() for cell in module.cells(given.quick, **options[name])])
    numbers = {}
    for name, module in modules.items():
        numbers[name] = module.main(given.quick, folder=str(given.figures), **options[name])
    given.figures.mkdir(parents=True, exist_ok=True)
    path = given.figures / "paper.json"
    path.write_text(json.dumps(plain({"versions": versions(), "quick": given.quick, **numbers}), indent=1) + "\n")
    print(f"{len(names)} experiments: figures and paper.json are in {given.figures}")


if __name__ == "__main__":
    main()
