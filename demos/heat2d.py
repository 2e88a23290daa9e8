"""Heat with a strongly varying conductivity and a wandering source, on the unit square.

    u_t = κ(t) Δu + f,    u = 0 on the boundary

5-point stencil on a DMDA, Crank–Nicolson in time, one CG solve a step, which starts from the previous step.

    mpiexec -n 2 python3 heat2d.py [-n_x 100] [-steps 1000] [-output heat.npz] [any option of PETSc]
"""

import sys
import time

import numpy as np
import petsc4py

petsc4py.init(sys.argv)
from petsc4py import PETSc  # noqa: E402  # only after the arguments are sorted out

N_X = 100  # intervals in each direction
STEPS = 1000
DT = 1e-3
RTOL = 1e-8  # relative to the right-hand side
REPORT = 100  # steps between two lines of output


def conductivity(t):
    return max(0.1 * np.sin(2 * np.pi * t), -10 * np.sin(2 * np.pi * t))


def bump(x, y, centre, radius):
    """Smooth bump of height 1 that vanishes outside a circle."""
    q = ((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / radius**2
    return np.exp(1 - 1 / np.maximum(1 - q, 1e-9))


def source(x, y, t):
    centre = (0.5 + np.cos(16 * np.pi * t) / 4, 0.5 + np.sin(16 * np.pi * t) / 4)
    return 32 * bump(x, y, centre, 1 / 8)


def coordinates(da, h):
    """The interior points of this process, shapes (n, 1) and (1, m)."""
    (xs, xe), (ys, ye) = da.getRanges()
    return h * np.arange(xs + 1, xe + 1)[:, None], h * np.arange(ys + 1, ye + 1)[None, :]


def laplacian(da, h):
    L = da.createMat()
    n, m = da.getSizes()
    (xs, xe), (ys, ye) = da.getRanges()
    row, col = PETSc.Mat.Stencil(), PETSc.Mat.Stencil()
    for j in range(ys, ye):
        for i in range(xs, xe):
            row.index = (i, j)
            L.setValueStencil(row, row, -4 / h**2)
            for i2, j2 in (i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1):
                if 0 <= i2 < n and 0 <= j2 < m:
                    col.index = (i2, j2)
                    L.setValueStencil(row, col, 1 / h**2)
    L.assemble()
    return L


def make_solver(A):
    ksp = PETSc.KSP().create(A.comm)
    ksp.setOperators(A)
    ksp.setType("cg")
    ksp.getPC().setType("sor")
    ksp.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
    ksp.setTolerances(rtol=RTOL, max_it=10_000)
    ksp.setInitialGuessNonzero(True)
    ksp.setFromOptions()
    return ksp


def relative_residual(A, b, u):
    r = b.duplicate()
    A.mult(u, r)
    r.aypx(-1, b)
    norm = r.norm() / b.norm()
    r.destroy()
    return norm


def gather(da, u):
    """The whole solution on the first process, in natural order; nothing on the others."""
    natural = da.createNaturalVec()
    da.globalToNatural(u, natural)
    scatter, whole = PETSc.Scatter.toZero(natural)
    scatter.scatter(natural, whole)
    values = whole.getArray().copy()
    for thing in scatter, whole, natural:
        thing.destroy()
    return values


def main(quick=False):
    options = PETSc.Options()
    n_x = options.getInt("n_x", 25 if quick else N_X)
    steps = options.getInt("steps", 50 if quick else STEPS)
    output = options.getString("output", "")
    h = 1 / n_x

    da = PETSc.DMDA().create([n_x - 1, n_x - 1], stencil_type=PETSc.DMDA.StencilType.STAR, stencil_width=1)
    x, y = coordinates(da, h)
    L = laplacian(da, h)
    A = L.duplicate()
    u, b, f = (da.createGlobalVec() for _ in range(3))
    ksp = make_solver(A)
    first = da.getComm().getRank() == 0

    da.getVecArray(u)[:] = bump(x, y, (0.5, 0.5), 1 / 4)
    iterations = np.zeros(steps, dtype=int)
    start = time.perf_counter()
    for step in range(steps):
        t = (step + 0.5) * DT
        s = 0.5 * conductivity(t) * DT
        L.copy(A, structure=PETSc.Mat.Structure.SAME_NONZERO_PATTERN)
        A.scale(-s)
        A.shift(1.0)  # A = I − sL, so that (I + sL) u = 2u − Au
        da.getVecArray(f)[:] = source(x, y, t)
        A.mult(u, b)
        b.scale(-1)
        b.axpy(2, u)
        b.axpy(DT, f)
        ksp.solve(b, u)
        if ksp.getConvergedReason() < 0:
            raise RuntimeError(f"step {step + 1}: no convergence, reason {ksp.getConvergedReason()}")
        iterations[step] = ksp.getIterationNumber()
        if first and (step + 1) % REPORT == 0:
            t = (step + 1) * DT
            print(f"step {step + 1:5d}  t = {t:.3f}  {iterations.sum():6d} iterations", flush=True)
    seconds = time.perf_counter() - start

    result = {
        "iterations": int(iterations.sum()),
        "seconds": seconds,
        "residual": relative_residual(A, b, u),
        "heat": u.sum() * h**2,
    }
    if first:
        numbers = "{iterations} iterations, {seconds:.2f} s, residual {residual:.2e}, heat {heat:.8f}"
        print(numbers.format(**result))
    if output:
        solution = gather(da, u)
        if first:
            np.savez(output, u=solution, iterations_per_step=iterations, **result)
    for thing in ksp, u, b, f, A, L, da:
        thing.destroy()
    return result


if __name__ == "__main__":
    main()
