"""Bootstrap intervals beside a loop over scikit-learn, and intervals of 400,000 predictions; ratios first.

    python benchmarks/bootstrap_rate.py [--lesions 1000] [--samples 10000] [--loop 500] [--large 400000]

First: samples of macro AUC for 11 classes as unequal as MILK10k's. The loop takes the very same resamples; it
is timed on some of them (--loop; 0: all) and its values must be ours to 1e-12. Second: as many predictions
of two classes as ISIC 2024 has, 0.1% of them cases, of patients with about 400 lesions each: all metrics, and
all figures of one target, with 1,000 samples; time and memory of the process.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
from sklearn.metrics import roc_auc_score

from dermapair.evaluation.decisions import FIGURES
from dermapair.metrics import METRICS
from dermapair.metrics.arrays import Floats, Ints
from dermapair.metrics.bootstrap import bootstrap, intervals_of
from dermapair.metrics.resampling import resamples
from dermapair.metrics.weighted_classes import macro_auc

SHARES = np.array([2018, 597, 435, 378, 360, 242, 42, 40, 38, 35, 7]) / 4192  # of MILK10k's diagnoses


def scores(rng: np.random.Generator, n: int, shares: Floats) -> tuple[Ints, Floats]:
    """Return classes (n,), at least one lesion of each, and probabilities (n, K) that know something."""
    y = np.concatenate([np.arange(len(shares)), rng.choice(len(shares), n - len(shares), p=shares)])
    z = rng.normal(size=(n, len(shares))) + 1.5 * np.eye(len(shares))[y]
    p = np.exp(z)
    return y, p / p.sum(axis=1, keepdims=True)


def loop(y: Ints, p: Floats, weights: Floats) -> Floats:
    """Return macro AUC (S,) of each resample by scikit-learn, over the classes that it holds."""
    found = []
    for counts in weights.T:
        rows = np.repeat(np.arange(len(y)), counts.astype(int))
        classes = np.unique(y[rows])
        found.append(np.mean([roc_auc_score(y[rows] == k, p[rows, k]) for k in classes]))
    return np.array(found)


def beside_scikit_learn(n: int, n_samples: int, n_loop: int) -> None:
    y, p = scores(np.random.default_rng(0), n, SHARES)
    start = time.perf_counter()
    chunks = [
        (w, macro_auc(y, p, w)) for w in resamples(n, groups=None, n_samples=n_samples, seed=1, y_true=y)
    ]
    ours = time.perf_counter() - start
    weights = np.concatenate([w for w, _ in chunks], axis=1)[:, : n_loop or n_samples]
    start = time.perf_counter()
    theirs = loop(y, p, weights)
    seconds = (time.perf_counter() - start) * n_samples / len(theirs)
    apart = abs(np.concatenate([v for _, v in chunks])[: len(theirs)] - theirs).max()
    print(
        f"macro AUC of {n} lesions, 11 classes, {n_samples} samples: {seconds / ours:.0f} times as fast as "
        f"the loop (ours {ours:.2f} s, the loop {seconds:.0f} s by {len(theirs)} samples), values at most "
        f"{apart:.1e} apart"
    )
    if apart > 1e-12:
        raise SystemExit("expected the values of scikit-learn to 1e-12")


def of_many(n: int, n_samples: int) -> None:
    rng = np.random.default_rng(0)
    y, p = scores(rng, n, np.array([0.999, 0.001]))
    patients = rng.integers(max(2, n // 400), size=n)
    start = time.perf_counter()
    bootstrap(y, p, groups=patients, metrics=list(METRICS), n_samples=n_samples)
    every = time.perf_counter() - start
    intervals_of(
        {name: one(y == 1, p[:, 1]) for name, (one, _) in FIGURES.items()},
        lambda w: {name: many(y == 1, p[:, 1], w) for name, (_, many) in FIGURES.items()},
        chunks=resamples(n, groups=patients, n_samples=n_samples, seed=0, y_true=y),
        level=0.95,
    )
    both = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{n} predictions, {n_samples} samples: {len(METRICS)} metrics {every:.1f} s, with the "
        f"{len(FIGURES)} figures of a target {both:.1f} s; at most {memory:.2f} GiB in the whole process"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--lesions", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--loop", type=int, default=500)
    parser.add_argument("--large", type=int, default=400_000)
    parser.add_argument("--large-samples", type=int, default=1000)
    args = parser.parse_args()
    beside_scikit_learn(args.lesions, args.samples, args.loop)
    of_many(args.large, args.large_samples)


if __name__ == "__main__":
    main()
