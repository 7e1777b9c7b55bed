"""Run folders that look trained on a challenge's task, with predictions written out by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from inference.runs import save_tiny_run

Rows = Sequence[tuple[str, str | None, Sequence[float]]]
"""Lesion id, truth, probabilities in class order."""


def save_trained(
    folder: Path,
    classes: Sequence[str],
    parts: Mapping[str, Rows],
    *,
    errors: Sequence[Sequence[str]] = (),
    adapter: str = "isic2017",
    cases: Path | str = "nowhere",
    unseen: Mapping[str, str] | None = None,
) -> Path:
    """Write a finished run of an untrained tiny network on dermoscopic images.

    Args:
        folder: to write.
        classes: of its task.
        parts: split -> what it predicted there; both readouts say the same, but `dermoscopic` reversed.
        errors: of `results.json`, of the split test.
        adapter: of its case folder.
        cases: that folder.
        unseen: lesion -> split of lesions of its case folder that it did not predict.
    """
    how = {"classes": tuple(classes), "class_of": {c: c for c in classes}, "diagnoses": tuple(classes)}
    save_tiny_run(folder, kind="single", view="dermoscopic", **how)
    rows = [(split, *row) for split, of in parts.items() for row in of]
    frames = [_frame(rows, classes, readout) for readout in ("dermoscopic", "both")]
    pl.concat(frames).write_parquet(folder / "predictions.parquet")
    splits = {lesion: split for split, lesion, _, _ in rows} | dict(unseen or {})
    lesions = pl.DataFrame({"lesion_id": list(splits), "split": list(splits.values())})
    lesions.with_columns(patient_id=pl.lit(None, pl.String)).write_parquet(folder / "lesions.parquet")
    _write(folder / "results.json", {"split": "test", "errors": list(errors)})
    _write(folder / "manifest.json", {"data": {"adapter": adapter, "cases": str(cases)}})
    return folder


def _frame(rows: Sequence[Any], classes: Sequence[str], readout: str) -> pl.DataFrame:
    splits, ids, truths, p = zip(*rows, strict=True)
    named = {"lesion_id": ids, "readout": [readout] * len(ids), "split": splits}
    frame = pl.DataFrame(named | {"truth": pl.Series(truths, dtype=pl.String)})
    values = [list(row) if readout == "both" else list(row)[::-1] for row in p]
    return frame.hstack(pl.DataFrame(values, schema=dict.fromkeys(classes, pl.Float64), orient="row"))


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")
