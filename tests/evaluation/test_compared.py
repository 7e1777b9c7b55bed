"""Which runs can be compared, on which lesions, and what is refused."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from dermapair.config import Recipe
from dermapair.data.cases import read_cases
from dermapair.errors import LeakError, RunError, TableError, UsageError
from dermapair.evaluation.compared import LESIONS, MIXED, PATIENTS, read_compared
from evaluation.compared_runs import CLASSES, IDS, TRUTH, draw, make


@pytest.fixture
def pair(tmp_path: Path) -> list[Path]:
    return [make(tmp_path / "a", draw(1)), make(tmp_path / "b", draw(2))]


def test_the_runs_are_read_in_the_references_order_of_classes(tmp_path: Path) -> None:
    turned = draw(1)[:, ::-1]
    runs = [make(tmp_path / "a", draw(1)), make(tmp_path / "b", turned, classes=CLASSES[::-1])]
    found = read_compared(runs)
    assert found.classes == CLASSES
    assert found.ids == IDS
    assert [CLASSES[k] for k in found.labels] == list(TRUTH)
    np.testing.assert_array_equal(found.probabilities["a"], found.probabilities["b"])


def test_only_common_lesions_with_a_truth_stay_and_the_others_are_counted(tmp_path: Path) -> None:
    without = [None if i < 3 else name for i, name in enumerate(TRUTH)]
    a = make(tmp_path / "a", draw(1)[:20], ids=IDS[:20], truth=without[:20])
    b = make(tmp_path / "b", draw(2)[2:], ids=IDS[2:], truth=without[2:])
    found = read_compared([a, b])
    assert found.ids == IDS[3:20]
    assert found.left_out == {"a": 2, "b": 4}
    assert found.without_truth == 1  # the third; the first two are not common
    np.testing.assert_array_equal(found.probabilities["b"], draw(2)[3:20])


def test_the_reference_comes_first(pair: list[Path]) -> None:
    assert [e.name for e in read_compared(pair, reference=pair[1]).entries] == ["b", "a"]


def test_equal_folder_names_are_told_apart_by_what_stands_before(tmp_path: Path) -> None:
    runs = [make(tmp_path / "x" / "run"), make(tmp_path / "y" / "run"), make(tmp_path / "other")]
    for run in runs:
        (run / "model.safetensors").write_bytes(str(run).encode())
    assert [e.name for e in read_compared(runs).entries] == ["x/run", "y/run", "other"]


@pytest.mark.parametrize(
    ("named", "unit", "n"),
    [({}, LESIONS, 24), ({IDS[0]: "P", IDS[1]: "P"}, MIXED, 23), (dict.fromkeys(IDS, "P"), PATIENTS, 1)],
)
def test_groups_are_patients_where_a_run_names_them(
    tmp_path: Path, named: dict[str, str], unit: str, n: int
) -> None:
    found = read_compared([make(tmp_path / "a"), make(tmp_path / "b", draw(2), patients=named)])
    assert found.unit == unit
    assert len(set(found.groups)) == n


# --- refused ---


def test_one_run_alone(pair: list[Path]) -> None:
    with pytest.raises(UsageError, match="at least two runs to compare, got 1"):
        read_compared(pair[:1])


def test_one_run_twice_by_another_path(pair: list[Path]) -> None:
    with pytest.raises(UsageError, match="got this one twice"):
        read_compared([pair[0], pair[1] / ".." / "a"])


def test_a_copy_of_a_run(pair: list[Path], tmp_path: Path) -> None:
    shutil.copytree(pair[0], tmp_path / "copy")
    with pytest.raises(UsageError, match=r"copy: expected different runs, got the weights of .*/a again"):
        read_compared([*pair, tmp_path / "copy"])


def test_a_reference_that_is_not_compared(pair: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--reference: expected one of the runs"):
        read_compared(pair, reference=tmp_path)


def test_an_unfinished_run(pair: list[Path], tmp_path: Path) -> None:
    unfinished = make(tmp_path / "c", finished=False)
    with pytest.raises(RunError, match=r"c: expected a finished run"):
        read_compared([pair[0], unfinished])


def test_a_folder_that_is_not_there(pair: list[Path], tmp_path: Path) -> None:
    with pytest.raises(RunError, match="nowhere"):
        read_compared([pair[0], tmp_path / "nowhere"])


def test_damaged_predictions(pair: list[Path]) -> None:
    (pair[1] / "predictions.parquet").write_bytes(b"nothing")
    with pytest.raises(RunError, match=r"b/predictions.parquet: expected the files of a finished run"):
        read_compared(pair)


def test_other_classes(pair: list[Path], tmp_path: Path) -> None:
    truth = ["mole" if name == "nevus" else name for name in TRUTH]
    other = make(tmp_path / "c", truth=truth, classes=("mole", *CLASSES[1:]))
    with pytest.raises(
        UsageError, match=r"c: expected the classes of a \(nevus, melanoma, other\), got mole"
    ):
        read_compared([pair[0], other])


def test_another_truth_of_a_lesion(pair: list[Path], tmp_path: Path) -> None:
    other = make(tmp_path / "c", truth=("melanoma", *TRUTH[1:]))
    with pytest.raises(UsageError, match="one truth of lesion 'L00', got 'melanoma' here and 'nevus'"):
        read_compared([pair[0], other])


def test_no_common_lesion(pair: list[Path], tmp_path: Path) -> None:
    other = make(tmp_path / "c", ids=[f"M{i}" for i in IDS])
    with pytest.raises(UsageError, match="got 0 scored by all"):
        read_compared([pair[0], other])


@pytest.mark.parametrize("how", [{"split": "val"}, {"readout": "cross"}])
def test_a_part_or_readout_that_a_run_has_not(pair: list[Path], how: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="got both of test; name one of them"):
        read_compared(pair, **how)


def test_a_run_that_has_learned_a_lesion_of_another_ones_part(pair: list[Path], tmp_path: Path) -> None:
    leaky = make(tmp_path / "c", draw(3)[1:], ids=IDS[1:], truth=TRUTH[1:], trained=("T0", IDS[0]))
    with pytest.raises(LeakError, match=r"c: expected .* learned 1 of its lesion_id \(L00\)"):
        read_compared([pair[0], leaky])


def test_a_run_that_has_learned_a_patient(tmp_path: Path) -> None:
    a = make(tmp_path / "a", patients={IDS[5]: "P"})
    b = make(tmp_path / "b", draw(2), trained=("T0",), patients={"T0": "P"})
    with pytest.raises(LeakError, match=r"b: .* learned 1 of its patient_id \(P\)"):
        read_compared([a, b])


def test_a_run_whose_source_has_learned_a_lesion(pair: list[Path]) -> None:
    rows = {"lesion_id": [IDS[0]], "patient_id": [None], "image_id": ["x"], "split": ["val"]}
    before = pl.DataFrame(rows, schema_overrides={"patient_id": pl.String})
    before.write_parquet(pair[1] / "learned_before.parquet")
    with pytest.raises(LeakError, match="learned 1 of its lesion_id"):
        read_compared(pair)


# --- families ---


def test_runs_that_differ_only_in_their_seed_are_one_family(tmp_path: Path) -> None:
    def family(name: str, recipe: Recipe, **how: object) -> str:
        run = make(tmp_path / name, draw(len(name)), recipe=recipe, **how)
        other = tmp_path / "other"
        other = other if other.exists() else make(other)
        return read_compared([run, other]).entries[0].family

    first = family("a", Recipe(name="tiny", seed=0))
    assert family("bb", Recipe(name="tiny", seed=1)) == first
    assert family("ccc", Recipe(name="small", seed=1)) != first
    assert family("dddd", Recipe(name="tiny", seed=1), trained=("T0",)) != first, "learned other lesions"


# --- with a case table: predictions files, truth and patients from it ---


@pytest.fixture
def table(tmp_path: Path, cases: Path):
    """A case folder of the lesions of these runs, two to a patient."""
    rows = read_cases(cases)
    frame = rows.frame.head(1).select(pl.all().repeat_by(len(IDS)).explode())
    frame = frame.with_columns(
        image_id=pl.Series([f"{i}_image" for i in IDS]),
        lesion_id=pl.Series(IDS),
        patient_id=pl.Series([f"P{k // 2}" for k in range(len(IDS))]),
        diagnosis=pl.Series(TRUTH),
        split=pl.lit("test"),
    )
    return replace(rows, frame=frame, diagnoses=CLASSES)


def predictions(path: Path, p: np.ndarray, ids: tuple[str, ...] = IDS) -> Path:
    frame = pl.DataFrame({"lesion_id": ids, "readout": "both"})
    frame.hstack(pl.DataFrame(p, schema=list(CLASSES))).write_csv(path)
    return path


def test_a_predictions_file_takes_truth_and_patients_of_the_table(pair, table, tmp_path: Path) -> None:
    file = predictions(tmp_path / "peer.csv", draw(5))
    found = read_compared([pair[0], file], table=table)
    assert [e.name for e in found.entries] == ["a", "peer"]
    assert found.unit == PATIENTS
    assert len(set(found.groups)) == 12
    np.testing.assert_allclose(found.probabilities["peer"], draw(5))


def test_two_predictions_files_need_no_run(table, tmp_path: Path) -> None:
    files = [predictions(tmp_path / f"{name}.csv", draw(k)) for k, name in enumerate("xy")]
    assert read_compared(files, table=table).ids == IDS


def test_a_predictions_file_without_a_table(pair: list[Path], tmp_path: Path) -> None:
    file = predictions(tmp_path / "peer.csv", draw(5))
    with pytest.raises(UsageError, match=r"peer.csv: expected a run folder, got a file.*--data"):
        read_compared([pair[0], file])


def test_a_table_with_another_truth(pair, table) -> None:
    other = replace(table, frame=table.frame.with_columns(diagnosis=pl.lit("melanoma")))
    with pytest.raises(UsageError, match="--data: expected one truth of lesion 'L00'"):
        read_compared(pair, table=other)


def test_files_whose_classes_the_table_does_not_know(table, tmp_path: Path) -> None:
    files = [predictions(tmp_path / f"{name}.csv", draw(k)) for k, name in enumerate("xy")]
    frame = table.frame.with_columns(diagnosis=pl.lit("nevus"))
    with pytest.raises(TableError, match="the classes other are no diagnoses"):
        read_compared(files, table=replace(table, frame=frame, diagnoses=CLASSES[:2]))
