"""What happens around a learner: deciding, charging, keeping answers accurate; neither PETSc nor MPI."""
