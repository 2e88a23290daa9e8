"""What tests share: running things under mpiexec, compiling clients, and a clean options database."""

from __future__ import annotations

import functools
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

#: Programs that tests start, not tests.
collect_ignore = ["break_it.py"]
ROOT = Path(__file__).resolve().parent.parent
#: What turns sorlearn on in an application that was not written for it.
FLAGS = "-python -pc_type python -pc_python_type sorlearn.PC"
#: Whether sorlearn's C file is used: 0 for no.
SWITCH = "SORLEARN_FAST"
#: Set inside the processes that a test marked `parallel` is run in.
INSIDE = "SORLEARN_TEST_NPROCS"


def _environment() -> dict[str, str]:
    """The environment for started programs: this Python first, several ranks a core, root allowed."""
    env = dict(os.environ)
    env.update(
        PATH=f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}",
        PYTHONPATH=f"{ROOT}{os.pathsep}{env.get('PYTHONPATH', '')}",
        OMP_NUM_THREADS="1",
        OMPI_ALLOW_RUN_AS_ROOT="1",
        OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
        OMPI_MCA_rmaps_base_oversubscribe="1",
        MPIR_CVAR_CH4_PROGRESS_THROTTLE="1",
    )
    env.pop("PETSC_OPTIONS", None)
    return env


# Taken before anything initialises MPI: an mpiexec started with an MPI process's environment fails.
ENVIRONMENT = _environment()


def run(nprocs, *command, options="", env=None, cwd=None, timeout=120, check=True):
    """Run a program on `nprocs` ranks.

    Parameters
    ----------
    nprocs : int
        Number of ranks; 1 runs the program without mpiexec, as users do.
    *command : str or Path
        The program and its arguments.
    options : str
        PETSC_OPTIONS for it.
    env : dict, optional
        More environment variables.
    timeout : float
        Seconds until it is ended and the test fails.
    check : bool
        Whether a non-zero exit status fails the test.

    Returns
    -------
    subprocess.CompletedProcess
        With `stdout` and `stderr` as text.
    """
    command = [str(word) for word in command]
    if nprocs > 1:
        command = ["mpiexec", "-n", str(nprocs), *command]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="backslashreplace",  # PETSc repeats options as they are
        cwd=cwd,
        env={**ENVIRONMENT, SWITCH: os.environ.get(SWITCH, "1"), "PETSC_OPTIONS": options, **(env or {})},
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)
        out, err = process.communicate()
        pytest.fail(f"no end after {timeout} s: {shlex.join(command)}\n{out}\n{err}")
    if check and process.returncode != 0:
        pytest.fail(f"exit status {process.returncode}: {shlex.join(command)}\n{out}\n{err}")
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def pkg_config(*flags):
    """What pkg-config says of PETSc, as a list of words."""
    return shlex.split(run(1, "pkg-config", *flags, "PETSc").stdout)


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """Function from the path of a C or Fortran source to its program, compiled once a session."""
    folder = tmp_path_factory.mktemp("clients")

    @functools.cache
    def compile_client(source):
        program = folder / "-".join(source.with_suffix("").parts[-4:])
        compiler = ["mpicc"] if source.suffix == ".c" else ["mpif90", "-ffree-line-length-none"]
        rpath = "-Wl,-rpath," + pkg_config("--variable=libdir")[0]
        run(1, *compiler, "-O2", source, *pkg_config("--cflags", "--libs"), rpath, "-lm", "-o", program)
        return program

    return compile_client


@pytest.fixture(scope="session")
def tutorial(compiled):
    """Function from the name of one of PETSc's tutorials, as ``"ts/tutorials/ex13.c"``, to its program."""

    def compile_tutorial(name):
        found = sorted(Path("/usr/share/petsc").glob(f"*/share/petsc/examples/src/{name}"))
        if not found:
            pytest.skip(f"PETSc's {name} isn't here (Debian: the package libpetsc3.x-dev-examples)")
        return compiled(found[-1])

    return compile_tutorial


@pytest.fixture
def in_python(monkeypatch):
    """Have Python do all, also where the C file is there."""
    monkeypatch.setenv(SWITCH, "0")


@pytest.fixture(autouse=True)
def _way(request, monkeypatch):
    """Either of the two ways that solves go, for tests marked `both_ways`."""
    way = request.node.callspec.params.get("way") if hasattr(request.node, "callspec") else None
    if way:
        monkeypatch.setenv(SWITCH, "1" if way == "C" else "0")


@pytest.fixture(autouse=True)
def _empty_options():
    """Clear the options database around each test that has PETSc in this process."""

    def clear():
        if "petsc4py.PETSc" in sys.modules:
            options = sys.modules["petsc4py.PETSc"].Options()  # whose clear() clears nothing
            for name in options.getAll():
                options.delValue(name)

    clear()
    yield
    clear()


def pytest_generate_tests(metafunc):
    marker = metafunc.definition.get_closest_marker("parallel")
    if marker is not None:
        if "nprocs" not in metafunc.fixturenames:
            metafunc.fixturenames.append("nprocs")
        metafunc.parametrize("nprocs", marker.args, ids=lambda nprocs: f"np{nprocs}")
    if metafunc.definition.get_closest_marker("both_ways"):
        if "way" not in metafunc.fixturenames:
            metafunc.fixturenames.append("way")
        all_ways = os.environ.get(SWITCH) != "0" or INSIDE in os.environ
        metafunc.parametrize("way", ["C", "Python"] if all_ways else ["Python"])


@functools.cache
def _pass_together(nprocs, tests):
    """Whether these tests pass in one start of so many ranks; starting takes longer than most of them."""
    try:
        return _start(nprocs, *tests, timeout=120 + 15 * len(tests), check=False).returncode == 0
    except pytest.fail.Exception:  # no end
        return False


def _start(nprocs, *tests, **options):
    """Run tests marked `parallel` in pytests of their own, one a rank."""
    again = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "--color=no", *tests]
    return run(nprocs, *again, env={INSIDE: str(nprocs)}, cwd=ROOT, **options)


def _ranks(item):
    """Number of ranks that a test marked `parallel` is to run on, else 1."""
    return item.callspec.params["nprocs"] if item.get_closest_marker("parallel") else 1


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Run a test marked `parallel` on its ranks: with those of its file, and alone where one of these fails."""
    nprocs = _ranks(pyfuncitem)
    if nprocs == 1 or INSIDE in os.environ:
        return None
    file = [item.nodeid for item in pyfuncitem.session.items
            if item.path == pyfuncitem.path and _ranks(item) == nprocs]  # fmt: skip
    if not _pass_together(nprocs, tuple(file)):
        _start(nprocs, pyfuncitem.nodeid)
    return True


def pytest_unconfigure(config):
    """Leave a failed rank at once, so that mpiexec ends the others, which may wait in a collective call."""
    if INSIDE in os.environ and getattr(config, "failed", False):
        sys.stdout.flush()
        os._exit(1)


def pytest_sessionfinish(session, exitstatus):
    session.config.failed = exitstatus != 0
