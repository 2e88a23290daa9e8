"""The experiments of Khodak, Chow, Balcan and Talwalkar, *Learning to relax* (ICLR 2024), on PETSc, and beyond them.

    make paper             # every figure and paper.json; progress is shown, an interrupted run resumes
    make paper QUICK=1     # all of it, small

``python3 -m paper`` with demos/ on PYTHONPATH does the same, ``python3 -m paper.contextual`` one experiment.  Each
script has a function `cells`, its pieces, and `main(quick=False)`, which returns the numbers that it draws.
"""
