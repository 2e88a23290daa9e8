"""What talks to PETSc and MPI: callbacks, positions, repairs, the matrix's features."""
