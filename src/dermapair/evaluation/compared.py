"""What is compared: finished runs, or predictions files, on the lesions that all of them have scored.

What cannot be compared is refused: other classes, another truth of a lesion, one run given twice, lesions
that one of the runs has learned.

Letters: N lesions, K classes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dermapair.config import Recipe, load_recipe
from dermapair.data.cases import CaseTable
from dermapair.data.task import UNKNOWN, Task
from dermapair.errors import LeakError, RunError, TableError, UsageError
from dermapair.evaluation.evaluate import truth_of
from dermapair.evaluation.learned import IDS, learned, lesions_of
from dermapair.evaluation.parts import some
from dermapair.inference.model import ModelFacts, read_facts, weights_digest
from dermapair.inference.scores import Array, read_scores

PATIENTS, LESIONS, MIXED = "patients", "lesions", "patients where known, else lesions"


@dataclass(frozen=True)
class Entry:
    """One run, or one predictions file, with what it says of a part.

    Attributes:
        name: shortest end of its path that no other has.
        source: the path.
        classes: K names, in the order of its columns.
        scores: lesion -> (K,) probabilities.
        truth: lesion -> class; lesions without one are not there.
        facts: of `model.json`; None, as all below, of a predictions file.
        recipe: resolved.
        adapter: of the case folder that it was trained on.
        lesions: of `lesions.parquet`.
        learned: what it must not share with the part.
    """

    name: str
    source: Path
    classes: tuple[str, ...]
    scores: Mapping[str, Array]
    truth: Mapping[str, str]
    facts: ModelFacts | None = None
    recipe: Recipe | None = None
    adapter: str | None = None
    lesions: pl.DataFrame | None = None
    learned: pl.DataFrame | None = None

    @property
    def learned_digest(self) -> str | None:
        """SHA-256 of the lesions that it has learned and their parts."""
        if self.learned is None:
            return None
        rows = self.learned.select("lesion_id", "split").unique().sort("lesion_id", "split").rows()
        return sha256(json.dumps(rows).encode()).hexdigest()

    @property
    def family(self) -> str:
        """What is equal for runs that differ only in their seed: recipe and lesions learned."""
        if self.recipe is None:
            return str(self.source)
        settings = self.recipe.model_dump(mode="json", exclude={"seed"})
        return json.dumps([settings, self.learned_digest], sort_keys=True)


@dataclass(frozen=True)
class Compared:
    """Runs on N common lesions with a truth.

    Attributes:
        entries: the runs, the reference first.
        split: which part.
        readout: whose scores.
        classes: K names, in the reference's order.
        ids: N lesion ids.
        labels: (N,) class indices.
        groups: (N,) names, equal for lesions of one patient.
        unit: what the groups are: PATIENTS, LESIONS or MIXED.
        probabilities: by name of a run, (N, K).
        left_out: by name of a run, its lesions that some other run has not scored.
        without_truth: common lesions without a truth.
    """

    entries: tuple[Entry, ...]
    split: str
    readout: str
    classes: tuple[str, ...]
    ids: tuple[str, ...]
    labels: NDArray[np.int64]
    groups: NDArray[np.str_]
    unit: str
    probabilities: dict[str, Array]
    left_out: dict[str, int]
    without_truth: int


def read_compared(
    sources: Sequence[Path],
    *,
    split: str = "test",
    readout: str = "both",
    table: CaseTable | None = None,
    reference: Path | None = None,
) -> Compared:
    """Read what is compared.

    Args:
        sources: run folders; with a table also predictions files (CSV or Parquet).
        split: which part.
        readout: whose scores.
        table: gives the truth of predictions files, and patients.
        reference: one of the sources, that all others are compared with; None: the first.

    Raises:
        UsageError: fewer than two sources, one given twice, a reference that is none of them, another split
            or readout, other classes, another truth of a lesion, or no common lesion with a truth.
        RunError: a run is unfinished, or a file is missing or damaged.
        LeakError: one of them has learned a lesion of the part, or its patient or image.
    """
    ordered = _ordered(sources, reference)
    if table is None and any(path.is_file() for path in ordered):
        raise UsageError(
            f"{next(p for p in ordered if p.is_file())}: expected a run folder, got a file, which has no "
            f"truth; give its case folder with --data"
        )
    names = dict(zip(ordered, _names(ordered), strict=True))
    entries = [_run(path, names[path], split, readout) for path in ordered if not path.is_file()]
    _refuse_copies(entries)
    task = next((e.facts.as_task() for e in entries if e.facts), None)
    files = [_file(p, names[p], split, readout, table) for p in ordered if p.is_file() and table]
    by_source = {entry.source: entry for entry in (*entries, *files)}
    found = tuple(by_source[path] for path in ordered)
    _refuse_other_classes(found)
    of_table = _truth_of_table(table, task, found[0].classes) if table else {}
    _refuse_learned(found, split, table)
    return _common(found, split, readout, truth=_one_truth(found, of_table), table=table)


def _ordered(sources: Sequence[Path], reference: Path | None) -> list[Path]:
    """Return the sources, the reference first."""
    if len(sources) < 2:
        raise UsageError(f"expected at least two runs to compare, got {len(sources)}; name another")
    resolved = [path.resolve() for path in sources]
    twice = next((path for i, path in enumerate(resolved) if path in resolved[:i]), None)
    if twice:
        raise UsageError(f"{twice}: expected different runs, got this one twice; name each once")
    if reference is None:
        return resolved
    if reference.resolve() not in resolved:
        raise UsageError(
            f"--reference: expected one of the runs that are compared, got {reference}; name one"
        )
    return sorted(resolved, key=lambda path: path != reference.resolve())


def _names(paths: Sequence[Path]) -> list[str]:
    """Return for each path its last part, with so many before it as tell it from all others."""

    def end(path: Path, n: int) -> str:
        return "/".join(path.with_suffix("").parts[-n:] if path.is_file() else path.parts[-n:])

    result = []
    for path in paths:
        longest = max(len(p.parts) for p in paths)
        alone = (n for n in range(1, longest + 1) if [end(p, n) for p in paths].count(end(path, n)) == 1)
        result.append(end(path, next(alone, longest)))
    return [str(path) for path in paths] if len(set(result)) < len(result) else result


def _run(path: Path, name: str, split: str, readout: str) -> Entry:
    """Read a finished run."""
    lesions, facts = lesions_of(path), read_facts(path)  # refuses an unfinished run
    file = path / "predictions.parquet"
    try:
        frame = pl.read_parquet(file, columns=["lesion_id", "readout", "split", "truth", *facts.classes])
        manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        why = str(error).partition("\n")[0]
        raise RunError(f"{file}: expected the files of a finished run ({why}); train it again") from error
    rows = frame.filter(pl.col("split") == split, pl.col("readout") == readout)
    if rows.is_empty():
        there = ", ".join(
            f"{r} of {s}" for s, r in frame.select("split", "readout").unique().sort("*").rows()
        )
        raise UsageError(
            f"{path}: expected predictions of {readout} of {split}, got {there}; name one of them"
        )
    known = rows.drop_nulls("truth")
    return Entry(
        name,
        path,
        facts.classes,
        dict(zip(rows["lesion_id"], rows.select(facts.classes).to_numpy(), strict=True)),
        dict(known.select("lesion_id", "truth").iter_rows()),
        facts,
        load_recipe(path / "recipe.toml"),
        (manifest.get("data") or {}).get("adapter"),
        lesions,
        learned(path, held_out=split),
    )


def _file(path: Path, name: str, split: str, readout: str, table: CaseTable) -> Entry:
    """Read a predictions file; its lesions are those that the table has in the split."""
    classes, scores = read_scores(path, split=split)
    inside = set(table.frame.filter(pl.col("split") == split)["lesion_id"])
    ids, p = scores.get(readout, ((), np.zeros((0, len(classes)))))
    kept = {lesion: row for lesion, row in zip(ids, p, strict=True) if lesion in inside}
    if not kept:
        raise UsageError(
            f"{path}: expected predictions of {readout} for lesions that the table has in {split}, got none; "
            f"name another --split or --readout"
        )
    return Entry(name, path, classes, kept, {})


def _refuse_copies(entries: Sequence[Entry]) -> None:
    seen: dict[str, Entry] = {}
    for entry in entries:
        first = seen.setdefault(weights_digest(entry.source), entry)
        if first is not entry:
            raise UsageError(
                f"{entry.source}: expected different runs, got the weights of {first.source} again; name "
                f"each run once"
            )


def _refuse_other_classes(entries: Sequence[Entry]) -> None:
    first = entries[0]
    for entry in entries[1:]:
        if set(entry.classes) != set(first.classes):
            raise UsageError(
                f"{entry.source}: expected the classes of {first.name} ({', '.join(first.classes)}), got "
                f"{', '.join(entry.classes)}; compare runs of one task"
            )


def _truth_of_table(table: CaseTable, task: Task | None, classes: Sequence[str]) -> dict[str, str]:
    """Return lesion -> class by a case table; without a run's task, diagnoses are the classes."""
    if task is None:
        unknown = sorted(set(classes) - set(table.diagnoses))
        if unknown:
            raise TableError(
                f"--data: the classes {', '.join(unknown)} are no diagnoses of the table "
                f"({', '.join(table.diagnoses)}); compare with a run of that task"
            )
        of = {name: name for name in table.diagnoses if name in classes}
        task = Task("diagnosis", tuple(classes), of, table.diagnoses)
    labels = truth_of(table, task, split=None).labels
    return {lesion: task.classes[label] for lesion, label in labels.items() if label != UNKNOWN}


def _one_truth(entries: Sequence[Entry], of_table: Mapping[str, str]) -> dict[str, str]:
    """Return lesion -> class, the same for all runs."""
    truth: dict[str, str] = {}
    for entry in entries:
        truth |= {lesion: name for lesion, name in entry.truth.items() if lesion not in truth}
        for other, what in ((entry.truth, entry.source), (of_table, "--data")):
            lesion = next(
                (i for i in entry.scores if i in other and truth.get(i, other[i]) != other[i]), None
            )
            if lesion is not None:
                raise UsageError(
                    f"{what}: expected one truth of lesion {lesion!r}, got {other[lesion]!r} here and "
                    f"{truth[lesion]!r} elsewhere; compare runs on the same labels"
                )
    return {**of_table, **truth}


def _refuse_learned(entries: Sequence[Entry], split: str, table: CaseTable | None) -> None:
    """Refuse a run that has learned a lesion, patient or image that another one is scored on."""
    part = pl.DataFrame(
        {"lesion_id": sorted({i for e in entries for i in e.scores})}, schema={"lesion_id": str}
    )
    frames = [e.lesions for e in entries if e.lesions is not None] + ([table.frame] if table else [])
    for column in IDS:
        named = [f.select({"lesion_id", column}) for f in frames if column in f.columns]
        if not named:  # older runs do not name images
            continue
        held = pl.concat(named).join(part, on="lesion_id", how="semi")[column].drop_nulls().unique()
        for entry in entries:
            if entry.learned is None or column not in entry.learned.columns:
                continue
            both = set(held) & set(entry.learned[column].drop_nulls())
            if both:
                raise LeakError(
                    f"{entry.source}: expected a run that has held out every lesion of the {split} part that "
                    f"is compared, got one that has learned {len(both)} of its {column} ({some(both)}); "
                    f"compare runs that were trained on one split"
                )


def _common(
    entries: tuple[Entry, ...], split: str, readout: str, *, truth: Mapping[str, str], table: CaseTable | None
) -> Compared:
    """Bring the runs to the lesions that all have scored and that have a truth."""
    classes = entries[0].classes
    common = [i for i in entries[0].scores if all(i in entry.scores for entry in entries)]
    ids = tuple(lesion for lesion in common if lesion in truth)
    if not ids:
        raise UsageError(
            f"expected lesions of {split} with a truth that all runs have scored, got {len(common)} "
            f"scored by all and none of them with a truth; compare runs on one split of one set"
        )
    patients = _patients(entries, table)
    known = sum(lesion in patients for lesion in ids)
    return Compared(
        entries,
        split,
        readout,
        classes,
        ids,
        np.array([classes.index(truth[lesion]) for lesion in ids], dtype=np.int64),
        np.array([f"p {patients[i]}" if i in patients else f"l {i}" for i in ids]),
        PATIENTS if known == len(ids) else MIXED if known else LESIONS,
        {e.name: _aligned(e, ids, classes) for e in entries},
        {e.name: len(e.scores) - len(common) for e in entries},
        len(common) - len(ids),
    )


def _aligned(entry: Entry, ids: Iterable[str], classes: Sequence[str]) -> Array:
    """Return (N, K) probabilities in a common order of lesions and classes."""
    order = [entry.classes.index(name) for name in classes]
    return np.array([entry.scores[lesion] for lesion in ids])[:, order]


def _patients(entries: Sequence[Entry], table: CaseTable | None) -> dict[str, str]:
    """Return lesion -> patient, where a case table or a run names one."""
    frames = [e.lesions for e in entries if e.lesions is not None] + ([table.frame] if table else [])
    named = [frame.select("lesion_id", "patient_id").drop_nulls() for frame in frames]
    return dict(pl.concat(named, how="vertical_relaxed").iter_rows())
