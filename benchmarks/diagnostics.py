"""Which cause the diagnostics name for observations with a fault, and how often they warn of good ones.

    python benchmarks/diagnostics.py [--faulty 25] [--good 200] [--first-seed 0] [--only gain good ...] [--json PATH]

What the observations are, and how strong their faults, is in benchmarks/faults.py. Prints for each cause how often
each was named first, and of how many in which the fault matters most it was: where it moves the counts of a component
that has a tenth of all by more than 5 % and its stated error. "missing" stands for another object, too; of varying
spectra, the parameter must be among those named for "which"; of point sources, the place within 2 pixels for "where".
Worlds of cases/worlds.py need the environment variable ASTRO_LPALM_DATA; without it there are more remnants instead.
"""

import argparse
import json
import time
import warnings
from collections import Counter

import numpy as np
from astropy.utils.exceptions import AstropyUserWarning
from faults import CAUSES, faulty, good, has_worlds

from astro_lpalm import load_model, separate
from astro_lpalm.trust import SeparationWarning

GOOD = ["remnant", "world", "exposure", "background", "remnant", "world", "remnant"]


def judge(model, observation):
    """Separate an observation: the cause named first, what was warned of, and whether the fault moved a flux."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = separate(observation.cube, model, background=observation.background, progress=False)
        except ValueError as error:  # counts as a fault that was not named
            return {"seen": "refused", "said": [str(error)], "moved": True}
    said = [str(each.message) for each in caught if issubclass(each.category, SeparationWarning)]
    others = [each for each in caught if not issubclass(each.category, AstropyUserWarning)]
    assert not others, [str(each.message) for each in others]
    meta, counts = result.diagnostics.meta, result.diagnostics["counts"].value
    cause = meta.get("cause", "other" if said else "-")
    moved = np.abs(counts - observation.counts)
    large = observation.counts > 0.1 * observation.counts.sum()
    moved = large & (moved > 0.05 * observation.counts) & (moved > result.diagnostics["counts_err"].value)
    return {"seen": "missing" if cause == "object" else cause, "said": said, "moved": bool(moved.any())} | {
        key: meta[key] for key in ("spot_y", "spot_x") if key in meta
    }


def is_precise(observation, verdict):
    """Whether the parameter, or the place, is right; None for causes that have neither."""
    if observation.cause == "varying":
        component, name = observation.detail.split(".")
        return any(f"{name} of {component}" in each for each in verdict["said"])
    if observation.cause == "point":
        y, x = observation.place
        return bool("spot_y" in verdict and np.hypot(verdict["spot_y"] - y, verdict["spot_x"] - x) <= 2)
    return None


def main():
    """Print the table, and write it as JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--good", type=int, default=200, help="good observations (default %(default)s)")
    parser.add_argument("--faulty", type=int, default=25, help="observations of each fault (default %(default)s)")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=[*CAUSES, "good"], default=[*CAUSES, "good"])
    parser.add_argument("--json", metavar="PATH", help="write all verdicts to this file too")
    options = parser.parse_args()
    model, kept, start = load_model("snr-acis"), [], time.perf_counter()
    for cause in options.only:
        verdicts = []
        for k in range(options.good if cause == "good" else options.faulty):
            seed = options.first_seed + k
            kind = GOOD[k % len(GOOD)]
            kind = "remnant" if kind == "world" and not has_worlds() else kind
            observation = good(kind, seed) if cause == "good" else faulty(cause, seed)
            verdict = judge(model, observation)
            verdict |= {"cause": cause, "seed": seed, "detail": observation.detail}
            verdict["precise"] = is_precise(observation, verdict)
            verdicts.append(verdict)
        kept += verdicts
        report(cause, verdicts)
        if options.json:
            with open(options.json, "w", encoding="utf-8") as file:
                json.dump(kept, file, indent=1)
    faults = [each for each in kept if each["cause"] != "good"]
    if faults:
        right = np.mean([each["seen"] == each["cause"] for each in faults])
        print(f"right cause named: {right:.1%} of {len(faults)}; {time.perf_counter() - start:.0f} s")


def report(cause, verdicts):
    """Print one row of the table."""
    seen = Counter(each["seen"] for each in verdicts)
    if cause == "good":
        warned = [each for each in verdicts if each["said"]]
        print(f"{'good':10} warned of {len(warned)} of {len(verdicts)}: {dict(seen)}", flush=True)
        for each in warned:
            print(f"           {each['detail']}, seed {each['seed']}: {each['said'][0][:90]}")
        return
    moved = [each["seen"] == cause for each in verdicts if each["moved"]]
    precise = [each["precise"] for each in verdicts if each["precise"] is not None]
    which = f"; which or where: {sum(precise)} of {len(precise)}" if precise else ""
    named = ", ".join(f"{name} {n}" for name, n in seen.most_common())
    print(f"{cause:10} {named}; of {len(moved)} that move a flux, right: {sum(moved)}{which}", flush=True)


if __name__ == "__main__":
    main()
