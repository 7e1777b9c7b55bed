"""Where a backbone's weights come from: the file that was meant, or a sentence; never silently random."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from safetensors.torch import load_file, save_file

from dermapair.errors import RecipeError, WeightsError
from dermapair.models import build_trunk
from dermapair.models import weights as weights_module
from dermapair.models.trunk import Trunk

NAMES = ("resnet10t", "squeezenet1_1")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of weights, with every download failing at once."""

    def no_network(*args: Any, **kwargs: Any) -> None:
        raise OSError("no route to host")

    builder = timm.models._builder
    for name in ("load_state_dict_from_hf", "load_state_dict_from_url", "load_custom_from_hf"):
        monkeypatch.setattr(builder, name, no_network)
    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", no_network)
    monkeypatch.setenv("DERMAPAIR_WEIGHTS", str(tmp_path))
    return tmp_path


def network_of(name: str) -> torch.nn.Module:
    """The library's own network, seeded, whose state is what its weights file holds."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        if name == "squeezenet1_1":
            return torchvision.models.squeezenet1_1()
        return timm.create_model(name)


@cache
def _state(name: str) -> dict[str, torch.Tensor]:
    return network_of(name).state_dict()


def state_of(name: str) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in _state(name).items()}


def same_as_file(trunk: Trunk, file: Path) -> bool:
    """Whether every tensor of a trunk is one of the file."""
    values = [v for v in load_file(file).values() if v.is_floating_point()]
    return all(
        any(v.shape == mine.shape and torch.equal(v, mine) for v in values)
        for mine in trunk.units.state_dict().values()
        if mine.is_floating_point()
    )


@pytest.mark.parametrize("name", NAMES)
def test_auto_takes_the_file_of_the_backbones_name(name: str, folder: Path) -> None:
    save_file(state_of(name), folder / f"{name}.safetensors")
    assert same_as_file(build_trunk(name), folder / f"{name}.safetensors")


def test_auto_takes_a_file_of_the_features_alone(folder: Path) -> None:
    state = {k: v for k, v in state_of("squeezenet1_1").items() if k.startswith("features.")}
    save_file(state, folder / "squeezenet1_1_features.safetensors")
    trunk = build_trunk("squeezenet1_1")
    assert same_as_file(trunk, folder / "squeezenet1_1_features.safetensors")
    assert torch.equal(trunk.units[0].weight, state["features.0.weight"])


@pytest.mark.parametrize("name", NAMES)
def test_a_path_is_taken_as_it_is(name: str, folder: Path) -> None:
    path = folder / "mine.safetensors"
    save_file(state_of(name), path)
    assert same_as_file(build_trunk(name, weights=str(path)), path)


@pytest.mark.parametrize("name", [*NAMES, "vgg16", "googlenet"])
def test_missing_weights_say_what_to_fetch_and_where(name: str, folder: Path) -> None:
    said = rf"no ImageNet weights for {name}: there is no {name}\.safetensors in the folder that "
    with pytest.raises(
        WeightsError, match=said + rf"DERMAPAIR_WEIGHTS names \({folder}\).*put the file there"
    ):
        build_trunk(name)


def test_a_folder_that_is_not_set_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DERMAPAIR_WEIGHTS")
    with pytest.raises(WeightsError, match=r"DERMAPAIR_WEIGHTS names \(not set\)"):
        build_trunk("squeezenet1_1")


def drop_half(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return dict(list(state.items())[::2])


def widen(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key: torch.zeros((*value.shape, 1)) for key, value in state.items()}


def rename(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"model.{key}": value for key, value in state.items()}


@pytest.mark.parametrize("spoil", [drop_half, widen, rename])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore")  # timm warns on its own account before we refuse
def test_a_file_of_another_network_is_refused(
    name: str, spoil: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]], folder: Path
) -> None:
    save_file(spoil(state_of(name)), folder / f"{name}.safetensors")
    with pytest.raises(WeightsError, match=rf"{name}\.safetensors: these weights do not fit {name}"):
        build_trunk(name)


@pytest.mark.parametrize("content", [b"", b"abc", bytes(100)])
@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_file_is_refused(name: str, content: bytes, folder: Path) -> None:
    (folder / f"{name}.safetensors").write_bytes(content)
    with pytest.raises(WeightsError, match=rf"{name}\.safetensors"):
        build_trunk(name)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_may_run_code_is_not_read(name: str, folder: Path) -> None:
    class Dangerous:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (folder / "ran",)

    for suffix in ("pt", "pth", "bin"):
        (folder / f"weights.{suffix}").write_bytes(pickle.dumps(Dangerous()))
        with pytest.raises(WeightsError, match=r"expected auto, none or a \.safetensors file"):
            build_trunk(name, weights=str(folder / f"weights.{suffix}"))
    assert not (folder / "ran").exists()


@pytest.mark.parametrize("name", NAMES)
def test_a_path_that_is_not_there_is_named(name: str, folder: Path) -> None:
    with pytest.raises(WeightsError, match=r"nowhere\.safetensors is not there"):
        build_trunk(name, weights=str(folder / "nowhere.safetensors"))


@pytest.mark.parametrize("name", NAMES)
def test_none_reads_nothing(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_file(state_of(name), folder / f"{name}.safetensors")

    def read(*args: Any) -> None:
        raise AssertionError("a file was read")

    monkeypatch.setattr(weights_module, "find_weights", read)
    monkeypatch.setattr(weights_module, "load_file", read)
    assert not same_as_file(build_trunk(name, weights="none"), folder / f"{name}.safetensors")


@pytest.mark.parametrize("name", NAMES)
def test_auto_is_never_random(name: str, folder: Path) -> None:
    save_file(state_of(name), folder / f"{name}.safetensors")
    one, two = build_trunk(name).state_dict(), build_trunk(name).state_dict()
    assert all(torch.equal(value, two[key]) for key, value in one.items())
    a, b = (build_trunk(name, weights="none").state_dict() for _ in range(2))
    assert not all(torch.equal(value, b[key]) for key, value in a.items())


def test_a_network_that_cannot_be_taken_apart_is_not_called_missing_weights(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("features_only not implemented")

    monkeypatch.setattr(weights_module.timm, "create_model", fail)
    with pytest.raises(
        RecipeError, match=r"'resnet10t' cannot be taken apart into stages: features_only not"
    ):
        weights_module.create_timm("resnet10t", "none")
