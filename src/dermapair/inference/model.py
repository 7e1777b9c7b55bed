"""The model files of a run: `model.safetensors` with weights, `model.json` with everything else.

Reading them never runs code. Preprocessing and class order are part of the file, so serving cannot drift
from training.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal

import torch
from pydantic import BaseModel, ConfigDict
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from dermapair.config import CropSettings, DataSettings, NetworkSettings, PredictSettings
from dermapair.config.files import write_whole
from dermapair.data.task import Task
from dermapair.errors import RecipeError, RunError
from dermapair.inference.decisions import Calibration, ConformalSet, OperatingPoint, OutsideRule
from dermapair.inference.forward import Scorer
from dermapair.inference.ood import load_outside
from dermapair.models import PairNet, Trunk, build_network

SCHEMA_VERSION: Final = 1
STAGE_ONE: Final = "stage_one."
"""Begins the names of stage one's weights in the file of a run of two stages."""


class ModelFacts(BaseModel):
    """What `model.json` holds.

    Attributes:
        schema_version: of this file.
        recipe: name of the recipe.
        task: the task's name.
        classes: K class names, in the order of every output.
        class_of: diagnosis -> class.
        diagnoses: of the training table.
        network: the recipe's section; weights are those of `model.safetensors`.
        data: sizes and fit of the input.
        predict: averaged orientations.
        combine_weights: by readout, its weight in `both`.
        precision: that training used.
        started_from: what the backbone's weights were before training.
        cam: network and number of classes of the CAM network whose weights are in the file too, or None.
        crop: where a run of two stages cuts.
        stage_one: the facts of stage one, whose weights are in the file too; None: there is one stage.
        calibration: of the probabilities; None: they are the network's own.
        targets: target -> its classes.
        operating_points: thresholds for the targets.
        conformal: of prediction sets; None: none was fitted.
        outside: which lesions are unlike training's; None: nothing is known of it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = SCHEMA_VERSION
    recipe: str
    task: str
    classes: tuple[str, ...]
    class_of: dict[str, str]
    diagnoses: tuple[str, ...]
    network: NetworkSettings
    data: DataSettings
    predict: PredictSettings
    combine_weights: dict[str, float]
    precision: str
    started_from: str
    cam: tuple[NetworkSettings, int] | None = None
    crop: CropSettings = CropSettings()
    stage_one: ModelFacts | None = None
    calibration: Calibration | None = None
    targets: dict[str, tuple[str, ...]] = {}
    operating_points: tuple[OperatingPoint, ...] = ()
    conformal: ConformalSet | None = None
    outside: OutsideRule | None = None

    def undecided(self) -> ModelFacts:
        """Return the facts without what was fitted to decide, which stage two does not use of stage one."""
        none = {"calibration": None, "operating_points": (), "conformal": None, "outside": None}
        return self.model_copy(update=none)

    def as_task(self) -> Task:
        """Return the task that the model was trained for."""
        return Task(self.task, self.classes, self.class_of, self.diagnoses)


def save_model(
    folder: Path, network: PairNet, facts: ModelFacts, *, stage_one: PairNet | None = None
) -> None:
    """Write both files, each whole or not at all.

    Raises:
        RunError: they cannot be written.
    """
    state = dict(network.state_dict())
    if stage_one is not None:
        state |= {STAGE_ONE + name: tensor for name, tensor in stage_one.state_dict().items()}
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    weights = folder / "model.safetensors"
    try:
        save_file(state, weights.with_suffix(".tmp"), metadata={"format": "pt"})
        weights.with_suffix(".tmp").replace(weights)
        write_whole(folder / "model.json", facts.model_dump_json(indent=2) + "\n")
    except (OSError, SafetensorError) as error:
        weights.with_suffix(".tmp").unlink(missing_ok=True)
        raise RunError(
            f"{folder}: the model could not be written ({error}); free space on the disk"
        ) from error


def weights_digest(folder: Path) -> str:
    """Return the SHA-256 of a run's weights, which names the network that figures belong to.

    Raises:
        RunError: the weights are missing.
    """
    try:
        with (folder / "model.safetensors").open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise RunError(f"{folder}: expected a run with model.safetensors ({error}); train one") from error


def read_facts(folder: Path) -> ModelFacts:
    """Read `model.json`.

    Raises:
        RunError: it is missing or damaged.
    """
    path = folder / "model.json"
    try:
        return ModelFacts.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(
            f"{folder}: expected a run with model.json; train one, or wait until it has finished"
        ) from None
    except (OSError, ValueError) as error:  # not JSON, not UTF-8, or other keys
        raise RunError(f"{path}: damaged or of another version: {str(error).splitlines()[0]}") from error


def _unweighted(settings: NetworkSettings, n_classes: int, cam: PairNet | None = None) -> PairNet:
    """Return a network whose weights are about to be loaded."""
    return build_network(settings.model_copy(update={"weights": "none"}), n_classes, cam=cam)


def cam_facts(settings: NetworkSettings) -> tuple[NetworkSettings, int] | None:
    """Return what `model.json` says of the CAM network that a recipe names; None where it names none."""
    if settings.pooling != "cam_bp" or settings.cam_source == "self":
        return None
    facts = read_facts(Path(settings.cam_source))
    return facts.network, len(facts.classes)


def load_cam(settings: NetworkSettings) -> PairNet | None:
    """Return the CAM network that a recipe names; None where it names none.

    Raises:
        RunError: `cam_source` is no run, or is damaged.
    """
    if cam_facts(settings) is None:
        return None
    source = Path(settings.cam_source)
    return load_model(source, device=torch.device("cpu"), precision="fp32")[0].network


def load_pretrained(settings: NetworkSettings) -> PairNet | None:
    """Return the network of the run that a recipe names as its weights; None where it names none.

    Raises:
        RunError: it is no run, or is damaged.
    """
    if not settings.from_run:
        return None
    return load_model(Path(settings.weights), device=torch.device("cpu"), precision="fp32")[0].network


def take_trunks(network: PairNet, source: PairNet, *, run: str) -> None:
    """Fill the trunks of a network with those of another in place; one trunk fills several.

    A new convolution behind a trunk (`network.extra`) keeps its own weights where the other has none like it.

    Raises:
        RecipeError: they do not fit, naming `run`.
    """
    theirs = list(source.trunks)
    try:
        for i, trunk in enumerate(network.trunks):
            assert isinstance(trunk, Trunk)
            trunk.load_state_dict(_filled(trunk, theirs[min(i, len(theirs) - 1)].state_dict()))
    except RuntimeError as error:
        raise RecipeError(
            f"network.weights {run!r}: expected a run with the backbone of this recipe, got another "
            f"({' '.join(str(error).split())[:200]}); train it with the same network.backbone, cut and extra"
        ) from error


def _filled(trunk: Trunk, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return another trunk's weights for this one, with its own for a new last convolution."""
    own = trunk.state_dict()
    same = own.keys() == state.keys() and all(own[name].shape == state[name].shape for name in own)
    if same or trunk.stages[-1].name != "extra":
        return state
    last = f"units.{len(trunk.units) - 1}."
    return {n: own[n] if n.startswith(last) else state[n] for n in own if n.startswith(last) or n in state}


def load_stage_one(run: str) -> PairNet | None:
    """Return the network of the run that a recipe names as stage one; None for "".

    Raises:
        RunError: it is no run, is damaged, or has two stages itself.
    """
    if not run:
        return None
    scorer, facts = load_model(Path(run), device=torch.device("cpu"), precision="fp32")
    if facts.stage_one:
        raise RunError(f"{run}: expected a run of one stage as stage one, got one of two; name the first")
    return scorer.network


def load_model(folder: Path, *, device: torch.device, precision: str) -> tuple[Scorer, ModelFacts]:
    """Return a trained network, ready to score; of a run of two stages the second.

    Raises:
        RunError: a file is missing or damaged, or the weights do not fit the network.
    """
    return load_stages(folder, device=device, precision=precision)[-1], read_facts(folder)


def load_stages(folder: Path, *, device: torch.device, precision: str) -> list[Scorer]:
    """Return the networks of a run, ready to score: one, or stage one (always fp32, as boxes are) and two.

    Raises:
        RunError: a file is missing or damaged, or the weights do not fit a network.
    """
    facts = read_facts(folder)
    path = folder / "model.safetensors"
    try:
        state = load_file(path)
    except FileNotFoundError:
        raise RunError(f"{path}: expected the weights there; copy the whole run folder") from None
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path}: damaged ({' '.join(str(error).split())[:300]}); copy it again") from error
    first = {k.removeprefix(STAGE_ONE): state.pop(k) for k in sorted(state) if k.startswith(STAGE_ONE)}
    stages = [(facts.stage_one, first)] if facts.stage_one else []
    scorers = [
        _scorer(folder, of, weights, device=device, precision=precision if of is facts else "fp32")
        for of, weights in [*stages, (facts, state)]
    ]
    if facts.outside:
        network = scorers[0].network
        trunks: list[Trunk] = list(network.trunks)  # type: ignore[arg-type]
        channels = {v: sum(s.channels for s in trunks[i].inner) for v, i in network.trunk_of.items()}
        outside = load_outside(folder, facts.outside, channels=channels)
        scorers[0] = replace(scorers[0], outside=outside)
    return scorers


def _scorer(
    folder: Path, facts: ModelFacts, weights: dict[str, Tensor], *, device: torch.device, precision: str
) -> Scorer:
    """Return one network with its weights."""
    path = folder / "model.safetensors"
    try:
        with torch.random.fork_rng():
            cam = _unweighted(*facts.cam) if facts.cam else None
            network = _unweighted(facts.network, len(facts.classes), cam)
    except RecipeError as error:
        raise RunError(f"{folder / 'model.json'}: names a network that cannot be built: {error}") from error
    if set(facts.combine_weights) != set(network.readouts):
        raise RunError(
            f"{folder / 'model.json'}: expected combine_weights of {', '.join(network.readouts)}, got "
            f"{', '.join(facts.combine_weights)}; copy the file again"
        )
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise RunError(
            f"{path}: these weights do not fit model.json: {' '.join(str(error).split())[:300]}"
        ) from error
    network.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    return Scorer(network, facts.classes, facts.data, facts.predict, facts.combine_weights, device, precision)
