static char help[] = "Heat whose conductivity comes and goes: u_t = k(t) Laplace(u) on the unit square,\n\
u = 0 on its boundary, by implicit time steps on a DMDA.\n\n";

#include <petscdmda.h>
#include <petscts.h>

static PetscReal Conductivity(PetscReal t)
{
  return 0.05 + PetscSqr(PetscSinReal(2 * PETSC_PI * t));
}

static PetscErrorCode InitialTemperature(DM da, Vec u)
{
  DMDALocalInfo info;
  PetscScalar **a;

  PetscFunctionBeginUser;
  PetscCall(DMDAGetLocalInfo(da, &info));
  PetscCall(DMDAVecGetArray(da, u, &a));
  for (PetscInt j = info.ys; j < info.ys + info.ym; j++) {
    for (PetscInt i = info.xs; i < info.xs + info.xm; i++) {
      PetscReal x = (i + 1.0) / (info.mx + 1), y = (j + 1.0) / (info.my + 1);

      a[j][i] = PetscSinReal(PETSC_PI * x) * PetscSinReal(PETSC_PI * y);
      if (PetscAbsReal(x - 0.3) < 0.1) a[j][i] += 1;
    }
  }
  PetscCall(DMDAVecRestoreArray(da, u, &a));
  PetscFunctionReturn(0);
}

/* J = k(t) times the five-point Laplacian; u_t = J u */
static PetscErrorCode Jacobian(TS ts, PetscReal t, Vec u, Mat J, Mat P, void *ctx)
{
  DM            da;
  DMDALocalInfo info;
  PetscReal     cx, cy;

  PetscFunctionBeginUser;
  PetscCall(TSGetDM(ts, &da));
  PetscCall(DMDAGetLocalInfo(da, &info));
  cx = Conductivity(t) * PetscSqr(info.mx + 1.0);
  cy = Conductivity(t) * PetscSqr(info.my + 1.0);
  for (PetscInt j = info.ys; j < info.ys + info.ym; j++) {
    for (PetscInt i = info.xs; i < info.xs + info.xm; i++) {
      MatStencil  row = {.i = i, .j = j}, col[5];
      PetscScalar v[5];
      PetscInt    n = 0;

      col[n] = row;
      v[n++] = -2 * (cx + cy);
      if (i > 0) { col[n] = row; col[n].i = i - 1; v[n++] = cx; }
      if (i < info.mx - 1) { col[n] = row; col[n].i = i + 1; v[n++] = cx; }
      if (j > 0) { col[n] = row; col[n].j = j - 1; v[n++] = cy; }
      if (j < info.my - 1) { col[n] = row; col[n].j = j + 1; v[n++] = cy; }
      PetscCall(MatSetValuesStencil(P, 1, &row, n, col, v, INSERT_VALUES));
    }
  }
  PetscCall(MatAssemblyBegin(P, MAT_FINAL_ASSEMBLY));
  PetscCall(MatAssemblyEnd(P, MAT_FINAL_ASSEMBLY));
  PetscFunctionReturn(0);
}

int main(int argc, char **argv)
{
  DM        da;
  TS        ts;
  SNES      snes;
  KSP       ksp;
  PC        pc;
  Mat       J;
  Vec       u;
  PetscReal norm;
  PetscInt  steps, iterations;

  PetscCall(PetscInitialize(&argc, &argv, NULL, help));
  PetscCall(DMDACreate2d(PETSC_COMM_WORLD, DM_BOUNDARY_NONE, DM_BOUNDARY_NONE, DMDA_STENCIL_STAR, 99, 99,
                         PETSC_DECIDE, PETSC_DECIDE, 1, 1, NULL, NULL, &da));
  PetscCall(DMSetFromOptions(da));
  PetscCall(DMSetUp(da));
  PetscCall(DMCreateGlobalVector(da, &u));
  PetscCall(DMCreateMatrix(da, &J));
  PetscCall(InitialTemperature(da, u));

  PetscCall(TSCreate(PETSC_COMM_WORLD, &ts));
  PetscCall(TSSetDM(ts, da));
  PetscCall(TSSetProblemType(ts, TS_LINEAR));
  PetscCall(TSSetType(ts, TSBEULER));
  PetscCall(TSSetRHSFunction(ts, NULL, TSComputeRHSFunctionLinear, NULL));
  PetscCall(TSSetRHSJacobian(ts, J, J, Jacobian, NULL));
  PetscCall(TSSetTimeStep(ts, 0.005));
  PetscCall(TSSetMaxTime(ts, 1));
  PetscCall(TSSetExactFinalTime(ts, TS_EXACTFINALTIME_MATCHSTEP));

  /* the matrices are symmetric and positive definite */
  PetscCall(TSGetSNES(ts, &snes));
  PetscCall(SNESGetKSP(snes, &ksp));
  PetscCall(KSPSetType(ksp, KSPCG));
  PetscCall(KSPSetNormType(ksp, KSP_NORM_UNPRECONDITIONED));
  PetscCall(KSPSetTolerances(ksp, 1e-8, PETSC_DEFAULT, PETSC_DEFAULT, PETSC_DEFAULT));
  PetscCall(KSPGetPC(ksp, &pc));
  PetscCall(PCSetType(pc, PCSOR));
  PetscCall(TSSetFromOptions(ts));

  PetscCall(TSSolve(ts, u));
  PetscCall(TSGetStepNumber(ts, &steps));
  PetscCall(TSGetKSPIterations(ts, &iterations));
  PetscCall(VecNorm(u, NORM_2, &norm));
  PetscCall(PetscPrintf(PETSC_COMM_WORLD, "%d steps, %d linear iterations, norm of the solution %.10e\n",
                        (int)steps, (int)iterations, (double)norm));

  PetscCall(TSDestroy(&ts));
  PetscCall(MatDestroy(&J));
  PetscCall(VecDestroy(&u));
  PetscCall(DMDestroy(&da));
  PetscCall(PetscFinalize());
  return 0;
}
