! Heat on the unit square, u_t = k(t) Laplace(u), u = 0 on the boundary: backward Euler, one CG solve a step.
program heat
#include <petsc/finclude/petscksp.h>
  use petscksp
  implicit none

  PetscInt, parameter :: n = 63, steps = 100
  PetscReal, parameter :: dt = 0.005d0, pi = 3.14159265358979d0
  PetscErrorCode :: ierr
  PetscInt :: step, its, total
  PetscReal :: s, norm
  Mat :: A, L
  Vec :: u, b
  KSP :: ksp
  PC :: pc
  KSPConvergedReason :: reason
  character(len=80) :: line

  PetscCallA(PetscInitialize(ierr))
  call laplacian(L)
  PetscCallA(MatDuplicate(L, MAT_COPY_VALUES, A, ierr))
  PetscCallA(MatCreateVecs(L, u, b, ierr))
  PetscCallA(VecSet(u, 1.d0, ierr))

  ! the matrices are symmetric and positive definite
  PetscCallA(KSPCreate(PETSC_COMM_WORLD, ksp, ierr))
  PetscCallA(KSPSetType(ksp, KSPCG, ierr))
  PetscCallA(KSPSetNormType(ksp, KSP_NORM_UNPRECONDITIONED, ierr))
  PetscCallA(KSPSetInitialGuessNonzero(ksp, PETSC_TRUE, ierr))
  PetscCallA(KSPGetPC(ksp, pc, ierr))
  PetscCallA(PCSetType(pc, PCSOR, ierr))
  PetscCallA(KSPSetFromOptions(ksp, ierr))

  total = 0
  do step = 1, steps
    s = dt * (0.05d0 + sin(2 * pi * step * dt)**2) * (n + 1)**2
    PetscCallA(MatCopy(L, A, SAME_NONZERO_PATTERN, ierr))
    PetscCallA(MatScale(A, s, ierr))
    PetscCallA(MatShift(A, 1.d0, ierr))
    PetscCallA(KSPSetOperators(ksp, A, A, ierr))
    PetscCallA(VecCopy(u, b, ierr))
    PetscCallA(KSPSolve(ksp, b, u, ierr))
    PetscCallA(KSPGetConvergedReason(ksp, reason, ierr))
    if (reason < 0) stop 'no convergence'
    PetscCallA(KSPGetIterationNumber(ksp, its, ierr))
    total = total + its
  end do

  PetscCallA(VecNorm(u, NORM_2, norm, ierr))
  write (line, '(i0, a, i0, a, es17.10)') steps, ' steps, ', total, &
    ' linear iterations, norm of the solution', norm
  PetscCallA(PetscPrintf(PETSC_COMM_WORLD, trim(line)//new_line('a'), ierr))
  PetscCallA(KSPDestroy(ksp, ierr))
  PetscCallA(VecDestroy(u, ierr))
  PetscCallA(VecDestroy(b, ierr))
  PetscCallA(MatDestroy(A, ierr))
  PetscCallA(MatDestroy(L, ierr))
  PetscCallA(PetscFinalize(ierr))

contains

  ! minus the five-point Laplacian, times h squared
  subroutine laplacian(M)
    Mat :: M
    PetscInt :: row, first, last, i, j

    PetscCallA(MatCreate(PETSC_COMM_WORLD, M, ierr))
    PetscCallA(MatSetSizes(M, PETSC_DECIDE, PETSC_DECIDE, n * n, n * n, ierr))
    PetscCallA(MatSetFromOptions(M, ierr))
    PetscCallA(MatSetUp(M, ierr))
    PetscCallA(MatGetOwnershipRange(M, first, last, ierr))
    do row = first, last - 1
      i = mod(row, n)
      j = row / n
      PetscCallA(MatSetValue(M, row, row, 4.d0, INSERT_VALUES, ierr))
      if (i > 0) PetscCallA(MatSetValue(M, row, row - 1, -1.d0, INSERT_VALUES, ierr))
      if (i < n - 1) PetscCallA(MatSetValue(M, row, row + 1, -1.d0, INSERT_VALUES, ierr))
      if (j > 0) PetscCallA(MatSetValue(M, row, row - n, -1.d0, INSERT_VALUES, ierr))
      if (j < n - 1) PetscCallA(MatSetValue(M, row, row + n, -1.d0, INSERT_VALUES, ierr))
    end do
    PetscCallA(MatAssemblyBegin(M, MAT_FINAL_ASSEMBLY, ierr))
    PetscCallA(MatAssemblyEnd(M, MAT_FINAL_ASSEMBLY, ierr))
  end subroutine
end program
