"""Training until the median test error NMSE(S) is that of the paper, next to training as it was published.

    python benchmarks/train.py DIRECTORY [--clone PATH] [--published-training PATH] [--threads N] [--json PATH]

DIRECTORY holds the authors' spectra.fits; the data are those of section 3.1 of arXiv:2112.05694. Ours is one call of
`train` with few epochs, everything included, and the test error of the model that it returns. The published way is a
plain transcription: equation (8) in double precision with A S - X formed, one sample a step, Adam with a rate of 1e-4,
torch's anomaly detection on as released, or off. Its steps are timed in the same run, ours before and after them;
processor time is given too, for machines with other work to do. How many steps it needs was found by letting the
authors' program run: 33,750 (45 epochs of 750) to pass 8.5e-4; --published-training takes a table of another such run,
with the columns epoch and nmse_s_median. With --clone, a directory with a clone of github.com/mfahes/LPALM (which needs
scikit-learn), steps of the authors' program are timed too, in a process of its own.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from astropy.table import Table

from astro_lpalm.reproduce import read_protocol
from astro_lpalm.separation import nmse
from astro_lpalm.training import train

GOAL = 8.5e-4  # Table 1 of the paper
PUBLISHED_STEPS = 33_750
STEPS_PER_EPOCH = 750
TARGETS = {"on": 100, "off": 20}

# The authors' program takes any iterable of samples: this one notes when each is asked for. It writes its model into
# the directory it runs in; nothing that it wrote or came with is read back.
CLONE = """
import json, sys, time
import numpy as np, torch
torch.set_num_threads(int(sys.argv[1]))
if sys.argv[2] == "off":
    torch.autograd.set_detect_anomaly = lambda mode: None
from train import train_blind
data = np.load("data.npz", allow_pickle=False)
class Loader(list):
    def __iter__(self):
        for sample in super().__iter__():
            times.append((time.perf_counter(), time.process_time()))
            yield sample
times = []
samples = [tuple(torch.from_numpy(data[name][i : i + 1]) for name in "XAS") for i in range(len(data["X"]))]
train_blind(Loader(samples), samples[:1], num_epochs=1, T=25, LISTA_CP_S=True, learn_L_A=True)
print(json.dumps(np.diff(times[2:], axis=0).tolist()))
"""


class PlainLPALM:
    """Equation (8) as it is written, and its loss."""

    def __init__(self, A, S, n_layers=25):
        lipschitz_s, lipschitz_a = (1.001 * np.linalg.norm(matrix, 2) ** 2 for matrix in (A, S))
        values = (
            torch.as_tensor(A / lipschitz_s).repeat(n_layers, 1, 1),
            torch.full((n_layers,), 1e-5 / lipschitz_s, dtype=torch.float64),
            torch.full((n_layers,), lipschitz_a, dtype=torch.float64),
        )
        self.W, self.theta, self.L = (value.clone().requires_grad_() for value in values)
        self.optimizer = torch.optim.Adam([self.W, self.theta, self.L], lr=1e-4, betas=(0.9, 0.999))

    def separate(self, X):
        """Run all layers on X (m, t)."""
        m, n = self.W.shape[1:]
        A, S = X.new_full((m, n), m**-0.5), X.new_zeros(n, X.shape[1])
        for W, theta, L in zip(self.W, self.theta, self.L):
            S = S + W.T @ (X - A @ S)
            S = torch.sign(S) * (S.abs() - theta.clamp_min(0)).clamp_min(0)
            A = A - (A @ S - X) @ S.T / L
            A = A / A.norm(dim=0).clamp_min(1)
        return A, S

    def step(self, X, A, S):
        """Take one step of training on one sample."""
        self.optimizer.zero_grad()
        A_found, S_found = self.separate(X)
        loss = ((S_found - S) ** 2).sum() / (S**2).sum() + ((A_found - A) ** 2).sum() / (A**2).sum()
        loss.backward()
        self.optimizer.step()


def clocks():
    """Read the clock on the wall and the processor's, which runs for this process alone."""
    return np.array([time.perf_counter(), time.process_time()])


def plain_seconds(training_set, detection, n_steps):
    """Median seconds of a step of the transcription, wall and processor."""
    data = [torch.as_tensor(array, dtype=torch.float64) for array in (training_set.X, training_set.A, training_set.S)]
    network = PlainLPALM(data[1][0].numpy(), data[2][0].numpy())
    seconds = []
    with torch.autograd.set_detect_anomaly(detection == "on"):
        for i in range(n_steps):
            start = clocks()
            network.step(*(array[i] for array in data))
            seconds.append(clocks() - start)
    return np.median(seconds[2:], axis=0)


def clone_seconds(training_set, clone, detection, n_steps, threads):
    """Median seconds of a step of the authors' program, wall and processor."""
    arrays = {name: getattr(training_set, name)[: n_steps + 1].astype(float) for name in "XAS"}
    with tempfile.TemporaryDirectory() as directory:
        np.savez(Path(directory) / "data.npz", **arrays)
        command = [sys.executable, "-W", "ignore", "-c", f"import sys; sys.path.insert(0, {str(clone)!r})\n{CLONE}"]
        done = subprocess.run([*command, str(threads), detection], cwd=directory, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"the program in '{clone}' could not be run:\n{done.stderr[-2000:]}")
    return np.median(json.loads(done.stdout.splitlines()[-1])[2:], axis=0)


def our_seconds(data, options):
    """Seconds of a training, wall and processor, and the median test error of its model."""
    settings = {"batch_size": options.batch_size, "learning_rate": options.learning_rate}
    start = clocks()
    model = train(data.training, epochs=options.epochs, **settings, progress=False)
    seconds = clocks() - start
    errors = [nmse(model.separate(X, refine=False).sources, S) for X, S in zip(data.X, data.S)]
    return seconds, float(np.median(errors))


def published_steps(path):
    """Count the steps to the goal in a table of the authors' training."""
    if path is None:
        return PUBLISHED_STEPS
    table = Table.read(path)
    return STEPS_PER_EPOCH * int(table["epoch"][np.argmax(table["nmse_s_median"] <= GOAL)])


def main():
    """Print the table, and write it as JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--clone", type=lambda path: Path(path).resolve())
    parser.add_argument("--published-training", type=Path)
    parser.add_argument("--epochs", type=int, default=8, help="of our training (default %(default)s)")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--steps", type=int, default=30, help="steps of the published training that are timed")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    data, n_steps = read_protocol(options.directory), published_steps(options.published_training)

    trainings = [our_seconds(data, options)]
    rows = []
    for detection in ("on", "off"):
        a_step = {"transcription": plain_seconds(data.training, detection, options.steps)}
        if options.clone:
            a_step["authors' program"] = clone_seconds(
                data.training, options.clone, detection, options.steps, options.threads
            )
        rows += [(name, detection, value) for name, value in a_step.items()]
    trainings.append(our_seconds(data, options))

    seconds, error = np.mean([value for value, _ in trainings], axis=0), trainings[0][1]
    print(f"train(epochs={options.epochs}, batch_size={options.batch_size}, learning_rate={options.learning_rate:g}):")
    each = ", ".join(f"{value[0]:.1f}" for value, _ in trainings)
    print(f"{seconds[0]:.1f} s (each time {each}), {seconds[1]:.1f} s of processor")
    print(f"median test NMSE(S) {error:.2e}: the goal of {GOAL:.1e} is {'' if error <= GOAL else 'NOT '}reached\n")
    print(f"published training, {n_steps} steps to the goal:")
    print(f"{'':18}{'detection':>10}{'ms a step':>11}{'hours':>8}{'ratio':>8}{'of processor':>14}{'target':>8}")
    results = []
    for name, detection, value in rows:
        ratio, hours, target = value * n_steps / seconds, value[0] * n_steps / 3600, TARGETS[detection]
        print(f"{name:18}{detection:>10}{1e3 * value[0]:11.1f}{hours:8.2f}{ratio[0]:8.0f}{ratio[1]:14.0f}{target:8}")
        figures = {"step_seconds": value.tolist(), "ratio": ratio.tolist()}
        results.append({"program": name, "detection": detection} | figures)
    if options.json:
        ours = {"epochs": options.epochs, "seconds": [value.tolist() for value, _ in trainings], "nmse_s_median": error}
        report = {"ours": ours, "published_steps": n_steps, "published": results, "threads": options.threads}
        options.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
