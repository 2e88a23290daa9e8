# PETSC=pypi: with PETSc compiled from PyPI; otherwise with the PETSc that is there, or Debian's
PETSC = any
env = .setup/$(PETSC).env
use = . ./$(env) &&
lint = .venv-lint/bin

.PHONY: help demo demo-c demo-fortran demo-dolfinx paper test petsc-suite lint bench bench-all bench-arms bench-lag \
	bench-learning bench-usertest clean

help:
	@echo "make demo          heat simulation with omega = 1 and with learned omega (sets up what it needs)"
	@echo "make demo-c        the same comparison for a C application, unmodified"
	@echo "make demo-fortran  and for a Fortran one"
	@echo "make demo-dolfinx  and for a DOLFINx script, where DOLFINx is installed"
	@echo "make paper         the experiments of the paper, hours; QUICK=1: small, two minutes; ARGS=--help"
	@echo "make test          all tests; ARGS=... is passed to pytest"
	@echo "make petsc-suite   PETSc's own regression tests, with its SOR and with sorlearn; ARGS=--help"
	@echo "make bench         wall clock against everything else in PETSc, hours; QUICK=1: two minutes; ARGS=--help"
	@echo "make bench-learning  how near the best omega every learner comes: table and regret plot; ARGS=--ablate"
	@echo "make bench-usertest  the same under default norms, and what is left of the user's own test"
	@echo "make bench-lag     what keeping set-ups is worth (sorlearn.Lag), an hour; ARGS=--help"
	@echo "make bench-arms    what choosing among whole solvers is worth, long; QUICK=1: shorter; ARGS=--help"
	@echo "make bench-all     all measurements but bench-lag and bench-arms: those above, tutorials, ranks, growth, inodes"
	@echo "make lint          ruff and mypy"
	@echo "make clean         removes what was made here, except installed software"
	@echo "PETSC=pypi after any of them: use PETSc from PyPI, compiled into .venv"

$(env): .ci/setup.sh sorlearn/petsc/fast.c
	@.ci/setup.sh $@ $(filter pypi,$(PETSC))

demo: $(env)
	@$(use) python3 demos/demo.py

demo-c: $(env)
	@$(use) $(MAKE) --no-print-directory -C demos/c run

demo-fortran: $(env)
	@$(use) $(MAKE) --no-print-directory -C demos/fortran run

demo-dolfinx: $(env)
	@$(use) cd demos && mpiexec -n 2 python3 dolfinx_heat.py && mpiexec -n 2 python3 dolfinx_heat.py learn

paper: $(env)
	@$(use) PYTHONPATH="$$PWD/demos:$$PWD/benchmarks:$$PYTHONPATH" python3 -m paper $(if $(QUICK),--quick) $(ARGS)

test: $(env)
	$(if $(ARGS),,@echo "all tests: ten to twenty minutes on two cores; a part of them: make test ARGS=tests/test_options.py")
	@$(use) python3 -m pytest -rs $(ARGS)

petsc-suite: $(env)
	@$(use) PYTHONPATH="$$PWD/tests:$$PYTHONPATH" python3 -u -m petsc_suite $(ARGS)

$(lint)/ruff: $(env) Makefile
	@$(use) python3 -m venv .venv-lint
	@$(lint)/pip install -q --disable-pip-version-check ruff==0.17.5 mypy==2.4.1 numpy
	@touch $@

lint: $(lint)/ruff
	@$(lint)/ruff check .
	@$(lint)/mypy

measure = $(use) PYTHONPATH="$$PWD/benchmarks:$$PWD/demos:$$PWD:$$PYTHONPATH" OMP_NUM_THREADS=1 python3

bench: $(env)
	@$(measure) -m race $(if $(QUICK),--quick) $(ARGS)

bench-learning: $(env)
	@$(measure) benchmarks/learning.py $(ARGS)

bench-usertest: $(env)
	@$(measure) benchmarks/usertest.py $(ARGS)

bench-lag: $(env)
	@$(measure) benchmarks/lag.py $(ARGS)

bench-arms: $(env)
	@$(measure) benchmarks/arms.py $(if $(QUICK),--quick) $(ARGS)

bench-all: bench bench-learning bench-usertest
	@$(measure) benchmarks/learning.py --real
	@$(measure) benchmarks/tutorials.py --fixed
	@$(measure) benchmarks/wallclock.py
	@$(measure) benchmarks/scaling.py
	@$(measure) benchmarks/growth.py
	@$(measure) benchmarks/inodes.py
	@$(measure) benchmarks/memory.py

clean:
	rm -rf .setup build *.egg-info sorlearn/petsc/fast-*.so demos/*.png demos/c/heat demos/fortran/heat demos/paper/.cells demos/paper/figures benchmarks/results
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +
