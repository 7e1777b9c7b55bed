"""Model files: what they hold, and what is refused."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import dermapair
from dermapair.errors import RunError
from dermapair.inference import model as module
from dermapair.inference.model import load_model, read_facts, save_model
from dermapair.models import build_network
from inference.runs import CLASSES, save_tiny_run, tiny_facts
from models.tiny import tiny_network

CPU = torch.device("cpu")


def test_a_model_comes_back_as_it_was(tmp_path: Path) -> None:
    facts = tiny_facts()
    network = build_network(facts.network, len(CLASSES))
    save_model(tmp_path, network, facts)
    scorer, back = load_model(tmp_path, device=CPU, precision="fp32")
    assert back == facts
    assert scorer.classes == CLASSES and scorer.weights == facts.combine_weights
    state = scorer.network.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert not any(m.training for m in scorer.network.modules())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.json", "model.safetensors"]


def test_the_files_are_json_and_tensors(run: Path) -> None:
    facts = json.loads((run / "model.json").read_text(encoding="utf-8"))
    assert facts["classes"] == list(CLASSES) and facts["schema_version"] == 1
    assert all(isinstance(t, torch.Tensor) for t in load_file(run / "model.safetensors").values())


def test_nothing_is_unpickled(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a model file was unpickled")

    monkeypatch.setattr(torch, "load", refuse)
    monkeypatch.setattr(pickle, "load", refuse)
    monkeypatch.setattr(pickle, "loads", refuse)
    assert dermapair.load(run, device="cpu").classes == CLASSES


def test_the_random_state_of_the_caller_is_left_alone(run: Path) -> None:
    before = torch.get_rng_state()
    dermapair.load(run, device="cpu")
    assert torch.equal(torch.get_rng_state(), before)


def facts_of(run: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    facts = json.loads((run / "model.json").read_text(encoding="utf-8"))
    change(facts)
    (run / "model.json").write_text(json.dumps(facts), encoding="utf-8")


def tensors_of(run: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    tensors = load_file(run / "model.safetensors")
    change(tensors)
    save_file(tensors, run / "model.safetensors")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.pop("classes"), "damaged or of another version"),
        (lambda f: f.update(schema_version=2), "damaged or of another version"),
        (lambda f: f.update(run="os.system('true')"), "damaged or of another version"),
        (lambda f: f["network"].update(kind="quadruple"), "damaged or of another version"),
        (
            lambda f: f["network"].update(backbone="nothing"),
            "a network that cannot be built: unknown backbone",
        ),
        (
            lambda f: f["network"].update(kind="sole"),
            "expected combine_weights of clinical, dermoscopic, got",
        ),
        (lambda f: f["network"].update(tap="stage-1"), "weights do not fit model.json"),
        (lambda f: f["classes"].append("more"), "weights do not fit model.json"),
        (
            lambda f: f["combine_weights"].pop("cross"),
            "expected combine_weights of clinical, dermoscopic, cross",
        ),
    ],
)
def test_a_changed_description_is_refused(change: Callable[..., Any], said: str, run: Path) -> None:
    facts_of(run, change)
    with pytest.raises(RunError, match=said):
        dermapair.load(run, device="cpu")


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.pop("heads.0.classifier.bias"),
        lambda t: t.update(extra=torch.zeros(1)),
        lambda t: t.update({"heads.0.classifier.bias": torch.zeros(5)}),
    ],
)
def test_weights_that_do_not_fit_are_refused(change: Callable[..., Any], run: Path) -> None:
    tensors_of(run, change)
    with pytest.raises(RunError, match=r"model\.safetensors: these weights do not fit model\.json"):
        dermapair.load(run, device="cpu")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe\x00", b"null"])
def test_a_damaged_description_is_refused(content: bytes, run: Path) -> None:
    (run / "model.json").write_bytes(content)
    with pytest.raises(RunError, match=r"model\.json: damaged or of another version"):
        read_facts(run)


@pytest.mark.parametrize("keep", [0, 7, 1000])
def test_damaged_weights_are_refused(keep: int, run: Path) -> None:
    data = (run / "model.safetensors").read_bytes()
    (run / "model.safetensors").write_bytes(data[:keep])
    with pytest.raises(RunError, match=r"model\.safetensors: damaged"):
        dermapair.load(run, device="cpu")


def test_missing_files_are_named(run: Path, tmp_path: Path) -> None:
    (run / "model.safetensors").unlink()
    with pytest.raises(RunError, match=r"model\.safetensors: expected the weights there; copy the whole"):
        dermapair.load(run, device="cpu")
    (run / "model.json").unlink()
    for place in (run, tmp_path / "nowhere"):
        with pytest.raises(RunError, match=r"expected a run with model\.json"):
            dermapair.load(place, device="cpu")


def test_a_file_is_no_run(run: Path) -> None:
    with pytest.raises(RunError, match=r"expected a run with model\.json"):
        dermapair.load(run / "model.safetensors", device="cpu")


def test_a_full_disk_leaves_the_model_that_was_there(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (run / "model.safetensors").read_bytes()

    def full(state: object, path: Path, **_: object) -> None:
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(module, "save_file", full)
    with pytest.raises(RunError, match="could not be written .No space left on device.; free space"):
        save_model(run, tiny_network("triple"), tiny_facts())
    assert (run / "model.safetensors").read_bytes() == before
    assert sorted(p.name for p in run.iterdir()) == ["model.json", "model.safetensors"]


def test_a_disk_that_is_full_at_the_description_leaves_the_old_one(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (run / "model.json").read_bytes()

    def full(path: Path, content: str) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(module, "write_whole", full)
    with pytest.raises(RunError, match="could not be written .No space left on device"):
        save_model(run, tiny_network("triple"), tiny_facts(recipe="other"))
    assert (run / "model.json").read_bytes() == before


def test_a_model_saved_twice_is_the_last_one(run: Path, tmp_path: Path) -> None:
    other = save_tiny_run(tmp_path / "other", seed=1)
    scorer, facts = load_model(other, device=CPU, precision="fp32")
    save_model(run, scorer.network, facts)
    assert (run / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()
