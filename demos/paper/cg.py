"""Iterations of CG with SSOR against ω, and the bound scaled to touch them, on an L and a square, coarse and fine."""

from __future__ import annotations

from typing import Any

import numpy as np

from sorlearn import theory

from . import style
from .cells import Cell, run
from .contenders import CG, LEARNED, Contender, matrix, vector
from .model import EPS, shifted

CASES = [(shape, n, c) for shape in "LS" for n in (12, 32) for c in (0.0, 0.5)]


def case(shape: str, n: int, c: float, count: int) -> dict[str, Any]:
    """Iterations and bound at every ω, the scale τ of the bound, and where `auto` ends after 40 solves."""
    A, rng = shifted(c, shape, n), np.random.default_rng(n)
    omegas = np.linspace(2.0 * np.sqrt(2.0) - 2.0, 1.9, count)
    M, b = matrix(A), vector(rng.uniform(-0.5, 0.5, A.shape[0]))
    x, native, learned, its = b.duplicate(), Contender(CG), Contender({**CG, **LEARNED}), []
    for omega in omegas:
        native.set_omega(omega)
        its.append(native.solve(M, b, x).iterations)
    bound = theory.cg_iterations(theory.ssor_condition(omegas, *theory.splitting(A)), theory.condition(A), EPS)
    rows = []
    for _ in range(40):
        b.setArray(rng.uniform(-0.5, 0.5, A.shape[0]))
        rows.append(learned.solve(M, b, x)[::2])
    for thing in M, b, x, native, learned:
        thing.destroy()
    tau = ((np.array(its) - 1) / (bound - 1)).max()
    return {"omegas": omegas, "its": its, "bound": bound, "tau": tau, "auto": np.mean(rows[20:], axis=0)[::-1]}


def cells(quick: bool) -> list[Cell]:
    count = 15 if quick else 100
    return [Cell(f"cg, {shape} {n}, {c:g}", case, (shape, n, c, count), 1.5) for shape, n, c in CASES]


def main(quick: bool = False, folder: str | None = None) -> dict[str, Any]:
    """Curves by case."""
    results = dict(zip((f"{shape}, size {n}, offset {c:g}" for shape, n, c in CASES), run(cells(quick))))
    with style.figure("cg", folder, columns=4, rows=2) as axes:
        for axis, (name, r) in zip(axes, results.items()):
            axis.plot(r["omegas"], r["its"], color=style.BLUE, label="actual iterations")
            axis.plot(r["omegas"], 1 + r["tau"] * (r["bound"] - 1), "--", color=style.ORANGE, label="τ · bound")
            axis.plot(*r["auto"], label="auto", **style.of("auto"))
            axis.set_title(name, fontsize=8)
            axis.set_ylim(0, None)
        for axis in axes[4:]:
            axis.set_xlabel("ω")
        for axis in axes[::4]:
            axis.set_ylabel("iterations")
        axes[0].legend(fontsize=7)
    return results


if __name__ == "__main__":
    print(main())
