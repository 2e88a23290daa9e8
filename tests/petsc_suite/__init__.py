"""PETSc's own regression tests as a test of sorlearn: `python3 -m petsc_suite`, or `make petsc-suite`.

Nobody here wrote these tests.  Every one is run with PETSc's own SOR and then with sorlearn in each of the ways of
`cases.WAYS`, and must end as it ends natively.  `installation` finds PETSc's examples and compiles them, `blocks` reads
their TEST blocks, `running` runs programs and reads what `recorder.c` has written down of each solve, `comparing` says
how two runs differ, `cases` puts these together, and `reporting` sums up.
"""
