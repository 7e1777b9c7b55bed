"""How often do 95% intervals hold the true value? Simulated test parts, drawn over and over.

    python benchmarks/_coverage.py [--sets 2000] [--samples 600]

It measures truth and not speed, so `make bench` leaves it out. True values are those of two million simulated
lesions. Printed are the share of sets whose interval holds the true value, with twice its standard error, and
the mean width.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from scipy import stats

from dermapair.metrics import METRICS
from dermapair.metrics.arrays import Bools, Floats, Ints
from dermapair.metrics.binary import auc
from dermapair.metrics.bootstrap import Interval, bootstrap, wilson_interval
from dermapair.metrics.classification import per_class_auc
from dermapair.metrics.comparison import delong_interval

USUAL = np.array([0.5, 0.25, 0.15, 0.1])
RARE = np.array([0.6, 0.25, 0.142, 0.008])  # of 600 lesions five have the rarest class
NAMES = ["accuracy", "balanced_accuracy", "macro_auc", "macro_f1", "expected_calibration_error"]
Found = Iterator[tuple[str, str, Interval]]


def lesions(
    rng: np.random.Generator, n: int, shares: Floats, *, patients: int = 0
) -> tuple[Ints, Floats, Ints]:
    """Return classes (n,), probabilities (n, K) that are somewhat too sure, and patients (n,)."""
    y = rng.choice(len(shares), size=n, p=shares)
    who = rng.integers(patients, size=n) if patients else np.arange(n)
    noise = rng.normal(size=(n, len(shares)))
    if patients:  # most lesions of a patient are of one class, and all look alike
        y = np.where(rng.random(n) < 0.7, rng.choice(len(shares), size=patients, p=shares)[who], y)
        noise = 0.6 * noise + 0.8 * rng.normal(size=(patients, len(shares)))[who]
    z = noise + 1.5 * np.eye(len(shares))[y]
    p = np.exp(1.5 * (z + np.log(shares)))
    return y, p / p.sum(axis=1, keepdims=True), who


def of_part(y: Ints, p: Floats, who: Ints, n: int, seed: int, *, grouped: bool, rare: bool) -> Found:
    """Yield figure, way and interval of one simulated test part."""
    ways: dict[str, dict[str, str]] = {
        "percentile": {"method": "percentile"},
        "basic": {"method": "basic"},
        "BCa": {"method": "bca"},
    }
    if rare:
        ways["percentile, no strata"] = {"method": "percentile", "strata": "none"}
    if grouped:
        ways = {"percentile": ways["percentile"]}
    for way, how in ways.items():
        found = bootstrap(y, p, groups=who, metrics=NAMES, n_samples=n, seed=seed, **how)
        yield from ((name, way, interval) for name, interval in found.items())
    if grouped:
        found = bootstrap(y, p, groups=None, metrics=NAMES, n_samples=n, seed=seed)
        yield from ((name, "percentile, lesions as if independent", i) for name, i in found.items())
        return
    last = y == p.shape[1] - 1
    found = bootstrap(y, p, groups=who, metrics=[], aucs={"auc": [p.shape[1] - 1]}, n_samples=n, seed=seed)
    yield "AUC of the rarest class", "percentile", found["auc"]
    yield "AUC of the rarest class", "DeLong", delong_interval(last, p[:, -1])
    hits = int((p[last].argmax(axis=1) == p.shape[1] - 1).sum())
    yield "recall of the rarest class", "Wilson", wilson_interval(hits, int(last.sum()))


def truths(shares: Floats, n: int, *, grouped: bool) -> dict[str, float]:
    """Return the true values."""
    y, p, _ = lesions(np.random.default_rng(99), n, shares, patients=n // 4 if grouped else 0)
    rarest = len(shares) - 1
    last: Bools = y == rarest
    return {name: METRICS[name](y, p) for name in NAMES} | {
        "AUC of the rarest class": auc(last, p[:, -1]),
        "recall of the rarest class": float((p[last].argmax(axis=1) == rarest).mean()),
    }


def simulate(
    title: str, shares: Floats, n: int, sets: int, samples: int, lesions_of_truth: int, *, patients: int = 0
) -> None:
    """Print the coverage of every figure and way."""
    true = truths(shares, lesions_of_truth, grouped=patients > 0)
    held, widths = defaultdict(list), defaultdict(list)
    for seed in range(sets):
        part = lesions(np.random.default_rng(seed), n, shares, patients=patients)
        if np.isnan(per_class_auc(*part[:2])).any():
            continue  # a part that lacks a class has other macro means, and says so
        kinds = {"grouped": patients > 0, "rare": min(shares) * n < 10}
        for figure, way, interval in of_part(*part, samples, seed, **kinds):
            held[figure, way].append(interval.low <= true[figure] <= interval.high)
            widths[figure, way].append(interval.high - interval.low)
    print(f"\n{title}; {len(next(iter(held.values())))} sets")
    for figure, way in held:
        share = np.mean(held[figure, way])
        error = 2 * np.sqrt(share * (1 - share) / len(held[figure, way]))
        width = np.nanmean(widths[figure, way])
        print(f"  {figure:<28} {way:<38} {share:.3f} +- {error:.3f}   width {width:.3f}")


def aucs(sets: int) -> None:
    """Print the coverage of DeLong's interval for two normal scores, whose AUC is known (Bamber 1975)."""
    for cases, others in ((5, 595), (20, 380), (60, 540), (100, 900), (300, 300)):
        positive = np.arange(cases + others) < cases
        for shift in (1.0, 1.8, 2.6):
            true = stats.norm.cdf(shift / np.sqrt(2))
            scores = np.random.default_rng(0).normal(size=(sets, len(positive))) + shift * positive
            found = [delong_interval(positive, s) for s in scores]
            defined = [i for i in found if not np.isnan(i.low)]
            share = np.mean([i.low <= true <= i.high for i in defined])
            error = 2 * np.sqrt(share * (1 - share) / len(defined))
            print(
                f"DeLong, {cases} cases and {others} others, AUC {true:.3f}, {len(defined)} sets: "
                f"{share:.3f} +- {error:.3f}   width {np.mean([i.high - i.low for i in defined]):.3f}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sets", type=int, default=2000)
    parser.add_argument("--samples", type=int, default=600)
    parser.add_argument("--truth", type=int, default=2_000_000)
    args = parser.parse_args()
    how = (args.sets, args.samples, args.truth)
    aucs(args.sets)
    simulate("600 lesions, the rarest class 60 of them", USUAL, 600, *how)
    simulate("600 lesions, the rarest class 5 of them", RARE, 600, *how)
    simulate("600 lesions of 150 patients", USUAL, 600, *how, patients=150)


if __name__ == "__main__":
    main()
