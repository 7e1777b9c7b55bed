"""Challenge files that are decided by the largest value: ISIC 2018 and 2019."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from dermapair.config.recipe import TaskSettings
from dermapair.data.cases import CaseTable, write_cases
from dermapair.data.task import build_task
from dermapair.errors import TableError, UsageError
from dermapair.evaluation import truth_of
from dermapair.evaluation.submission import (
    CHALLENGES,
    check_classes,
    make_submission,
)
from dermapair.metrics.isic import balanced_accuracy_ties_wrong
from dermapair.reproduce.experiment import run_experiment
from evaluation.submitted import Rows, save_trained
from training.phantoms import tiny_recipe

pytestmark = pytest.mark.usefixtures("tiny")

SEVEN = CHALLENGES["isic2018"].classes
SEVEN_TEST: Rows = [
    ("E1", "MEL", (0.4, 0.3, 0.1, 0.1, 0.1, 0.0, 0.0)),
    ("E2", "NV", (0.3, 0.3, 0.3, 0.1, 0.0, 0.0, 0.0)),  # in the run's order NV is before MEL
    ("E3", "BCC", (0.0, 0.0, 0.0, 0.5, 0.5, 0.0, 0.0)),
    ("E4", "VASC", (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)),
]


def test_isic2018_is_by_image_and_decided_by_the_largest_value(tmp_path: Path, out: Path) -> None:
    order = [1, 0, 2, 4, 3, 5, 6]
    rows = [(lesion, truth, [p[k] for k in order]) for lesion, truth, p in SEVEN_TEST]
    run = save_trained(tmp_path / "run", [SEVEN[k] for k in order], {"test": rows})
    summary = make_submission(run, out, challenge="isic2018")
    frame = pl.read_csv(out)
    assert frame.columns == ["image", "MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC"]
    assert set(frame.dtypes[1:]) == {pl.Float64}
    values = frame.drop("image").to_numpy()
    assert np.abs(values - [p for _, _, p in SEVEN_TEST]).max() < 1e-8
    assert [SEVEN[k] for k in values.argmax(axis=1)] == ["MEL", "NV", "BKL", "VASC"]
    assert ((values == values.max(axis=1, keepdims=True)).sum(axis=1) == 1).all()
    assert (summary["ties_broken"], summary["absent"], summary["thresholds"]) == (2, [], None)
    truth = [SEVEN.index(str(name)) for _, name, _ in SEVEN_TEST]
    assert balanced_accuracy_ties_wrong(truth, values) == 0.75


def test_values_that_a_scorers_parser_could_read_as_equal_are_set_apart(tmp_path: Path, out: Path) -> None:
    p = (0.3, float(np.nextafter(0.3, 1)), 0.2, 0.2, 0.0, 0.0, 0.0)
    run = save_trained(tmp_path / "run", SEVEN, {"test": [("E1", None, p), ("E2", None, p)]})
    assert make_submission(run, out, challenge="isic2018")["ties_broken"] == 2
    row = pl.read_csv(out).row(0)
    assert row[2] - row[1] > 2e-10, "the larger one keeps its value"


def test_a_row_that_names_none_of_the_challenges_classes_is_undecided_and_refused(
    tmp_path: Path, out: Path
) -> None:
    rows = [("E1", None, (*SEVEN_TEST[0][2], 0.0)), ("E2", None, (0.0,) * 7 + (1.0,))]
    run = save_trained(tmp_path / "run", (*SEVEN, "OTHER"), {"test": rows})
    with pytest.raises(TableError, match=r"row 2 \(E2\): expected one largest value, .* got 0\.0 in MEL, NV"):
        make_submission(run, out, challenge="isic2018")
    assert not out.exists()


NINE = CHALLENGES["isic2019"].classes


@pytest.mark.parametrize(
    ("classes", "train_classes", "absent"),
    [
        (NINE[:-1], None, ["UNK"]),
        (NINE, {**dict.fromkeys(NINE, 5), "UNK": 0}, ["UNK"]),
        (NINE, dict.fromkeys(NINE, 5), []),
        (NINE, None, []),
    ],
    ids=["no such class", "not learned", "learned", "not known"],
)
def test_isic2019_has_unk_as_zero_where_the_run_does_not_know_it(
    classes: tuple[str, ...],
    train_classes: dict[str, int] | None,
    absent: list[str],
    tmp_path: Path,
    out: Path,
) -> None:
    p = [0.1, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05, 0.1, 0.2][: len(classes)]
    run = save_trained(tmp_path / "run", classes, {"test": [("E1", None, p), ("E2", None, p)]})
    if train_classes:
        manifest = {"data": {"adapter": "isic2017", "train_classes": train_classes}}
        (run / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    summary = make_submission(run, out, challenge="isic2019")
    frame = pl.read_csv(out)
    assert frame.columns == ["image", *NINE]
    assert summary["absent"] == absent
    assert frame["UNK"].to_list() == pytest.approx([0.0 if absent else 0.2] * 2)
    assert (frame["UNK"] == 0).all() == bool(absent)
    assert summary["ties_broken"] == (0 if absent else 2), "UNK ties with NV where it counts"


def test_names_that_differ_in_case_alone_are_an_error_that_says_the_rename(tmp_path: Path, out: Path) -> None:
    ham = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
    run = save_trained(tmp_path / "run", ham, {"test": [("L", None, np.eye(7)[0])]})
    way = (
        r'; train one whose recipe says rename = \{mel = "MEL", nv = "NV", .*vasc = "VASC"\} under \[task\]$'
    )
    with pytest.raises(UsageError, match=f"^isic2018: expected a run .* lacks MEL, .*{way}"):
        make_submission(run, out, challenge="isic2018")
    with pytest.raises(UsageError, match="lacks MEL, .*SCC; train one on the challenge's own task$"):
        make_submission(run, out, challenge="isic2019")


def test_that_rename_is_one_that_a_recipe_takes() -> None:
    ham = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
    with pytest.raises(UsageError) as caught:
        check_classes(ham, "isic2018")
    found = re.search(r"rename = \{.*\}", str(caught.value))
    assert found
    settings = TaskSettings.model_validate(tomllib.loads(found.group()))
    check_classes(build_task(settings, ham).classes, "isic2018")


def test_the_file_of_isic2018_scores_the_balanced_accuracy_that_the_results_say(
    single: CaseTable, tmp_path: Path, out: Path
) -> None:
    table = write_cases(single, tmp_path / "single")
    named = {
        "melanoma": "MEL", "bcc": "BCC", "actinic_keratosis": "AKIEC", "seborrheic_keratosis": "BKL",
        "dermatofibroma": "DF", "hemangioma": "VASC",
    }  # fmt: skip
    groups = {"NV": ["*"], **{term: [code] for code, term in named.items()}}
    recipe = tiny_recipe(
        task={"groups": groups}, network={"kind": "single", "view": "dermoscopic"}, train={"epochs": 1}
    )
    results = run_experiment(recipe, table, tmp_path / "run")
    assert make_submission(tmp_path / "run", out, challenge="isic2018")["absent"] == []
    truth = truth_of(table, build_task(recipe.task, table.diagnoses), split="test")
    frame = pl.read_csv(out)
    own = [truth.task.classes[truth.labels[name.removesuffix("_dermoscopic")]] for name in frame["image"]]
    labels = [SEVEN.index(name) for name in own]
    score = balanced_accuracy_ties_wrong(labels, frame.drop("image").to_numpy())
    assert score == pytest.approx(results["readouts"]["both"]["balanced_accuracy"]["value"])
