"""What a run leaves behind: journal, saved state, reports; neither PETSc nor MPI."""
