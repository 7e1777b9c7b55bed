"""The predictor: one lesion in any form, many from a store or from files, and its identities."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import dermapair
from dermapair.data.cases import read_cases
from dermapair.data.loose import one_lesion
from dermapair.data.store import open_store, prepare
from dermapair.errors import ImageError, UsageError
from dermapair.imaging.hair import remove_hair
from dermapair.inference.forward import evaluating
from dermapair.inference.predictor import Predictor
from dermapair.inference.scores import Scores, concatenate, softmax
from dermapair.types import VIEWS, Prediction
from imaging.hair.drawn import hairy
from inference.runs import save_tiny_run

Files = dict[str, Path]


@pytest.fixture
def predictor(run: Path) -> Predictor:
    return dermapair.load(run, device="cpu", precision="fp32")


@pytest.fixture
def files(cases: Path) -> Files:
    """Both files of one lesion."""
    table = read_cases(cases)
    for lesion in table.frame["lesion_id"].unique(maintain_order=True):
        rows = table.frame.with_row_index("row").filter(lesion_id=lesion)
        if rows["view"].to_list() == list(VIEWS):
            return {view: table.path(row) for view, row in zip(rows["view"], rows["row"], strict=True)}
    raise AssertionError


def lesion(scores: Scores, name: str) -> dict[str, np.ndarray]:
    i = scores.ids.index(name)
    return {r: p[i] for r, p in scores.probabilities.items() if not np.isnan(p[i, 0])}


def assert_equal(one: Prediction, two: Prediction, *, atol: float = 0.0) -> None:
    assert set(one.probabilities) == set(two.probabilities)
    for readout, p in one.probabilities.items():
        np.testing.assert_allclose(two.probabilities[readout], p, atol=atol, rtol=0)
        np.testing.assert_allclose(two.logits[readout], one.logits[readout], atol=10 * atol, rtol=0)


def test_a_path_a_picture_and_an_array_say_the_same(predictor: Predictor, files: Files) -> None:
    paths = predictor.predict(**files)
    pictures = predictor.predict(**{view: Image.open(path) for view, path in files.items()})
    arrays = predictor.predict(**{view: np.asarray(Image.open(path)) for view, path in files.items()})
    text = predictor.predict(**{view: str(path) for view, path in files.items()})
    for other in (pictures, arrays, text):
        assert_equal(paths, other)


def test_a_prediction_has_every_readout_and_its_logits(predictor: Predictor, files: Files) -> None:
    p = predictor.predict(**files)
    assert p.classes == predictor.classes == ("cancer", "benign", 'odd, "name"')
    assert set(p.probabilities) == set(p.logits) == {"clinical", "dermoscopic", "cross", "both"}
    for readout, probabilities in p.probabilities.items():
        assert probabilities.shape == (3,) and probabilities.dtype == np.float64
        assert probabilities.sum() == pytest.approx(1.0)
        assert softmax(p.logits[readout]) == pytest.approx(probabilities, abs=1e-12)
    mean = (
        1 * p.probabilities["clinical"] + 2 * p.probabilities["dermoscopic"] + 3 * p.probabilities["cross"]
    ) / 6
    assert p.probabilities["both"] == pytest.approx(mean)
    assert np.ptp([p.probabilities[r] for r in VIEWS], axis=0).max() > 0.01  # else nothing is tested


@pytest.mark.parametrize("view", VIEWS)
def test_with_one_view_both_is_that_readout(view: str, predictor: Predictor, files: Files) -> None:
    whole, alone = predictor.predict(**files), predictor.predict(**{view: files[view]})
    assert set(alone.probabilities) == set(alone.logits) == {view, "both"}
    assert np.array_equal(alone.probabilities["both"], alone.probabilities[view])
    assert np.array_equal(alone.logits["both"], alone.logits[view])
    assert alone.probabilities[view] == pytest.approx(whole.probabilities[view], abs=1e-6)


def test_no_view_is_wrong_use(predictor: Predictor) -> None:
    with pytest.raises(UsageError, match="expected an image for clinical or dermoscopic, got none"):
        predictor.predict()


def test_a_network_of_one_view_wants_that_view(tmp_path: Path, files: Files) -> None:
    run = save_tiny_run(tmp_path / "single", kind="single", view="dermoscopic")
    predictor = dermapair.load(run, device="cpu")
    with pytest.raises(UsageError, match="expected an image for dermoscopic, got none"):
        predictor.predict(clinical=files["clinical"])
    p = predictor.predict(**files)
    assert set(p.probabilities) == {"dermoscopic", "both"}
    assert np.array_equal(p.logits["both"], p.logits["dermoscopic"])


def test_an_image_that_cannot_be_read_is_named(predictor: Predictor, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"bad\.jpg"):
        predictor.predict(clinical=tmp_path / "bad.jpg")
    with pytest.raises(ImageError, match=r"expected an H x W x 3 array of uint8 RGB"):
        predictor.predict(clinical=np.zeros((8, 8), np.uint8))


def test_files_larger_than_the_models_own_limit_are_refused(tmp_path: Path, files: Files) -> None:
    data = {"size": 40, "input": 32, "max_pixels": 100}
    predictor = dermapair.load(save_tiny_run(tmp_path / "strict", data=data), device="cpu")
    with pytest.raises(ImageError, match="100"):
        predictor.predict(clinical=files["clinical"])


def test_the_pixels_of_the_caller_are_not_changed(predictor: Predictor, rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, size=(40, 40, 3), dtype=np.uint8)
    before = image.copy()
    predictor.predict(clinical=image, dermoscopic=image)
    assert np.array_equal(image, before)


# --- many lesions ---


def test_a_store_and_the_files_give_the_same_scores(
    predictor: Predictor, cases: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(cases, tmp_path / "copy", ignore=shutil.ignore_patterns("pixels"))
    table = read_cases(copy)
    assert open_store(table, predictor.scorer.data) is None
    files = concatenate(list(predictor.predict_cases(table)))
    prepare(table, predictor.scorer.data, workers=1)
    assert open_store(table, predictor.scorer.data) is not None
    store = concatenate(list(predictor.predict_cases(table)))
    assert store.ids == files.ids and len(store.ids) == 24
    for readout, p in files.probabilities.items():
        np.testing.assert_array_equal(store.probabilities[readout], p)


def test_hair_is_removed_in_prediction_as_in_preparation(tmp_path: Path, files: Files) -> None:
    data = {"size": 40, "input": 32}
    plain = dermapair.load(save_tiny_run(tmp_path / "plain", data=data), device="cpu", precision="fp32")
    shaved = dermapair.load(
        save_tiny_run(tmp_path / "shaved", data=data | {"hair": "oriented"}), device="cpu", precision="fp32"
    )
    Image.fromarray(hairy()[0]).save(tmp_path / "hairy.png")
    without = remove_hair(hairy()[0], "oriented").image
    assert_equal(shaved.predict(dermoscopic=tmp_path / "hairy.png"), plain.predict(dermoscopic=without))
    shown = shaved.explain(dermoscopic=tmp_path / "hairy.png").images["dermoscopic"]
    np.testing.assert_array_equal(shown, hairy()[0])  # maps are drawn over the user's own image


def test_many_and_one_say_the_same_and_batches_do_not_matter(predictor: Predictor, cases: Path) -> None:
    table = read_cases(cases)
    small = replace(
        predictor,
        scorer=replace(
            predictor.scorer, predict=predictor.scorer.predict.model_copy(update={"batch_size": 5})
        ),
    )
    whole, parts = (concatenate(list(p.predict_cases(table))) for p in (predictor, small))
    assert whole.ids == parts.ids
    for readout, p in whole.probabilities.items():
        np.testing.assert_allclose(parts.probabilities[readout], p, atol=1e-6)
        np.testing.assert_allclose(parts.logits[readout], whole.logits[readout], atol=1e-5)
    for name in whole.ids:
        rows = table.frame.with_row_index("row").filter(lesion_id=name)
        if rows["view"].n_unique() == len(rows):
            one = predictor.predict(**{r["view"]: table.path(r["row"]) for r in rows.iter_rows(named=True)})
            many = lesion(whole, name)
            assert set(many) == set(one.probabilities)
            for readout, p in many.items():
                np.testing.assert_allclose(one.probabilities[readout], p, atol=1e-5)
                np.testing.assert_allclose(
                    one.logits[readout], whole.logits[readout][whole.ids.index(name)], atol=1e-4
                )


def test_probabilities_are_the_softmax_of_logits_for_every_lesion(predictor: Predictor, cases: Path) -> None:
    scores = concatenate(list(predictor.predict_cases(read_cases(cases))))
    for readout, p in scores.probabilities.items():
        there = ~np.isnan(p[:, 0])
        assert there.any()
        np.testing.assert_allclose(softmax(scores.logits[readout][there]), p[there], atol=1e-12)
        assert np.isnan(scores.logits[readout][~there]).all()


def test_several_images_of_a_view_are_averaged_and_pairs_for_cross(predictor: Predictor, cases: Path) -> None:
    table = read_cases(cases)
    counts = table.frame.group_by("lesion_id").len().filter(len=3).sort("lesion_id")
    assert len(counts) == 3
    scores = concatenate(list(predictor.predict_cases(table)))
    for name in counts["lesion_id"]:
        rows = table.frame.with_row_index("row").filter(lesion_id=name)
        place = {v: [table.path(r) for r in rows.filter(view=v)["row"]] for v in VIEWS}
        (dermoscopic,) = place["dermoscopic"]
        each = [
            predictor.predict(clinical=c, dermoscopic=dermoscopic).probabilities for c in place["clinical"]
        ]
        want = {r: np.mean([p[r] for p in each], axis=0) for r in ("clinical", "dermoscopic", "cross")}
        want["both"] = (want["clinical"] + 2 * want["dermoscopic"] + 3 * want["cross"]) / 6
        got = lesion(scores, name)
        for readout, p in want.items():
            np.testing.assert_allclose(got[readout], p, atol=1e-6)
        assert np.abs(each[0]["clinical"] - each[1]["clinical"]).max() > 1e-4  # else nothing is tested


def test_a_bad_image_costs_that_image_only(predictor: Predictor, cases: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(cases, tmp_path / "copy", ignore=shutil.ignore_patterns("pixels"))
    table = read_cases(copy)
    before = concatenate(list(predictor.predict_cases(table)))
    pair = next(
        name
        for name in before.ids
        if "cross" in lesion(before, name) and len(table.frame.filter(lesion_id=name)) == 2
    )
    row = table.frame.with_row_index("row").filter(lesion_id=pair, view="clinical")["row"][0]
    table.path(row).write_bytes(b"no picture")
    after = concatenate(list(predictor.predict_cases(table)))
    assert [i for i, _ in after.errors] == [pair]
    assert set(lesion(after, pair)) == {"dermoscopic", "both"}
    for name in set(before.ids) - {pair}:
        one, two = lesion(before, name), lesion(after, name)
        assert set(one) == set(two)
        assert all(np.allclose(one[r], two[r], atol=1e-6) for r in one)


def test_lesions_of_diagnoses_that_the_task_drops_are_predicted_too(
    predictor: Predictor, cases: Path
) -> None:
    table = read_cases(cases)
    assert set(predictor.lesions(table).ids) == set(table.frame["lesion_id"])
    test = set(table.frame.filter(split="test")["lesion_id"])
    assert set(predictor.lesions(table, split="test").ids) == test


# --- averaged orientations ---


def turned(k: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda image: np.ascontiguousarray(np.rot90(image, k))


def mirrored(image: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(image[:, ::-1])


@pytest.mark.parametrize(
    ("views", "change", "same"),
    [
        (1, turned(1), False),
        (2, mirrored, True),
        (2, turned(1), False),
        (4, turned(1), True),
        (4, mirrored, False),
        (8, turned(1), True),
        (8, turned(3), True),
        (8, mirrored, True),
    ],
)
def test_averaged_orientations_make_the_scores_indifferent_to_them(
    views: int, change: Callable[..., np.ndarray], same: bool, tmp_path: Path, rng: np.random.Generator
) -> None:
    run = save_tiny_run(tmp_path / "tta", predict={"views": views})
    predictor = dermapair.load(run, device="cpu")
    clinical, dermoscopic = rng.integers(0, 256, size=(2, 40, 40, 3), dtype=np.uint8)
    one = predictor.predict(clinical=clinical, dermoscopic=dermoscopic)
    two = predictor.predict(clinical=change(clinical), dermoscopic=change(dermoscopic))
    difference = max(
        np.abs(one.logits[r] - two.logits[r]).max() for r in ("clinical", "dermoscopic", "cross")
    )
    assert difference < 1e-5 if same else difference > 1e-4


# --- modes, devices, precision ---


def test_scoring_restores_each_modules_mode(predictor: Predictor, files: Files) -> None:
    network = predictor.scorer.network
    network.train()
    network.trunks[0].eval()
    before = [m.training for m in network.modules()]
    predictor.predict(**files)
    assert [m.training for m in network.modules()] == before


def test_modes_are_restored_after_an_error_too(predictor: Predictor, files: Files) -> None:
    network = predictor.scorer.network
    network.train()
    network.heads[0].eval()
    before = [m.training for m in network.modules()]
    seen = []

    def fail(*_: object) -> None:
        seen.append(any(m.training for m in network.modules()))
        raise RuntimeError("planted")

    handle = network.trunks[0].register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="planted"):
        predictor.predict(**files)
    handle.remove()
    assert seen == [False]
    assert [m.training for m in network.modules()] == before


def test_evaluating_nests(predictor: Predictor) -> None:
    network = predictor.scorer.network.train()
    with evaluating(network), evaluating(network):
        assert not network.training
    assert all(m.training for m in network.modules())


def test_predicting_leaves_no_gradients(predictor: Predictor, files: Files) -> None:
    predictor.predict(**files)
    assert all(p.grad is None for p in predictor.scorer.network.parameters())
    assert torch.is_grad_enabled()


def test_unknown_devices_and_precisions_are_refused(run: Path) -> None:
    with pytest.raises(UsageError, match="precision: expected auto, fp32 or bf16, got 'fp16'"):
        dermapair.load(run, precision="fp16")
    with pytest.raises(UsageError, match="device: expected auto, cpu or cuda, got 'gpu'"):
        dermapair.load(run, device="gpu")


def test_half_precision_is_near_full_precision(run: Path, files: Files) -> None:
    full, half = (dermapair.load(run, device="cpu", precision=p).predict(**files) for p in ("fp32", "bf16"))
    for readout, p in full.probabilities.items():
        np.testing.assert_allclose(half.probabilities[readout], p, atol=0.05)
    assert not np.array_equal(half.logits["cross"], full.logits["cross"])


@pytest.mark.parametrize("device", ["meta", "xla", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(run: Path, device: str) -> None:
    with pytest.raises(UsageError, match=f"device: '{device}' is not on this machine .*; take cpu or auto"):
        dermapair.load(run, device=device)


# --- views ---


def test_swapped_views_leave_share_nets_both_and_exchange_its_readouts(tmp_path: Path, cases: Path) -> None:
    equal = {"clinical": 1.0, "dermoscopic": 1.0}
    predictor = dermapair.load(
        save_tiny_run(tmp_path / "share", kind="share", combine_weights=equal), device="cpu", precision="fp32"
    )
    table = read_cases(cases)
    plain, swapped = (
        concatenate(list(predictor.predict_cases(table, swap_views=swap))) for swap in (False, True)
    )
    assert swapped.ids == plain.ids
    for readout, other in (("both", "both"), ("clinical", "dermoscopic"), ("dermoscopic", "clinical")):
        np.testing.assert_allclose(swapped.probabilities[readout], plain.probabilities[other], atol=1e-6)
    assert np.nanmax(np.abs(plain.probabilities["clinical"] - plain.probabilities["dermoscopic"])) > 0.01


def test_swapped_views_change_a_network_with_a_part_for_each(tmp_path: Path, cases: Path) -> None:
    predictor = dermapair.load(save_tiny_run(tmp_path / "sole", kind="sole"), device="cpu", precision="fp32")
    plain, swapped = (
        concatenate(list(predictor.predict_cases(read_cases(cases), split="test", swap_views=swap)))
        for swap in (False, True)
    )
    assert np.nanmax(np.abs(plain.probabilities["both"] - swapped.probabilities["both"])) > 0.01


def test_a_network_of_one_view_has_none_to_swap(tmp_path: Path, cases: Path) -> None:
    predictor = dermapair.load(save_tiny_run(tmp_path / "single", kind="single"), device="cpu")
    with pytest.raises(UsageError, match="expected a network of two views, got one of dermoscopic"):
        next(predictor.predict_cases(read_cases(cases), swap_views=True))


def test_lesions_without_any_image_of_the_networks_view_are_refused(tmp_path: Path, files: Files) -> None:
    predictor = dermapair.load(save_tiny_run(tmp_path / "single", kind="single"), device="cpu")
    table = one_lesion(clinical=files["clinical"], dermoscopic=None)
    with pytest.raises(UsageError, match="expected a dermoscopic image, .* got only clinical ones; give one"):
        predictor.lesions(table)
