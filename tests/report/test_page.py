"""What a person who opens the report of a run must find in it, and what must not be there."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest

from dermapair.errors import RunError
from dermapair.inference.model import weights_digest
from dermapair.report import write_report
from report.run_folder import CLASSES, LABELS, make_run, manifest

VOID = {"meta", "br", "wbr", "link", "img", "hr", "input", "col"}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = make_run(tmp_path_factory.mktemp("runs") / "run")
    write_report(folder)
    return folder


@pytest.fixture(scope="module")
def page(run) -> str:
    return (run / "report.html").read_text(encoding="utf-8")


@pytest.fixture
def own(run, tmp_path) -> Path:
    """A copy of the run that a test may change."""
    return Path(shutil.copytree(run, tmp_path / "run"))


def changed_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


class Elements(HTMLParser):
    """Collects start tags, visible text, and tags that are not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.texts.append(data)


@pytest.fixture(scope="module")
def elements(page) -> Elements:
    parser = Elements()
    parser.feed(page)
    return parser


def text_of(page: str) -> str:
    parser = Elements()
    parser.feed(page)
    return re.sub(r"\s+", " ", " ".join(parser.texts))


# --- numbers ---


def test_every_metric_of_every_readout_stands_there_with_its_interval(run, page):
    text = text_of(page)
    for result in json.loads((run / "results.json").read_text(encoding="utf-8"))["readouts"].values():
        for m in (entry for entry in result.values() if isinstance(entry, dict) and "value" in entry):
            assert f"{m['value']:.3f} [{m['low']:.3f}, {m['high']:.3f}]" in text


def test_every_class_stands_there_with_count_recall_and_auc(run, page):
    text = text_of(page)
    per_class = json.loads((run / "results.json").read_text(encoding="utf-8"))["readouts"]["both"][
        "per_class"
    ]
    for name in CLASSES[:2]:
        entry = per_class[name]
        low, high = entry["recall_interval"]
        assert f" {entry['n']} {entry['found']} {entry['recall']:.3f} [{low:.3f}, {high:.3f}]" in text
        assert f"{entry['auc']:.3f} [{entry['auc_interval'][0]:.3f}, {entry['auc_interval'][1]:.3f}]" in text


def test_a_class_without_cases_is_not_defined_instead_of_zero(page):
    assert "absent 0 0 not defined not defined not defined not defined not defined" in text_of(page)
    assert "No case at all: absent." in text_of(page)


def test_no_figure_is_drawn_as_nan_or_none(page):
    assert not re.search(r"\b(nan|None|NaN)\b", page)


def test_the_headline_compares_with_naming_the_most_common_class(page):
    assert "Always answering nevus, the most common class, would be right for 83.3%." in text_of(page)


def test_the_bayes_limit_and_the_share_reached_are_shown_for_drawn_lesions(run, page):
    both = json.loads((run / "results.json").read_text(encoding="utf-8"))["readouts"]["both"]
    value = both["accuracy"]["value"]
    assert f"both {value:.3f} 0.900 {value / 0.9:.3f}" in text_of(page)


def test_a_bayes_limit_of_other_classes_is_not_shown(own):
    changed_json(own / "model.json", diagnoses=[*CLASSES, "further"])
    assert "Bayes" not in write_report(own).read_text(encoding="utf-8")


def test_confusion_counts_add_up_to_the_lesions_of_all_readouts(page):
    counts = re.findall(r'style="--share:[\d.]+">(\d+)</td>', page)
    assert sum(map(int, counts)) == 4 * len(LABELS)


def test_mistakes_are_wrong_and_sorted_by_confidence(run, page):
    frame = pl.read_parquet(run / "predictions.parquet").filter(
        pl.col("split") == "test", pl.col("readout") == "both"
    )
    p = frame.select(CLASSES).to_numpy()
    wrong = [i for i in p.max(axis=1).argsort()[::-1] if CLASSES[p[i].argmax()] != frame["truth"][int(i)]]
    listed = re.search(r'id="mistakes".*?</section>', page, re.DOTALL)[0]
    assert re.findall(r"lesion_\d+", listed) == [frame["lesion_id"][int(i)] for i in wrong[:15]]


# --- limits ---


def test_limits_name_thin_classes_missing_views_and_unreadable_images(page):
    text = text_of(page)
    assert "fewer than 20: <b>x</b> (6)" in text
    assert "3 without a clinical image" in text
    assert "2 images could not be read" in text
    assert "One training, with seed 7." in text


def test_many_thin_classes_are_counted_instead_of_listed(own, monkeypatch):
    monkeypatch.setattr("dermapair.report.limits.MOST_NAMED", 0)
    text = text_of(write_report(own).read_text(encoding="utf-8"))
    assert "1 of 3 classes, the rarest being <b>x</b> (6)" in text


def test_results_on_validation_are_called_flattering(own):
    changed_json(own / "results.json", split="val")
    assert "they flatter the network" in write_report(own).read_text(encoding="utf-8")


# --- safe to pass on ---


def test_class_names_are_escaped(page):
    assert "<b>x</b>" not in page
    assert "&lt;b&gt;x&lt;/b&gt;" in page


def test_nothing_is_loaded_from_outside(page, elements):
    assert "http://" not in page
    assert "https://" not in page
    assert "@import" not in page
    assert "url(" not in page.replace("url(#", "")
    for tag, attrs in elements.tags:
        assert tag not in ("script", "link", "iframe", "img")
        assert all((attrs.get(key) or "#").startswith("#") for key in ("src", "href", "xlink:href"))


def test_every_picture_says_what_it_shows(elements):
    pictures = [attrs for tag, attrs in elements.tags if tag == "svg"]
    assert len(pictures) > 5
    assert all(attrs.get("aria-label") and attrs.get("role") == "img" for attrs in pictures)


def test_every_element_is_closed_in_order(elements):
    assert elements.open == []


def test_no_folder_of_the_user_is_named(page):
    assert "/home" not in page
    assert "secret" not in page
    assert "a b/" not in page
    assert "net.safetensors" in page
    assert "pic.jpg: empty" in page
    assert "&#39;cases one&#39;" in page


def test_every_table_scrolls_in_its_own_container(page):
    assert page.count("<table") == len(re.findall(r'<div class="scroll"[^>]*>\s*<table', page))


# --- writing ---


def test_the_manifest_may_be_handed_over_before_it_is_written(tmp_path, page):
    run = make_run(tmp_path / "run", finished=False)
    path = write_report(run, manifest=manifest())
    assert path == run / "report.html"
    assert path.read_text(encoding="utf-8") == page
    assert not (run / "manifest.json").exists()


def test_an_unfinished_run_is_refused(tmp_path):
    run = make_run(tmp_path / "run", finished=False)
    with pytest.raises(RunError, match=r"expected a finished run with manifest\.json"):
        write_report(run)
    assert not (run / "report.html").exists()


@pytest.mark.parametrize("name", ["results.json", "predictions.parquet"])
@pytest.mark.parametrize(("content", "what"), [(b"broken", "it is damaged"), (None, "it is not there")])
def test_a_damaged_run_is_refused_and_the_old_report_stays(own, name, content, what):
    (own / name).unlink()
    if content:
        (own / name).write_bytes(content)
    before = (own / "report.html").read_bytes()
    with pytest.raises(RunError, match=f"{name}: expected this file of the run, but {what}"):
        write_report(own)
    assert (own / "report.html").read_bytes() == before


def test_a_failed_write_leaves_the_old_report_whole(own, monkeypatch):
    before = (own / "report.html").read_bytes()

    def full(self, *args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="disk full"):
        write_report(own)
    assert (own / "report.html").read_bytes() == before
    assert not list(own.glob("*.tmp")) + list(own.glob(".*.tmp"))


def test_a_run_without_a_journal_has_a_report_without_curves(own):
    (own / "journal.jsonl").unlink()
    assert "Learning rate</strong>" not in write_report(own).read_text(encoding="utf-8")


def test_the_commands_name_the_run_s_own_split_and_size(page):
    assert "dermapair data split &#39;cases one&#39; --val 0.2 --test 0.3 --seed 5" in page
    assert "dermapair data prepare &#39;cases one&#39; --size 256" in page


@pytest.mark.parametrize(
    ("data", "commands"),
    [
        (
            {"phantom": {"lesions": 72, "seed": 4, "size_px": 128}},
            ["import phantom - --lesions 72 --seed 4 --size 128 --out", "--seed 5\n"],
        ),
        (
            {"split": {"val": 0.2, "test": 1 / 3, "seed": 5, "folds": 3, "fold": 1}},
            ["--val 0.2 --folds 3 --fold 1 --seed 5\n"],
        ),
        (
            {"adapter": "milk10k", "split": {"val": 0.2, "test": 0.3, "seed": 5, "force": True,
             "duplicates": False}},
            ["import milk10k ROOT --out", "--seed 5 --force --no-duplicates\n"],
        ),
        (
            {"split": {"val": 0.2, "test": 0.3, "seed": 5, "force": False, "duplicates": True}},
            ["--val 0.2 --test 0.3 --seed 5\n"],
        ),
    ],
)  # fmt: skip
def test_the_commands_make_the_same_lesions_and_the_same_split(own, data, commands):
    changed_json(own / "manifest.json", data=manifest()["data"] | data)
    page = write_report(own).read_text(encoding="utf-8")
    for command in commands:
        assert command in page


def test_no_split_of_ones_own_is_no_command(own):
    changed_json(own / "manifest.json", data=manifest()["data"] | {"split": None})
    assert "dermapair data split" not in write_report(own).read_text(encoding="utf-8")


# --- maps ---


def interval_of(value: float | None) -> dict[str, float | None]:
    return {"value": value, "low": value and value - 0.1, "high": value and value + 0.1}


def test_measured_maps_stand_beside_their_baselines_with_what_they_cannot_show(own):
    figures = {
        key: interval_of(v) for key, v in (("pointing_game", 0.8), ("mass_inside", None), ("box_iou", 0.4))
    }
    view = {
        "n": 40,
        "baselines": {"chance": figures, "middle": {k: figures[k] for k in ("pointing_game", "box_iou")}},
        "readouts": {"own": {"n": 40, **figures}, "cross": {"n": 39, **figures}},
    }
    orders = {"map": interval_of(0.2), "shuffled": interval_of(0.6), "middle": interval_of(0.5)}
    curves = {c: {**orders, "over": {"shuffled": interval_of(-0.4)}} for c in ("deletion", "insertion")}
    randomised = {level: interval_of(0.05) for level in ("classifier", "last_half", "everything", "shuffled")}
    faithfulness = {"clinical": {"n": 7, **curves, "randomised": randomised}}
    (own / "model.safetensors").write_bytes(b"weights")
    maps = {
        "weights": weights_digest(own),
        "n_lesions": 41,
        "adapter": "csv",
        "split": "test",
        "views": {"clinical": view},
        "faithfulness": faithfulness,
    }
    (own / "maps.json").write_text(json.dumps(maps), encoding="utf-8")
    text = text_of(write_report(own).read_text(encoding="utf-8"))
    assert "Are the maps true?" in text and "on 41 lesions of csv" in text and "cannot show" in text
    assert "clinical a constant map 40 0.800 [0.700, 0.900] not defined 0.400 [0.300, 0.500]" in text
    assert "clinical the middle of the image 40 0.800 [0.700, 0.900] – 0.400" in text
    assert "clinical maps of cross 39 0.800" in text
    assert "clinical 7 0.200 [0.100, 0.300] 0.600 [0.500, 0.700] 0.500 [0.400, 0.600] 0.200" in text


def test_maps_of_other_weights_are_refused(own):
    (own / "model.safetensors").write_bytes(b"weights")
    (own / "maps.json").write_text(json.dumps({"weights": weights_digest(own)}), encoding="utf-8")
    (own / "model.safetensors").write_bytes(b"others")
    with pytest.raises(
        RunError, match=r"maps\.json: expected maps of this run's weights, got those of another"
    ):
        write_report(own)


def test_a_run_without_measured_maps_says_nothing_of_them(page):
    assert "Are the maps true?" not in page and "#maps" not in page


# --- two stages, and a challenge ---


def test_the_last_epoch_kept_is_not_called_chosen(own):
    text = (own / "recipe.toml").read_text(encoding="utf-8")
    (own / "recipe.toml").write_text(text.replace('keep = "best"', 'keep = "last"'), encoding="utf-8")
    changed_json(own / "results.json", split="val")
    page = write_report(own).read_text(encoding="utf-8")
    assert "no epoch was chosen by the validation lesions" in page and "flatter the network" not in page


def test_two_stages_stand_beside_each_other_with_their_differences(own):
    readouts = json.loads((own / "results.json").read_text(encoding="utf-8"))["readouts"]
    gain = {key: {"value": 0.0123, "low": -0.01, "high": 0.04, "p_value": 0.2} for key in readouts["both"]}
    stages = dict.fromkeys(("stage1", "stage2", "mean"), readouts)
    stages["differences"] = {name: {"both": gain} for name in ("stage2 - stage1", "mean - stage1")}
    changed_json(own / "results.json", stages=stages)
    text = text_of(write_report(own).read_text(encoding="utf-8"))
    for words in (
        "stage 1: the whole image",
        "mean minus stage 1",
        "this run says what stage 2 says",
        "0.012",
    ):
        assert words in text


def test_the_challenges_figures_have_a_table_of_their_own(own):
    results = json.loads((own / "results.json").read_text(encoding="utf-8"))
    results["readouts"]["both"].pop("isic2017", None)
    names = [f"{c}_{k}" for c in ("melanoma", "seborrheic_keratosis", "mean") for k in ("auc", "sensitivity")]
    entry = {"value": 0.8768, "low": 0.8, "high": 0.9}
    figures = dict.fromkeys(names, entry) | {"mean_auc": dict.fromkeys(entry)}
    results["readouts"]["both"]["isic2017"] = figures
    changed_json(own / "results.json", readouts=results["readouts"])
    text = text_of(write_report(own).read_text(encoding="utf-8"))
    assert "As the ISIC 2017 challenge scored" in text and text.count("0.877") == 5


def test_a_run_of_one_stage_says_nothing_of_stages(page):
    assert "Each of two stages" not in page and "ISIC 2017 challenge" not in page
