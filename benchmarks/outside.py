"""Which score tells pictures that a run does not know? Published ones and ours, side by side.

    python benchmarks/outside.py [CASES RUN] [--near FOLDER ...] [--pictures 200]

Every method is fitted on the training part and has its threshold where 1% of validation's lesions are above.
For each view's slot: the area under the ROC curve against the test part, and the share that is flagged. Of
the test part itself that share is the false alarms. What is not skin: cuts of the three photographs that
scikit-learn and matplotlib bring, noise, plain colours, text. Then the other view in the wrong slot, phantom
lesions, and images of `--near` folders (another source). Without CASES and RUN: phantoms and random weights.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from _phantom import case_folder, run_folder
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.special import logsumexp, softmax
from sklearn.covariance import LedoitWolf
from sklearn.datasets import load_sample_images
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from dermapair.data.adapters.phantom import draw
from dermapair.data.cases import CaseTable, read_cases
from dermapair.data.lesions import Lesions, select_lesions
from dermapair.data.store import PixelSource, open_pixels
from dermapair.imaging.formats import ENDINGS
from dermapair.imaging.read import read_image
from dermapair.imaging.square import square_of
from dermapair.inference.forward import Scorer
from dermapair.inference.ood import Outside, pooled
from dermapair.inference.predictor import Predictor, load
from dermapair.training.outside import gaussian, with_gaussians
from dermapair.types import VIEWS, PixelMap, RGBImage, View

ALLOWED = 0.01
Values = NDArray[np.float64]


class Seen(NamedTuple):
    """What the network says of n images in one slot.

    Attributes:
        inner: (n, D), means of the maps before the last, as the product takes them.
        last: (n, D'), mean of the last map.
        logits: (n, K).
        labels: (n,).
    """

    inner: Values
    last: Values
    logits: Values
    labels: NDArray[np.int64]


Method = Callable[[Seen], Values]


@dataclass(frozen=True)
class Pictures:
    """Squares in memory."""

    squares: list[RGBImage]

    def square(self, row: int) -> RGBImage:
        """Return one square."""
        return self.squares[row]

    def square_map(self, row: int) -> PixelMap:
        """Return that it is the original."""
        side = len(self.squares[row])
        return PixelMap.identity((side, side))

    def lesions(self) -> Lesions:
        """Each picture as a lesion that has it in both slots."""
        n = len(self.squares)
        rows = tuple((i,) for i in range(n))
        unknown = np.full(n, -1)
        return Lesions(tuple(map(str, range(n))), unknown, np.arange(n), dict.fromkeys(VIEWS, rows))


def look(scorer: Scorer, lesions: Lesions, source: PixelSource) -> dict[str, Seen]:
    """Return by slot what the network says, of one orientation."""
    parts: dict[str, list[Seen]] = {}
    for _, batch, _ in scorer.batches(lesions.one_image_each(seed=0), source):
        for output in scorer.outputs(batch):
            for view, inner in pooled(output).items():
                last = output.features[view].double().mean(dim=(2, 3)).cpu().numpy()
                labels = batch.labels[output.rows[view].cpu().numpy()]
                logits = output.logits[view].double().cpu().numpy()
                parts.setdefault(view, []).append(Seen(inner, last, logits, labels))
    return {
        view: Seen(*(np.concatenate(part) for part in zip(*found, strict=True)))
        for view, found in parts.items()
    }


# --- the methods -----------------------------------------------------------------------------


def methods(train: Seen, judge: Outside, view: View) -> dict[str, Method]:
    """Return scores by name, higher is less like training; `judge` is what the product fits."""
    one, distance = gaussian(train.last), by_class(train)
    found: dict[str, Method] = {
        "softmax (Hendrycks 2017)": lambda seen: -softmax(seen.logits, axis=1).max(axis=1),
        "energy (Liu 2020)": lambda seen: -logsumexp(seen.logits, axis=1),
        "last: Mahalanobis (Lee 2018)": distance,
        "last: relative (Ren 2021)": lambda seen: distance(seen) - one.distance(seen.last),
        "last: one Gaussian": lambda seen: one.distance(seen.last),
    }
    for name in ("last", "inner"):
        for k in (1, 10):
            found[f"{name}: neighbour {k} (Sun 2022)"] = nearest(train, name, k)
    found["inner: one Gaussian"] = lambda seen: judge.own[view].distance(seen.inner)
    found["inner: the same, other view (ours)"] = lambda seen: judge.score_images(view, seen.inner)
    return found


def by_class(train: Seen) -> Method:
    """Return the distance to the nearest class, covariance shared and shrunk."""
    known = train.labels >= 0
    x, labels = train.last[known], train.labels[known]
    names, which = np.unique(labels, return_inverse=True)
    means = np.stack([x[labels == k].mean(axis=0) for k in names])
    white = np.linalg.cholesky(LedoitWolf(assume_centered=True).fit(x - means[which]).precision_)

    def distance(seen: Seen) -> Values:
        each = [np.square((seen.last - m) @ white).mean(axis=1) for m in means]
        return np.asarray(np.min(each, axis=0))

    return distance


def nearest(train: Seen, name: str, k: int) -> Method:
    """Return the distance to the k-th neighbour among features of length 1."""
    fitted = NearestNeighbors(n_neighbors=k).fit(unit(getattr(train, name)))
    return lambda seen: fitted.kneighbors(unit(getattr(seen, name)))[0][:, -1]


def unit(x: Values) -> Values:
    """Return rows of length 1."""
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True).clip(1e-12))


# --- the pictures ----------------------------------------------------------------------------


def cuts(n: int, rng: np.random.Generator) -> list[RGBImage]:
    """Return square cuts of photographs, from a seventh of the short side to all of it."""
    hopper = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    photos = [*load_sample_images().images, read_image(hopper)]
    result = []
    for i in range(n):
        photo = photos[i % len(photos)]
        side = int(min(photo.shape[:2]) * rng.uniform(1 / 7, 1))
        y, x = (rng.integers(0, length - side + 1) for length in photo.shape[:2])
        result.append(photo[y : y + side, x : x + side])
    return result


def noise(n: int, rng: np.random.Generator) -> list[RGBImage]:
    """Return noise of 4 to 256 cells, enlarged smoothly."""
    cells = [rng.integers(0, 256, (side, side, 3), dtype=np.uint8) for side in rng.integers(4, 257, n)]
    return [np.asarray(Image.fromarray(x).resize((256, 256), Image.Resampling.BICUBIC)) for x in cells]


def plain(n: int, rng: np.random.Generator) -> list[RGBImage]:
    """Return pictures of one colour."""
    return [np.full((256, 256, 3), colour, np.uint8) for colour in rng.integers(0, 256, (n, 3))]


def text(n: int, rng: np.random.Generator) -> list[RGBImage]:
    """Return pages of letters."""
    pages = []
    for _ in range(n):
        page = Image.new("RGB", (256, 256), "white")
        lines = ["".join(map(chr, rng.integers(97, 123, 40))) for _ in range(18)]
        ImageDraw.Draw(page).text((6, 6), "\n".join(lines), fill="black")
        pages.append(np.asarray(page))
    return pages


def drawn(n: int, _: np.random.Generator) -> list[RGBImage]:
    """Return phantom lesions, both views."""
    with tempfile.TemporaryDirectory() as folder:
        table = draw(Path(folder), lesions=-(-n // 2), seed=1)
        return [read_image(table.path(row)) for row in range(len(table.frame))]


def near(folder: Path, n: int, rng: np.random.Generator) -> list[RGBImage]:
    """Return images of a folder."""
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in ENDINGS)
    chosen = rng.choice(len(files), min(n, len(files)), replace=False)
    return [read_image(files[i]) for i in chosen.tolist()]


def pictures(images: Iterable[RGBImage], predictor: Predictor) -> Pictures:
    """Return images as the run prepares them."""
    data = predictor.scorer.data
    return Pictures([square_of(x, side=data.size, fit=data.fit, hair=data.hair)[0] for x in images])


# --- measured --------------------------------------------------------------------------------


def sets_of(
    predictor: Predictor, table: CaseTable, folders: list[Path], n: int
) -> dict[str, dict[str, Seen]]:
    """Return by set and slot what the network says."""
    scorer, rng = replace(predictor.scorer.as_is, outside=None), np.random.default_rng(0)
    source = open_pixels(table, scorer.data)
    parts = {
        split: select_lesions(table, predictor.facts.as_task(), split=split, views=scorer.network.views)
        for split in ("train", "val", "test")
    }
    found = {split: look(scorer, lesions, source) for split, lesions in parts.items()}
    if len(scorer.network.views) == len(VIEWS):
        found["wrong slot"] = look(scorer, parts["test"].swapped(), source)
    makers = {"photographs": cuts, "noise": noise, "plain": plain, "text": text, "phantoms": drawn}
    made = {name: make(n, rng) for name, make in makers.items()}
    made |= {folder.name: near(folder, n, rng) for folder in folders}
    for name, images in made.items():
        shown = pictures(images, predictor)
        found[name] = look(scorer, shown.lesions(), shown)
    return found


def fitted(predictor: Predictor, table: CaseTable) -> Outside:
    """Return what the product would fit."""
    train = select_lesions(
        table, predictor.facts.as_task(), split="train", views=predictor.scorer.network.views
    )
    scorer = with_gaussians(predictor.scorer, train, open_pixels(table, predictor.scorer.data), seed=0)
    assert scorer.outside
    return scorer.outside


def measure(
    found: dict[str, dict[str, Seen]], judge: Outside, view: View
) -> dict[str, dict[str, dict[str, float]]]:
    """Return by method and set, in one slot, the area under the curve and the share flagged."""
    result = {}
    for name, score in methods(found["train"][view], judge, view).items():
        validation, inside = (score(found[split][view]) for split in ("val", "test"))
        threshold = np.sort(validation)[-1 - int(ALLOWED * len(validation))]
        result[name] = {"test": {"flagged": float((inside > threshold).mean())}}
        for other in found.keys() - {"train", "val", "test"}:
            values = score(found[other][view])
            truth = np.repeat([0, 1], [len(inside), len(values)])
            area = float(roc_auc_score(truth, np.concatenate([inside, values])))
            result[name][other] = {"auroc": area, "flagged": float((values > threshold).mean())}
    return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", type=Path, nargs="?")
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--near", type=Path, action="append", default=[])
    parser.add_argument("--pictures", type=int, default=200)
    args = parser.parse_args()
    with case_folder(args.cases) as cases, run_folder(args.run, cases) as run:
        predictor = load(run, precision="fp32")
        predictor = predictor.stage_one or predictor
        table = read_cases(cases)
        found = sets_of(predictor, table, args.near, args.pictures)
        judge = fitted(predictor, table)
    names = [name for name in found if name not in ("train", "val", "test")]
    report = {view: measure(found, judge, view) for view in predictor.scorer.network.views}
    for view, rows in report.items():
        sizes = ", ".join(f"{name} {len(of[view].labels)}" for name, of in found.items())
        print(f"{view} slot ({sizes}); AUROC, flagged")
        print(f"{'':<36}{'test':>6}" + "".join(f"{name[:14]:>16}" for name in names))
        for method, row in rows.items():
            cells = [f"{row[name]['auroc']:.3f}, {row[name]['flagged']:.3f}" for name in names]
            print(f"{method:<36}{row['test']['flagged']:>6.3f}" + "".join(f"{cell:>16}" for cell in cells))
    print(json.dumps(report))


if __name__ == "__main__":
    main()
