"""Damaged files of every kind: each must be read, or refused with a message that names it, soon and in little memory.

    python benchmarks/fuzz.py [--files 2000] [--seed 0] [--keep DIRECTORY] [--jobs 2] [--json PATH]
    python benchmarks/fuzz.py --bits [--files 360]

Files are made by this program, damaged (flipped bits, edited cards, truncation, exchanged, repeated and missing HDUs,
tables without rows, overwritten pieces; half of those of this package without checksums, so that what comes after them
is tried), and each read in a process of its own, which has 60 s and 2 GiB more than it starts with. With --bits, one
bit of the data of a cube, a result or an event list is flipped in each, and those are counted that are read as
something else without a word.
"""

import argparse
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests import fuzzing

SECONDS, BYTES = 60, 2 << 30


def main():
    """Search, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bits", action="store_true", help="flip one data bit of our own files")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--keep", type=Path, help="directory for the files that were neither read nor refused")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = search(Path(folder), options)
    table = {}
    for kind, what in found:
        table.setdefault(kind, Counter())[what.split(":")[0]] += 1
    columns = sorted({what for counts in table.values() for what in counts})
    print("kind".ljust(22), *(column.rjust(14) for column in columns))
    for kind, counts in sorted(table.items()):
        print(kind.ljust(22), *(str(counts[column]).rjust(14) for column in columns))
    total = sum(table.values(), Counter())
    print("all".ljust(22), *(str(total[column]).rjust(14) for column in columns))
    if options.json:
        options.json.write_text(json.dumps({"seed": options.seed, "counts": table}, indent=1) + "\n")
    return int(any(total[column] for column in columns if column not in ("read", "refused", "same", "warned")))


def search(folder, options):
    """Damage files and read them, several at a time; outcomes by kind."""
    (folder / "sound").mkdir()
    files = fuzzing.make_files(folder / "sound")
    kinds = ["cube", "result", "events"] if options.bits else list(files)
    found, running = [], {}
    for i in range(options.files or (360 if options.bits else 2000)):
        kind, rng = kinds[i % len(kinds)], np.random.default_rng([options.seed, i])
        content = files[kind].read_bytes()
        how, content = ("flip", fuzzing.flip_data_bit(content, rng)) if options.bits else fuzzing.damage(content, rng)
        path = folder / f"{i}{files[kind].suffix}"
        path.write_bytes(content)
        if len(running) == options.jobs:
            found.append(finish(running, options.keep))
        pid = os.fork()
        if pid == 0:
            read_in_child(kind, path, files, options.bits)
        running[pid] = (kind, how, path)
    while running:
        found.append(finish(running, options.keep))
    return found


def read_in_child(kind, path, files, bits):
    """Read one file within the limits, leave what came of it beside it, and end."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(SECONDS)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + BYTES, size + BYTES))
    what = (compare if bits else fuzzing.outcome)(kind, path, files)
    path.with_suffix(".outcome").write_text(what)
    os._exit(0)


def compare(kind, path, files):
    """Read a sound file and a damaged one, and say whether they came out the same."""
    sound = fuzzing.read(kind, files[kind], files)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            values = fuzzing.read(kind, path, files)
        except fuzzing.DOCUMENTED:
            return "refused"
    same = all(np.array_equal(a, b, equal_nan=True) for a, b in zip(sound, values, strict=True))
    return "same" if same else "warned" if caught else "silently different"


def finish(running, keep):
    """Wait for a process to end, and say what came of its file."""
    pid, status = os.wait()
    kind, how, path = running.pop(pid)
    outcome = path.with_suffix(".outcome")
    code = os.waitstatus_to_exitcode(status)
    what = outcome.read_text() if outcome.exists() else "hang" if code == -signal.SIGALRM else f"crash: {code}"
    if "MemoryError" in what:
        what = f"memory: {what}"
    if what not in ("read", "refused", "same", "warned"):
        print(f"{path.name} ({kind}, {how}): {what}", flush=True)
        if keep:
            keep.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, keep / f"{kind.replace(' ', '_').replace(',', '')}-{path.name}")
    path.unlink()
    return kind, what


if __name__ == "__main__":
    sys.exit(main())
