"""Where the weights of a backbone come from: a local folder, a download, a path, or nowhere on purpose.

`auto` never ends in random weights: it takes the file of the backbone's name in the folder that the
environment variable DERMAPAIR_WEIGHTS names, else the library's download, else it stops and says what to
fetch and where to put it.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

import timm
import torchvision
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from dermapair.errors import RecipeError, WeightsError

WEIGHTS_FOLDER = "DERMAPAIR_WEIGHTS"


def find_weights(name: str, weights: str) -> Path | None:
    """Return the local file of a backbone's weights, or None where there is none.

    Args:
        name: the backbone.
        weights: "auto" (look in the folder DERMAPAIR_WEIGHTS for NAME.safetensors or
            NAME_features.safetensors) or a path.

    Raises:
        WeightsError: a path was given and it is no safetensors file, or not there.
    """
    if weights != "auto":
        path = Path(weights)
        if path.suffix != ".safetensors":
            raise WeightsError(
                f"network.weights: expected auto, none or a .safetensors file, got {weights!r}; convert it: "
                f"files of other kinds may run code when read"
            )
        if not path.is_file():
            raise WeightsError(f"network.weights: expected auto, none or a file, but {path} is not there")
        return path
    folder = os.environ.get(WEIGHTS_FOLDER)
    candidates = [Path(folder) / f"{name}{end}.safetensors" for end in ("", "_features")] if folder else []
    return next((path for path in candidates if path.is_file()), None)


def load_timm(name: str, weights: str) -> OrderedDict[str, nn.Module]:
    """Return the units of a timm backbone, by name, in the order in which they run."""
    return _units(create_timm(name, weights))


def create_timm(name: str, weights: str, *, whole: bool = False) -> Any:
    """Return timm's feature extractor, or with `whole` its network, with weights as asked."""
    file = None if weights == "none" else find_weights(name, weights)
    overlay = {"file": str(file)} if file else None
    try:
        net: nn.Module = timm.create_model(
            name, features_only=not whole, pretrained=weights != "none", pretrained_cfg_overlay=overlay
        )
    except (SafetensorError, RuntimeError, KeyError) as error:
        if weights == "none":
            raise RecipeError(f"backbone {name!r} cannot be taken apart into stages: {error}") from error
        if file is None:
            raise _missing(name, error) from error
        raise WeightsError(f"{file}: these weights do not fit {name}: {error}") from error
    except Exception as error:
        if file or weights == "none":
            raise
        raise _missing(name, error) from error
    if file:
        _check_covered(net, file, name)
    return net


def _check_covered(net: nn.Module, file: Path, name: str) -> None:
    """Refuse a file that leaves tensors of a network random: timm itself takes whatever names it finds."""
    with safe_open(file, "pt") as tensors:
        keys = list(tensors.keys())
    given = {key.replace("_", ".") for key in keys}  # a feature extractor joins names with _
    wanted = [key for key in net.state_dict() if not key.endswith("num_batches_tracked")]
    missing = [key for key in wanted if key.replace("_", ".") not in given]
    if missing:
        raise WeightsError(
            f"{file}: these weights do not fit {name}: {len(missing)} of {len(wanted)} tensors are missing, "
            f"for example {missing[:2]}; put the weights of {name} there, with timm's names"
        )


def feature_info(net: nn.Module) -> list[dict[str, Any]]:
    """Return what timm says of each stage: module, channels, stride."""
    info: Any = net.feature_info
    stages: list[dict[str, Any]] = info.get_dicts()
    return stages


def _units(net: nn.Module) -> OrderedDict[str, nn.Module]:
    """Flatten a feature extractor to the modules that `feature_info` names, and those between them."""
    taken = {entry["module"].replace(".", "_") for entry in feature_info(net)}
    units: OrderedDict[str, nn.Module] = OrderedDict()
    for name, child in net.named_children():
        inner = {f"{name}_{key}": module for key, module in child.named_children()}
        if isinstance(child, nn.Sequential) and taken & set(inner):
            units.update(inner)
        else:
            units[name] = child
    return units


def load_torchvision(net: nn.Module, name: str, weights: str, *, optional: str) -> None:
    """Fill a torchvision network in place; keys that start with `optional` may be absent from the file."""
    if weights == "none":
        return
    file = find_weights(name, weights)
    try:
        state = load_file(file) if file else _download_torchvision(name)
    except SafetensorError as error:
        raise WeightsError(f"{file}: expected a safetensors file, but {error}; fetch it again") from error
    wanted = net.state_dict()
    missing = [key for key in wanted if key not in state and not key.startswith(optional)]
    wrong = [key for key in state if key in wanted and state[key].shape != wanted[key].shape]
    if missing or wrong:
        raise WeightsError(
            f"{file or name}: these weights do not fit {name}: {len(missing)} tensors are missing, for "
            f"example {missing[:2]}, {len(wrong)} have another shape, for example {wrong[:2]}"
        )
    net.load_state_dict({key: value for key, value in state.items() if key in wanted}, strict=False)


def _download_torchvision(name: str) -> dict[str, Tensor]:
    """Return torchvision's own weights."""
    try:
        state: dict[str, Any] = dict(
            torchvision.models.get_model_weights(name)["DEFAULT"].get_state_dict(progress=False)
        )
    except (OSError, RuntimeError) as error:  # RuntimeError: the digest of the download is wrong
        raise _missing(name, error) from error
    return state


def _missing(name: str, error: Exception) -> WeightsError:
    """Return the error that says what to fetch and where to put it."""
    reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    return WeightsError(
        f"no ImageNet weights for {name}: there is no {name}.safetensors in the folder that "
        f"{WEIGHTS_FOLDER} names ({os.environ.get(WEIGHTS_FOLDER) or 'not set'}), and the download failed "
        f"({reason}); put the file there, give network.weights a path, or set network.weights=none to "
        f"start from random weights"
    )
