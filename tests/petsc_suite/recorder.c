/* Preloaded into PETSc's examples: writes a line for each KSPSolve, KSPSolveTranspose and KSPMatSolve to the file that
   PETSC_SUITE_RECORD names (running.py says what is in it), and counts MatSOR.

   The exported symbols are bare jumps to static functions, so that whoever asks dladdr who is on the call stack
   (sorlearn/petsc/position.py) finds each solve once. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <petscksp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef PetscErrorCode (*Solve)(KSP, Vec, Vec);
typedef PetscErrorCode (*SolveMatrix)(KSP, Mat, Mat);
typedef PetscErrorCode (*Sor)(Mat, Vec, PetscReal, MatSORType, PetscReal, PetscInt, PetscInt, Vec);

enum { DEEPEST = 64 };
static KSP    under_way[DEEPEST];
static int    depth;
static long   sweeps;
static double least_omega, largest_omega;

static Sor real_sor(void)
{
  static Sor real;
  if (!real) real = (Sor)dlsym(RTLD_NEXT, "MatSOR");
  return real;
}

static FILE *file(void)
{
  static FILE *out;
  static int   opened;
  int          rank;

  if (!opened) {
    opened = 1;
    MPI_Comm_rank(PETSC_COMM_WORLD, &rank);
    if (!rank && getenv("PETSC_SUITE_RECORD")) out = fopen(getenv("PETSC_SUITE_RECORD"), "a");
  }
  return out;
}

/* Whether multiplying by the matrix is cheap and free of the application's code. */
static int is_assembled(Mat A)
{
  static const char *const types[] = {"seqaij", "mpiaij", "seqbaij", "mpibaij", "seqsbaij", "mpisbaij", "seqdense", "mpidense", "seqsell", "mpisell"};
  MatType                  type;
  size_t                   i;

  if (!A || MatGetType(A, &type) || !type) return 0;
  for (i = 0; i < sizeof(types) / sizeof(*types); i++)
    if (!strcmp(type, types[i])) return 1;
  return 0;
}

static double norm_of(Vec v)
{
  PetscReal norm = -1;
  return VecNorm(v, NORM_2, &norm) ? -1 : norm;
}

/* The norm of r that the KSP tests where its PC is native SOR with omega = 1; -1 where that can't be said. */
static double tested_norm(KSP ksp, Mat A, Mat P, Vec r, Vec work)
{
  KSPNormType    norm;
  MatNullSpace   null_space = NULL;
  PetscScalar    product    = 0;
  PetscErrorCode failed;

  KSPGetNormType(ksp, &norm);
  if (norm == KSP_NORM_UNPRECONDITIONED) return norm_of(r);
  if (norm == KSP_NORM_NONE) return -1;
  VecSet(work, 0);
  PetscPushErrorHandler(PetscIgnoreErrorHandler, NULL);
  failed = real_sor()(P, r, 1, (MatSORType)(SOR_ZERO_INITIAL_GUESS | SOR_LOCAL_SYMMETRIC_SWEEP), 0, 1, 1, work);
  PetscPopErrorHandler();
  if (failed) return -1;
  MatGetNullSpace(A, &null_space);
  if (null_space) MatNullSpaceRemove(null_space, work);
  if (norm == KSP_NORM_PRECONDITIONED) return norm_of(work);
  VecDot(r, work, &product);
  return PetscSqrtReal(PetscAbsScalar(product));
}

/* The last residual over what the user's tolerances allow, both as native SOR with omega = 1 computes them. */
static double users_test(KSP ksp, Mat A, Mat P, Vec b, Vec r)
{
  KSPConvergedReason reason;
  PCType             type = "";
  PC                 pc;
  PetscReal          rtol, atol;
  Vec                work;
  double             before, after, allowed;

  KSPGetConvergedReason(ksp, &reason);
  KSPGetPC(ksp, &pc);
  PCGetType(pc, &type);
  if (reason != KSP_CONVERGED_RTOL && reason != KSP_CONVERGED_ATOL) return -1;
  if (!type || (strcmp(type, PCSOR) && strcmp(type, PCPYTHON)) || !is_assembled(P)) return -1;
  KSPGetTolerances(ksp, &rtol, &atol, NULL, NULL);
  VecDuplicate(b, &work);
  before = tested_norm(ksp, A, P, b, work);
  after  = tested_norm(ksp, A, P, r, work);
  VecDestroy(&work);
  allowed = PetscMax(rtol * before, atol);
  return before < 0 || after < 0 || allowed <= 0 ? -1 : after / allowed;
}

/* ||b - Ax||/||b|| and the user's test; -1 where they can't be known. */
static void judge(KSP ksp, Mat A, Mat P, Vec b, Vec x, int transposed, double *relative, double *test)
{
  PetscInt rows, columns, length;
  Vec      r;
  double   scale;

  MatGetSize(A, &rows, &columns);
  VecGetSize(b, &length);
  if (rows != columns || length != rows) return;
  VecDuplicate(b, &r);
  if (!(transposed ? MatMultTranspose(A, x, r) : MatMult(A, x, r))) {
    VecAYPX(r, -1, b);
    scale     = norm_of(b);
    *relative = scale > 0 ? norm_of(r) / scale : norm_of(r);
    if (!transposed) *test = users_test(ksp, A, P, b, r);
  }
  VecDestroy(&r);
}

static void write_line(KSP ksp, int transposed, int level, int again, PetscErrorCode error, Vec b, Vec x, long before)
{
  const char        *prefix = "", *kind = "", *preconditioner = "", *matrix = "";
  double             relative = -1, test = -1, length = -1, least = least_omega, largest = largest_omega;
  PetscInt           iterations = -1, rows = 0;
  KSPConvergedReason reason = 0;
  Mat                A = NULL, P = NULL;
  PC                 pc;

  KSPGetOptionsPrefix(ksp, &prefix);
  KSPGetType(ksp, &kind);
  if (!KSPGetPC(ksp, &pc)) PCGetType(pc, &preconditioner);
  KSPGetIterationNumber(ksp, &iterations);
  KSPGetConvergedReason(ksp, &reason);
  if (!error && !KSPGetOperators(ksp, &A, &P) && A) {
    MatGetType(P, &matrix);
    MatGetSize(A, &rows, NULL);
    if (is_assembled(A) && !level && b && x) {
      length = norm_of(x);
      judge(ksp, A, P, b, x, transposed, &relative, &test);
    }
  }
  if (file()) {
    fprintf(file(), "%d|%d|%d|%s|%s|%s|%s|%d|%d|%d|%d|%.17g|%.17g|%.17g|%ld|%.6g|%.6g\n", transposed, level, again, prefix ? prefix : "", kind ? kind : "", preconditioner ? preconditioner : "", matrix ? matrix : "", (int)rows, (int)error, (int)iterations, (int)reason, relative, test, length, sweeps - before, least, largest);
    fflush(file());
  }
}

/* Goes one level down; returns how many of the solves under way are of this KSP. */
static int enter(KSP ksp)
{
  int i, again = 0;

  for (i = 0; i < depth && i < DEEPEST; i++) again += under_way[i] == ksp;
  if (depth < DEEPEST) under_way[depth] = ksp;
  if (!depth) {
    sweeps        = 0;
    least_omega   = 9;
    largest_omega = -9;
  }
  depth++;
  return again;
}

static PetscErrorCode record(KSP ksp, Vec b, Vec x, int transposed)
{
  static Solve   real[2];
  Vec            rhs = b, answer = x, copy = NULL;
  PetscErrorCode error;
  long           before;
  int            again;

  if (!real[transposed]) real[transposed] = (Solve)dlsym(RTLD_NEXT, transposed ? "KSPSolveTranspose" : "KSPSolve");
  if (!rhs) KSPGetRhs(ksp, &rhs);
  if (!answer) KSPGetSolution(ksp, &answer);
  if (rhs && rhs == answer) {
    VecDuplicate(answer, &copy);
    VecCopy(answer, copy);
    rhs = copy;
  }
  again  = enter(ksp);
  before = sweeps;
  error  = real[transposed](ksp, b, x);
  depth--;
  write_line(ksp, transposed, depth, again, error, rhs, answer, before);
  VecDestroy(&copy);
  return error;
}

static PetscErrorCode solve(KSP ksp, Vec b, Vec x)
{
  return record(ksp, b, x, 0);
}

static PetscErrorCode solve_transposed(KSP ksp, Vec b, Vec x)
{
  return record(ksp, b, x, 1);
}

static PetscErrorCode solve_matrix(KSP ksp, Mat B, Mat X)
{
  static SolveMatrix real;
  PetscErrorCode     error;
  int                again  = enter(ksp);
  long               before = sweeps;

  if (!real) real = (SolveMatrix)dlsym(RTLD_NEXT, "KSPMatSolve");
  error = real(ksp, B, X);
  depth--;
  write_line(ksp, 0, depth, again, error, NULL, NULL, before);
  return error;
}

static PetscErrorCode sor(Mat A, Vec b, PetscReal omega, MatSORType flag, PetscReal shift, PetscInt its, PetscInt lits, Vec x)
{
  sweeps++;
  least_omega   = PetscMin(least_omega, omega);
  largest_omega = PetscMax(largest_omega, omega);
  return real_sor()(A, b, omega, flag, shift, its, lits, x);
}

#define EXPORT(name, to) __asm__(".text\n.globl " #name "\n.type " #name ",@function\n" #name ": jmp " #to "\n.size " #name ", .-" #name "\n")
EXPORT(KSPSolve, solve);
EXPORT(KSPSolveTranspose, solve_transposed);
EXPORT(KSPMatSolve, solve_matrix);
EXPORT(MatSOR, sor);
__attribute__((used)) static void *keep[] = {solve, solve_transposed, solve_matrix, sor};
