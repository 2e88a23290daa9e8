"""One period of heat2d.py with PETSc's SOR at ω = 1 and with a learned ω; the difference is two options.

    make demo
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

RANKS = 2
NATIVE = ["-pc_type", "sor"]
LEARNED = ["-pc_type", "python", "-pc_python_type", "sorlearn.PC"]
HERE = Path(__file__).resolve().parent
PICTURE = HERE / "heat2d.png"


def run(label, options, output):
    """Run the simulation in processes of its own, show its progress and return the numbers that it saves."""
    script = [sys.executable, str(HERE / "heat2d.py"), "-output", str(output)]
    print(f"{label}: mpiexec -n {RANKS} python3 heat2d.py {' '.join(options[:4])}", flush=True)
    begin, end = ("\r  ", "") if sys.stdout.isatty() else ("  ", "\n")
    with subprocess.Popen(
        ["mpiexec", "-n", str(RANKS), *script, *options], stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout:
            print(f"{begin}{line.rstrip():60s}", end=end, flush=True)
    if begin.startswith("\r"):
        print()
    if process.returncode != 0:
        raise SystemExit(f"{label}: heat2d.py failed with exit status {process.returncode}")
    with np.load(output) as saved:
        return dict(saved)


def omegas(journal):
    """The ω of each solve, from the journal of the learned run."""
    with open(journal) as lines:
        return [json.loads(line)["omega"] for line in lines]


def table(runs, difference):
    rows = [f"{'':10s}  iterations   seconds   true residual of the last step"]
    for label, numbers in runs.items():
        rows.append(
            f"{label:10s}  {numbers['iterations']:10d}  {numbers['seconds']:8.2f}   {numbers['residual']:.1e}"
        )
    rows.append(f"relative difference of the two final solutions: {difference:.1e}")
    return "\n".join(rows)


def saving(runs):
    """One line: what learning saved; negative where it cost more."""
    one, learned = runs.values()
    share = {key: round(100.0 * (1.0 - float(learned[key]) / float(one[key]))) for key in ("iterations", "seconds")}
    return f"saved by learning ω: {share['iterations']} % of the iterations, {share['seconds']} % of the time"


def draw(runs, omega, picture):
    """Save iterations per step of both runs and ω of the learned one as a picture."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (upper, lower) = plt.subplots(2, 1, sharex=True, figsize=(8, 6), layout="constrained")
    for label, numbers in runs.items():
        upper.plot(numbers["iterations_per_step"], ".", markersize=2, label=label)
    upper.set_ylabel("iterations per step")
    upper.legend(markerscale=5)
    lower.plot(omega, ".", markersize=2, color="C1")
    lower.set_ylabel("learned ω")
    lower.set_xlabel("time step")
    figure.savefig(picture, dpi=150)
    plt.close(figure)


def main(quick=False, picture=PICTURE):
    size = ["-n_x", "25", "-steps", "50"] if quick else []
    with tempfile.TemporaryDirectory() as folder:
        journal = os.path.join(folder, "journal.jsonl")
        learned = [*LEARNED, "-pc_sorlearn_journal", journal]
        runs = {
            "ω = 1": run("ω = 1", NATIVE + size, os.path.join(folder, "native.npz")),
            "learned ω": run("learned ω", learned + size, os.path.join(folder, "learned.npz")),
        }
        omega = omegas(journal)
    one, other = (numbers["u"] for numbers in runs.values())
    difference = np.linalg.norm(one - other) / np.linalg.norm(one)
    print("\n" + table(runs, difference))
    try:
        draw(runs, omega, picture)
        print(f"picture: {os.path.relpath(picture)}")
    except ImportError:
        print("no picture: it needs matplotlib (python3 -m pip install matplotlib)")
    print(saving(runs))
    return {
        "iterations": [int(numbers["iterations"]) for numbers in runs.values()],
        "residual": [float(numbers["residual"]) for numbers in runs.values()],
        "difference": float(difference),
        "omega": omega,
    }


if __name__ == "__main__":
    main()
