"""`dermapair explain` and `Predictor.explain`: files, sizes, boxes, and wrong use."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import dermapair
from cli.conftest import Command
from data.adapters.fake_isic2017_masks import write_isic2017_masks
from dermapair.data.adapters import import_cases
from dermapair.data.cases import read_cases, write_cases
from dermapair.errors import ImageError, UsageError
from dermapair.evaluation.maps import measure_maps
from dermapair.report.explanation import write_explanation
from dermapair.report.maps import write_maps
from inference.runs import CLASSES, save_tiny_run
from training.phantoms import register_tiny


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    register_tiny(monkeypatch)


@pytest.fixture
def pair(tmp_path: Path) -> dict[str, Path]:
    rng = np.random.default_rng(0)
    files = {}
    for view, size in (("clinical", (90, 70)), ("dermoscopic", (64, 120))):
        pixels = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{view}.png")
        files[view] = tmp_path / f"{view}.png"
    return files


def test_the_files_of_an_explanation(run: Path, pair: dict[str, Path], command: Command) -> None:
    out = run.parent / "why"
    views = [part for view, path in pair.items() for part in (f"--{view}", path)]
    assert command("explain", run, *views, "--out", out) == 0
    content = json.loads((out / "explanation.json").read_text())
    assert content["classes"] == list(CLASSES)
    assert set(content["probabilities"]) == {"clinical", "dermoscopic", "cross", "both"}
    e = dermapair.load(run).explain(**pair)
    for view in pair:
        np.testing.assert_allclose(np.load(out / f"{view}.npy"), e.maps[view])
        for name in ("cancer", "benign", "odd___name_"):  # as a file may be called
            with Image.open(out / f"{view}_{name}.png") as drawn, Image.open(pair[view]) as original:
                assert drawn.size == original.size
        box = content["boxes"][view]
        assert (tuple(box) if box else None) == e.boxes[view]
        assert any(warning.startswith(f"{view}: the network saw") for warning in content["warnings"])


@pytest.mark.parametrize("readout", ["cross", "both"])
def test_another_readout_is_explained_in_both_views(
    run: Path, pair: dict[str, Path], readout: str, command: Command
) -> None:
    out = run.parent / "why"
    views = [part for view, path in pair.items() for part in (f"--{view}", path)]
    assert command("explain", run, *views, "--out", out, "--readout", readout) == 0
    content = json.loads((out / "explanation.json").read_text())
    for view in pair:
        assert (content["views"][view]["explains"], content["views"][view]["method"]) == (readout, "grad-cam")
        maps = dermapair.load(run).explain(**pair).maps_for(readout)[view]
        np.testing.assert_allclose(np.load(out / f"{view}.npy"), maps)


def test_a_map_on_the_users_image_is_nan_where_the_network_saw_nothing(
    run: Path, pair: dict[str, Path]
) -> None:
    e = dermapair.load(run).explain(**pair)
    for view, size in (("clinical", (70, 90)), ("dermoscopic", (120, 64))):
        on_image = e.to_pixels(view, 0)
        assert on_image.shape == size
        seen = ~np.isnan(on_image)
        assert seen[size[0] // 2, size[1] // 2] and not seen[0, 0]
        box = e.boxes[view]
        if box is not None:
            assert 0 <= box[0] < box[2] <= size[1] and 0 <= box[1] < box[3] <= size[0]


@pytest.mark.parametrize("readout", ["clinical", "both"])
def test_maps_turn_with_the_image_where_the_prediction_averages_over_orientations(
    tmp_path: Path, readout: str
) -> None:
    predictor = dermapair.load(save_tiny_run(tmp_path / "run", predict={"views": 8}))
    images = np.random.default_rng(0).integers(0, 256, (2, 40, 40, 3), dtype=np.uint8)
    e = predictor.explain(clinical=images[0], dermoscopic=images[1])
    turned = [np.rot90(x[:, ::-1], 3) for x in images]
    other = predictor.explain(clinical=turned[0], dermoscopic=turned[1])
    for k in range(len(CLASSES)):
        expected = np.rot90(e.to_pixels("clinical", k, readout=readout)[:, ::-1], 3)
        found = other.to_pixels("clinical", k, readout=readout)
        np.testing.assert_allclose(found, expected, atol=1e-4 * np.nanmax(np.abs(expected)))
        assert e.top("clinical", readout=readout)[k] == pytest.approx(np.nanmax(expected), rel=1e-3)


def test_what_is_explained_is_the_prediction(run: Path, pair: dict[str, Path]) -> None:
    predictor = dermapair.load(run)
    prediction, e = predictor.predict(**pair), predictor.explain(**pair)
    for readout, logits in prediction.logits.items():
        np.testing.assert_array_equal(e.prediction.logits[readout], logits)
    for view in pair:
        bias = predictor.scorer.network.classifier(view).bias.detach().numpy()  # type: ignore[arg-type, union-attr]
        np.testing.assert_allclose(e.maps[view].mean(axis=(1, 2)) + bias, prediction.logits[view], rtol=1e-5)


def test_a_view_that_the_network_does_not_look_at_is_named(tmp_path: Path, pair: dict[str, Path]) -> None:
    e = dermapair.load(save_tiny_run(tmp_path / "one", kind="single", view="dermoscopic")).explain(**pair)
    assert set(e.maps) == {"dermoscopic"}
    assert e.warnings[0] == "clinical: not used, this network does not look at it"


def test_one_view_is_explained_alone(run: Path, pair: dict[str, Path]) -> None:
    e = dermapair.load(run).explain(clinical=pair["clinical"])
    assert set(e.maps) == set(e.boxes) == {"clinical"}
    np.testing.assert_array_equal(e.maps_for("both")["clinical"], e.maps["clinical"])
    with pytest.raises(UsageError, match=r"unknown readout of this lesion 'cross'; known: both, clinical"):
        e.maps_for("cross")


def test_explaining_leaves_the_network_as_it_was_also_after_an_error(
    run: Path, pair: dict[str, Path]
) -> None:
    predictor = dermapair.load(run)
    network = predictor.scorer.network
    network.heads[0].train()
    modes = [module.training for module in network.modules()]
    predictor.explain(**pair).maps_for("both")
    with pytest.raises(ImageError):
        predictor.explain(clinical=run / "model.json")
    hook = network.trunks[0].register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(RuntimeError("stop")))
    with pytest.raises(RuntimeError, match="stop"):
        predictor.explain(**pair)
    hook.remove()
    assert modes == [module.training for module in network.modules()]
    assert all(p.grad is None for p in network.parameters())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "expected an image for clinical or dermoscopic, got none"),
        (("--clinical", "nowhere.jpg"), "nowhere.jpg"),
    ],
)
def test_wrong_use_is_one_sentence(
    run: Path,
    arguments: tuple[str, ...],
    message: str,
    command: Command,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command("explain", run, *arguments, "--out", run.parent / "why") != 0
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert not (run.parent / "why").exists()


@pytest.fixture
def masked(tmp_path: Path) -> Path:
    """A case folder of three dermoscopic images with lesion masks."""
    table = import_cases("isic2017-masks", write_isic2017_masks(tmp_path / "set"))
    return write_cases(table, tmp_path / "cases").folder or tmp_path


def test_with_data_the_maps_are_measured_and_the_worst_and_best_drawn(
    run: Path,
    masked: Path,
    tmp_path: Path,
    command: Command,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "why"
    assert command("explain", run, "--data", masked, "--out", out) == 2
    assert "split 'test' has no lesion" in capsys.readouterr().err, "the part that training has not seen"
    assert (
        command("explain", run, "--data", masked, "--split", "all", "--faithful", 1, "--out", out, "--json")
        == 0
    )
    content = json.loads((out / "maps.json").read_text())
    printed = capsys.readouterr()
    assert json.loads(printed.out) == content and "dermoscopic  middle" in printed.err
    assert content["views"]["dermoscopic"]["n"] == 3
    assert content["faithfulness"]["dermoscopic"]["n"] == 1
    assert list(content["drawn"]) == [f"{name}_dermoscopic.png" for name in ("worst_1", "worst_2", "best_1")]
    assert {path.name for path in (out / "maps").iterdir()} == set(content["drawn"])
    overlaps = [row["box_iou"] for row in content["drawn"].values()]
    assert overlaps[0] <= overlaps[1] <= overlaps[2]
    for name in content["drawn"]:
        with Image.open(out / "maps" / name) as drawn:
            assert drawn.size == (40, 40)


def test_maps_without_evidence_are_drawn_grey_and_have_no_box(
    run: Path, masked: Path, pair: dict[str, Path], tmp_path: Path
) -> None:
    predictor = dermapair.load(run)
    with torch.no_grad():
        for head in predictor.scorer.network.heads:
            head.classifier.weight.abs_().neg_()  # features are not negative, so every map is at most 0
    table = read_cases(masked)
    content = write_maps(predictor, table, measure_maps(predictor, table), tmp_path / "maps")
    assert content["views"]["dermoscopic"]["readouts"]["own"]["without_evidence"] == 3
    write_explanation(predictor.explain(**pair), tmp_path / "why")
    pictures = [*(tmp_path / "maps").rglob("*.png"), *(tmp_path / "why").glob("*.png")]
    assert len(pictures) == 3 + 2 * len(CLASSES)
    for path in pictures:
        with Image.open(path) as drawn:
            pixels = np.asarray(drawn)
        assert (pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 1] == pixels[..., 2]).all(), path
    boxes = json.loads((tmp_path / "why" / "explanation.json").read_text())["boxes"]
    assert boxes == {"clinical": None, "dermoscopic": None}


def test_a_split_of_the_case_folder_is_measured_alone(
    run: Path, masked: Path, tmp_path: Path, command: Command
) -> None:
    assert command("explain", run, "--data", masked, "--split", "val", "--out", tmp_path / "why") == 0
    content = json.loads((tmp_path / "why" / "maps.json").read_text())
    assert (content["n_lesions"], content["split"], content["faithfulness"]) == (1, "val", {})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--data", "cases", "--clinical", "a.jpg"), "leave out --clinical, --dermoscopic and --readout"),
        (("--data", "cases", "--readout", "both"), "leave out --clinical, --dermoscopic and --readout"),
        (("--dermoscopic", "a.jpg", "--limit", "3"), "--faithful and --seed go with --data"),
        (("--data", "nowhere"), "nowhere: expected a case folder"),
    ],
)
def test_data_and_images_exclude_each_other(
    run: Path,
    arguments: tuple[str, ...],
    message: str,
    command: Command,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command("explain", run, *arguments, "--out", run.parent / "why") == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error and error.count("\n") == 1
