"""Combining readouts and images, and predictions files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from dermapair.errors import TableError
from dermapair.inference.scores import (
    Scores,
    combine,
    concatenate,
    mean_over_images,
    read_scores,
    scores_frame,
    softmax,
    with_stages,
)

NAN = np.full(2, np.nan)
A, B, C = (np.array(p) for p in ([0.8, 0.2], [0.4, 0.6], [0.1, 0.9]))


def test_softmax_is_exact_and_does_not_overflow() -> None:
    assert softmax(np.log([[1.0, 3.0]])) == pytest.approx(np.array([[0.25, 0.75]]))
    assert softmax(np.array([[1e4, 0.0], [-1e4, 0.0]])).tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_both_is_the_weighted_mean_of_the_readouts_that_a_lesion_has() -> None:
    each = {
        "clinical": np.array([A, A, NAN, NAN]),
        "dermoscopic": np.array([B, NAN, B, NAN]),
        "cross": np.array([C, NAN, NAN, NAN]),
    }
    got = combine(each, {"clinical": 1.0, "dermoscopic": 1.0, "cross": 1.5})
    assert got[:3] == pytest.approx(np.array([(A + B + 1.5 * C) / 3.5, A, B]))
    assert np.isnan(got[3]).all()


def test_a_lesion_that_has_only_readouts_of_weight_0_takes_their_mean() -> None:
    each = {"clinical": np.array([A, A]), "dermoscopic": np.array([B, B]), "cross": np.array([C, NAN])}
    got = combine(each, {"clinical": 0.0, "dermoscopic": 0.0, "cross": 1.0})
    assert got == pytest.approx(np.array([C, (A + B) / 2]))


def test_images_of_one_lesion_are_averaged_and_absent_ones_left_out() -> None:
    values = {"clinical": np.array([A, C, B, NAN, NAN])}
    got = mean_over_images(values, np.array([0, 0, 1, 1, 2]), 3)["clinical"]
    assert got[:2] == pytest.approx(np.array([(A + C) / 2, B]))
    assert np.isnan(got[2]).all()


def two_stages(how: str) -> Scores:
    first = Scores(
        ("a", "b"), ("x", "y"), {"both": np.array([A, NAN])}, {"both": np.log([A, NAN])}, (("b", "bad"),)
    )
    second = Scores(
        ("a", "b"), ("x", "y"), {"both": np.array([C, NAN])}, {"both": np.array([C, NAN])}, first.errors
    )
    return with_stages(first, second, how=how)


def test_two_stages_say_what_the_second_says_or_the_mean_and_keep_all_three() -> None:
    for how, expected in (("stage2", C), ("mean", (A + C) / 2)):
        both = two_stages(how)
        assert both.probabilities["both"][0] == pytest.approx(expected)
        assert np.isnan(both.probabilities["both"][1]).all()
        assert [both.stages[s]["both"][0].tolist() for s in ("stage1", "stage2")] == [A.tolist(), C.tolist()]
        assert both.stages["mean"]["both"][0] == pytest.approx((A + C) / 2)
        assert both.errors == (("b", "bad"),), "an image that neither can read is listed once"
    assert two_stages("stage2").logits["both"][0].tolist() == C.tolist()
    assert softmax(two_stages("mean").logits["both"][:1]) == pytest.approx(((A + C) / 2)[None])


def test_stages_of_batches_become_one_and_have_their_own_frame() -> None:
    both = concatenate([two_stages("stage2"), two_stages("stage2")])
    assert both.stages["stage1"]["both"].shape == (4, 2)
    assert scores_frame(both, stage="stage1")["x"].to_list() == [A[0], A[0]]
    assert scores_frame(both)["x"].to_list() == [C[0], C[0]]


def test_scores_of_batches_become_one() -> None:
    one = Scores(("a",), ("x", "y"), {"both": A[None]}, {"both": A[None]}, (("a", "bad"),))
    two = Scores(("b", "c"), ("x", "y"), {"both": np.array([B, C])}, {"both": np.array([B, C])})
    both = concatenate([one, two])
    assert both.ids == ("a", "b", "c") and both.errors == (("a", "bad"),)
    assert both.probabilities["both"].tolist() == [A.tolist(), B.tolist(), C.tolist()]


def test_the_table_has_a_row_for_each_readout_that_a_lesion_has() -> None:
    p = {"clinical": np.array([A, NAN]), "cross": np.array([NAN, NAN]), "both": np.array([A, NAN])}
    frame = scores_frame(Scores(("a", "b"), ("x", "y"), p, p))
    assert frame.columns == ["lesion_id", "readout", "x", "y"]
    assert frame.rows() == [("a", "clinical", 0.8, 0.2), ("a", "both", 0.8, 0.2)]
    late = {"clinical": np.array([NAN, NAN]), "both": np.array([A, NAN])}
    assert scores_frame(Scores(("a", "b"), ("x", "y"), late, late)).rows() == [("a", "both", 0.8, 0.2)]
    nothing = scores_frame(Scores(("b",), ("x", "y"), {"both": NAN[None]}, {"both": NAN[None]}))
    assert nothing.rows() == []


GOOD = ["lesion_id,readout,x,y", "1,clinical,0.5,0.5", "1,both,0.25,0.75", "2,both,0,1"]


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_file_is_read_by_readout_and_ids_stay_text(tmp_path: Path) -> None:
    classes, by = read_scores(write(tmp_path / "p.csv", GOOD))
    assert classes == ("x", "y")
    assert set(by) == {"clinical", "both"}
    assert by["both"][0] == ("1", "2")
    assert by["both"][1].tolist() == [[0.25, 0.75], [0.0, 1.0]]


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    p = {"clinical": np.array([A, NAN]), "both": np.array([A, B])}
    frame = scores_frame(Scores(("a", "b"), ("x", "y"), p, p))
    frame.write_csv(tmp_path / "p.csv")
    frame.with_columns(split=pl.lit("test"), truth=pl.lit("x")).write_parquet(tmp_path / "p.parquet")
    for name in ("p.csv", "p.parquet"):  # a run's own file has the columns split and truth too
        classes, by = read_scores(tmp_path / name)
        assert classes == ("x", "y")
        assert by["clinical"][0] == ("a",) and by["both"][1] == pytest.approx(np.array([A, B]))


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ("3,nonsense,0.5,0.5", 2),
        ("3,,0.5,0.5", 2),
        (",both,0.5,0.5", 2),
        ("1,clinical,0.5,0.5", 1),
        ("3,both,0.5,0.6", 2),
        ("3,both,1.5,-0.5", 2),
        ("3,both,,1", 2),
        ("3,both,NaN,1", 2),
        ("3,both,inf,1", 2),
    ],
)
def test_a_bad_row_is_refused_by_its_number(line: str, row: int, tmp_path: Path) -> None:
    path = write(tmp_path / "p.csv", [*GOOD[:2], line, *GOOD[2:]])
    with pytest.raises(TableError, match=rf"p\.csv: row {row} \(lesion .*: expected a readout of clinical"):
        read_scores(path)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["lesion_id,x,y", "1,0.5,0.5"], "lacks the columns readout; it has lesion_id, x, y"),
        (["readout,x,y", "both,0.5,0.5"], "lacks the columns lesion_id"),
        (["lesion_id,readout,x", "1,both,1"], "expected rows with one column per class"),
        (GOOD[:1], "expected rows with one column per class, got 0 rows"),
        (["lesion_id,readout,x,y", "1,both,0.5,half"], "expected numbers in the column 'y', got text"),
        ([""], "expected a predictions file, but"),
    ],
)
def test_a_file_of_another_kind_is_refused(lines: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises(TableError, match=said):
        read_scores(write(tmp_path / "p.csv", lines))


@pytest.mark.parametrize("name", ["p.csv", "p.parquet"])
def test_a_file_that_is_not_there_or_noise_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(TableError, match="expected a predictions file, but it is not there"):
        read_scores(tmp_path / name)
    (tmp_path / name).write_bytes(bytes(range(256)))
    with pytest.raises(TableError, match=rf"{name}: "):
        read_scores(tmp_path / name)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(TableError, match=r"folder\.csv: expected a predictions file"):
        read_scores(tmp_path / "folder.csv")
