"""What a CG iteration costs with SOR at ω ≠ 1, in units of one at ω = 1, on AIJ matrices with inodes.

    OMP_NUM_THREADS=1 python3 benchmarks/inodes.py

PETSc groups neighbouring rows with the same columns, and sweeps these nodes with a faster kernel where ω is 1 exactly.
Solves of a fixed length at both ω alternate; each figure is the median over the pairs.  The row with one unknown a
node has no inodes.  `PRICE` in sorlearn/tuning/pricing.py, which counts until a run has measured its own, is the last
line, rounded up.
"""

import statistics
from time import perf_counter

import numpy as np
from petsc4py import PETSc

UNKNOWNS = (1, 2, 3, 4, 5)
ROWS, ITERATIONS, PAIRS, OMEGA = 20_000, 30, 41, 1.5


def coupled(unknowns):
    """A positive definite five-point stencil of dense blocks, about ROWS rows in all."""
    n = round((ROWS / unknowns) ** 0.5)
    A = PETSc.Mat().createAIJ((n * n * unknowns,) * 2, nnz=5 * unknowns, comm=PETSc.COMM_SELF)
    neighbour = -np.eye(unknowns) - 0.1 / unknowns
    centre = 4.5 * np.eye(unknowns) + 0.4 / unknowns
    within = np.arange(unknowns, dtype=PETSc.IntType)
    for node in range(n * n):
        i, j = divmod(node, n)
        rows = node * unknowns + within
        A.setValues(rows, rows, centre)
        for k, inside in ((node - n, i > 0), (node + n, i < n - 1), (node - 1, j > 0), (node + 1, j < n - 1)):
            if inside:
                A.setValues(rows, k * unknowns + within, neighbour)
    A.assemble()
    return A


def solver(A, omega):
    """CG that takes ITERATIONS iterations, whatever the residual."""
    options = PETSc.Options(f"omega_{omega}_")
    for name, value in {"ksp_type": "cg", "ksp_convergence_test": "skip", "ksp_max_it": ITERATIONS, "pc_type": "sor",
                        "pc_sor_omega": omega}.items():  # fmt: skip
        options[name] = value
    ksp = PETSc.KSP().create(A.comm)
    ksp.setOptionsPrefix(f"omega_{omega}_")
    ksp.setOperators(A)
    ksp.setFromOptions()
    return ksp


def seconds(ksp, b, x):
    start = perf_counter()
    ksp.solve(b, x)
    elapsed = perf_counter() - start
    assert ksp.getIterationNumber() == ITERATIONS
    return elapsed


def measure(unknowns):
    """(rows, microseconds an iteration at ω = 1, how many times that at OMEGA)."""
    A = coupled(unknowns)
    x, b = A.createVecs()
    b.setArray(np.random.default_rng(0).standard_normal(b.getSize()))
    one, other = solver(A, 1.0), solver(A, OMEGA)
    times = np.array([(seconds(one, b, x), seconds(other, b, x)) for _ in range(PAIRS + 1)])[1:]
    rows = A.getSize()[0]
    for thing in (one, other, A, x, b):
        thing.destroy()
    return rows, 1e6 * statistics.median(times[:, 0]) / ITERATIONS, statistics.median(times[:, 1] / times[:, 0])


def main():
    print(f"PETSc {'.'.join(map(str, PETSc.Sys.getVersion()))}, omega = {OMEGA:g} against 1")
    print("unknowns a node    rows   µs an iteration at 1   cost at other ω")
    weights = []
    for unknowns in UNKNOWNS:
        rows, microseconds, weight = measure(unknowns)
        print(f"{unknowns:15d}  {rows:6d}   {microseconds:20.0f}   {weight:15.2f}", flush=True)
        if unknowns > 1:
            weights.append(weight)
    print(f"median with inodes: {statistics.median(weights):.2f}")
    return weights


if __name__ == "__main__":
    main()
