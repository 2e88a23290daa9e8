"""Does memory stay flat?  Resident memory over many solves and over many solvers, as slopes.

    python3 benchmarks/memory.py [solves] [cycles]

prints bytes a solve and bytes a create/solve/destroy cycle, each for `sorlearn.PC`, for `sorlearn.KSP` with arms,
for a Python PC that does nothing but sweep (some 100 bytes a prefix are petsc4py's own), and for PETSc's SOR.
"""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import numpy as np
from petsc4py import PETSc

from sorlearn.records import log

N = 8
#: Share of the steps before measuring begins: a solver's caches and stores fill over its first 2000 steps.
WARM_UP, SAMPLES = 0.5, 50
#: What comes once (an allocator's next block: 200 KB) is in one of these parts of what is measured, a leak in each.
PARTS = 5
#: The last 1000 records of every solver are kept; with fewer, that store is full before measuring begins.
log.RECORDS = 50


def resident() -> int:
    """Bytes of this process in memory."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096


def slope(step, count: int) -> float:
    """Bytes a step by which the process goes on growing: the median of the slopes of PARTS after a warm-up."""
    every = max(count // SAMPLES, 1)
    at, sizes = [], []
    for i in range(count):
        step(i)
        if i % every == 0 and i >= WARM_UP * count:
            gc.collect()  # what waits for it is some hundred solvers, more or less
            at.append(i)
            sizes.append(resident())
    parts = zip(np.array_split(at, PARTS), np.array_split(sizes, PARTS), strict=True)
    return float(np.median([np.polyfit(x, y, 1)[0] for x, y in parts]))


def matrix() -> PETSc.Mat:
    """The 5-point Laplacian on an N × N grid."""
    A = PETSc.Mat().createAIJ((N * N, N * N), nnz=5, comm=PETSc.COMM_SELF)
    for row in range(N * N):
        i, j = divmod(row, N)
        A.setValue(row, row, 4.0)
        for k, inside in ((row - N, i > 0), (row + N, i < N - 1), (row - 1, j > 0), (row + 1, j < N - 1)):
            if inside:
                A.setValue(row, k, -1.0)
    A.assemble()
    return A


class Plain:
    """The least that a Python PC can be."""

    def apply(self, pc: PETSc.PC, x: PETSc.Vec, y: PETSc.Vec) -> None:
        """One symmetric sweep at ω = 1, from zero."""
        pc.getOperators()[1].SOR(x, y, 1.0, 12 | 16, 0.0, 1, 1)


KINDS = {
    "sorlearn": {"ksp_type": "cg", "pc_type": "python", "pc_python_type": "sorlearn.PC"},
    "arms": {"ksp_type": "python", "ksp_python_type": "sorlearn.KSP", "sorlearn_ksp_type": "cg",
             "sorlearn_arms": "sor,icc,jacobi"},
    "plain Python": {"ksp_type": "cg", "pc_type": "python", "pc_python_type": f"{__name__}.Plain"},
    "native": {"ksp_type": "cg", "pc_type": "sor"},
}  # fmt: skip


def solver(A: PETSc.Mat, kind: str, prefix: str) -> PETSc.KSP:
    """One of KINDS."""
    options, given = PETSc.Options(prefix), KINDS[kind]
    for name, value in given.items():
        options[name] = value
    ksp = PETSc.KSP().create(PETSc.COMM_SELF)
    ksp.setOptionsPrefix(prefix)
    ksp.setOperators(A)
    ksp.setFromOptions()
    for name in given:
        options.delValue(name)
    return ksp


def solves(count: int, kind: str, changing: bool) -> float:
    """Bytes a solve of one solver, whose matrix changes before each solve or not."""
    A = matrix()
    ksp, (x, b) = solver(A, kind, "one_"), A.createVecs()
    b.set(1.0)

    def step(i):
        if changing:
            A.shift(1.0 if i % 2 else -1.0)
            ksp.setOperators(A)
        ksp.solve(b, x)

    A.shift(1.0)
    result = slope(step, count)
    ksp.destroy()
    return result


def cycles(count: int, kind: str, ids: bool) -> float:
    """Bytes a solver that is created, solves three times and is destroyed, under one prefix or each its own."""
    A = matrix()
    x, b = A.createVecs()
    b.set(1.0)

    def step(i):
        ksp = solver(A, kind, f"many_{140000000 + 16 * i}_" if ids else "many_")
        for _ in range(3):
            ksp.solve(b, x)
        ksp.destroy()

    return slope(step, count)


CASES = {
    "a solve": lambda kind, count: solves(count, kind, False),
    "a solve, matrix changes": lambda kind, count: solves(count, kind, True),
    "a solver": lambda kind, count: cycles(count, kind, False),
    "a solver, new prefix": lambda kind, count: cycles(count, kind, True),
}


def apart(case: str, kind: str, count: int) -> float:
    """The slope of one case, in a process of its own: what another has freed would hide it."""
    code = f"import memory; print(memory.CASES[{case!r}]({kind!r}, {count}))"
    folder = str(Path(__file__).parent)
    output = subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, capture_output=True, text=True).stdout
    return float(output.split()[-1])


def main(total_solves: int = 100_000, total_cycles: int = 5_000) -> dict[tuple[str, str], float]:
    """All slopes in bytes, by what they are of."""
    slopes = {}
    for case in CASES:
        for kind in KINDS:
            slopes[case, kind] = apart(case, kind, total_cycles if "solver" in case else total_solves)
            print(f"{case:25s} {kind:14s} {slopes[case, kind]:8.1f} bytes", flush=True)
    return slopes


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
