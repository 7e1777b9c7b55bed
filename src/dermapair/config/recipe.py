"""The keys of a recipe, their defaults and their limits.

The only place where defaults are written: commands, docs and networks read them from here. Reading files
and `--set` is in `loading`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from dermapair.types import Readout, View

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
NotNegative = Annotated[float, Field(ge=0.0)]
Count = Annotated[int, Field(ge=1)]
Calibrate = Literal["temperature", "vector", "none"]


class Settings(BaseModel):
    """Base of every section: values are checked, unknown keys refused, nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TaskSettings(Settings):
    """Which classes are predicted: drop diagnoses, rename them, or group several into one."""

    name: str = Field("diagnosis", description="what the task is called in results and reports")
    drop: tuple[str, ...] = Field((), description="diagnoses whose lesions are left out")
    rename: dict[str, str] = Field({}, description="diagnosis -> class name")
    groups: dict[str, tuple[str, ...]] = Field(
        {}, description="class name -> diagnoses; '*' takes those not named elsewhere"
    )
    targets: dict[str, tuple[str, ...]] = Field(
        {},
        description="target -> classes that count as it, for decisions; empty: melanoma and cancer, by the "
        "common terms of the diagnoses",
    )


class DataSettings(Settings):
    """How pixels are prepared before the network."""

    size: Count = Field(256, description="side of the prepared square, pixels")
    fit: Literal["crop", "squash"] = Field(
        "crop", description="crop: short side to `size`, centre square; squash: both sides to `size`"
    )
    input: Count = Field(224, description="side of the network's input, pixels; cut from the square")
    hair: Literal["none", "dullrazor", "oriented", "learned", "blackhat"] = Field(
        "none", description="how hair is removed from the original, before anything else"
    )
    boxes: str = Field("", description="a boxes.parquet: only these parts of the originals are looked at")
    max_pixels: Count = Field(89_478_485, description="larger images are refused before decoding")

    @model_validator(mode="after")
    def _input_fits(self) -> DataSettings:
        if self.input > self.size:
            raise ValueError(f"data.input ({self.input}) must not exceed data.size ({self.size})")
        return self


class CropSettings(Settings):
    """Two stages: which part of an image a map points at; Jia & Shen 2017, section 3.3, has no rule."""

    run: str = Field(
        "",
        description="stage two: the run of stage one, whose maps say where to cut and whose weights start it",
    )
    evidence: Literal["predicted", "weighted", "contrast"] = Field(
        "predicted",
        description="what is read from the maps: predicted (that of the predicted class), weighted (all, by "
        "probability) or contrast (where the classes are told apart)",
    )
    threshold: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        0.2, description="of the map's maximum; the largest connected region above it gets the box"
    )
    margin: NotNegative = Field(0.1, description="added on each side, as a share of the box's side")
    square: bool = Field(True, description="the shorter side is made as long as the longer one")
    least: Share = Field(0.3, description="shortest side, as a share of the image's short side")
    whole: Share = Field(0.9, description="above this share of its area the image stays whole")
    combine: Literal["stage2", "mean"] = Field(
        "stage2", description="what a run of two stages says: its second stage, or the mean of both"
    )


class NetworkSettings(Settings):
    """The network on a pair; method: Ge et al. 2017, section 2.1."""

    kind: Literal["single", "sole", "share", "triple"] = "triple"
    view: View = Field("dermoscopic", description="the view of a `single` network")
    backbone: str = Field("vgg16", description="a timm name, squeezenet1_1 or googlenet")
    weights: str = Field(
        "auto",
        description="auto, none, a safetensors file, or the folder of a run whose trunk training starts from",
    )
    head: Literal["gap", "fc4096"] = Field("gap", description="fc4096: VGG-16's two hidden layers")
    cut: str = Field("", description="the trunk ends after this stage; empty: after its last")
    extra: int = Field(0, ge=0, description="channels of a new 3 x 3 convolution behind the trunk; 0: none")
    extra_groups: Count = Field(1, description="groups of that convolution; Zhou et al. 2016 published 2")
    unpadded: int = Field(
        0, ge=0, description="so many of the trunk's last convolutions are not padded (Jia & Shen 2017: 2)"
    )
    pooling: str = Field(
        "gap", description="how a map becomes a vector, when head is gap: gap, bp (bilinear) or cam_bp"
    )
    pool_at: Literal["all", "branches", "joint"] = Field(
        "all",
        description="heads that use `pooling`: all, those of a view, or the third one; the others use gap",
    )
    project: int = Field(0, ge=0, description="bp, cam_bp: channels after a 1 x 1 convolution; 0: none")
    cam_source: str = Field(
        "self", description="cam_bp: self (a gap head trained beside), or the run folder of a CAM network"
    )
    cam_classes: str = Field(
        "sum", description="cam_bp: sum, plain-sum, predicted or probability-weighted over the classes' maps"
    )
    dropout: Share = Field(0.0, description="before the classifier")
    share: Literal["all", "backbone"] = Field("all", description="share and triple: one classifier or two")
    tap: str = Field("stage-2", description="triple: the maps that feed the third sub-network")
    joint_init: Literal["fresh", "backbone"] = Field(
        "fresh", description="third sub-network: He initialisation, or the backbone's own weights, halved"
    )
    joint_batch_norm: bool = Field(True, description="third sub-network: batch norm after convolutions")
    combine: Literal["equal", "loss", "fitted"] = Field(
        "equal", description="weights of p_C, p_D, p_T in `both`: equal, the loss's, or fitted on validation"
    )

    @property
    def from_run(self) -> bool:
        """Whether `weights` names the folder of a run."""
        return Path(self.weights).is_dir()


class LossSettings(Settings):
    """Ge et al. 2017, eq. 1 to 5."""

    kind: Literal["ce", "l2"] = Field("ce", description="cross-entropy, or squared distance of the softmax")
    alpha: NotNegative = Field(1.5, description="weight of the third sub-network's cost (eq. 5)")
    class_weights: Literal["none", "sqrt", "balanced"] = Field(
        "none", description="1, 1/sqrt(n) or 1/n of a class in training, with mean 1 over lesions"
    )
    cam: NotNegative = Field(1.0, description="weight of the heads that make cam_bp's own maps")
    label_smoothing: Share = 0.0
    logit_adjustment: NotNegative = Field(
        0.0, description="tau of Menon et al. 2021, added to logits in training only: tau * log prior"
    )


class OptimizerSettings(Settings):
    """The optimiser and its learning rates."""

    name: Literal["sgd", "adamw"] = "adamw"
    lr: Positive = 5e-4
    new_layer_lr: Positive = Field(
        1.0, description="factor of `lr` for classifiers and the third sub-network"
    )
    weight_decay: NotNegative = 0.01
    momentum: Share = Field(0.9, description="sgd only")
    clip_norm: NotNegative = Field(0.0, description="largest gradient norm; 0 is off")


class ScheduleSettings(Settings):
    """How the learning rate moves."""

    name: Literal["exponential", "cosine", "constant"] = "cosine"
    gamma: Positive = Field(0.95, description="exponential: factor for each epoch")
    warmup_epochs: NotNegative = Field(0.0, description="linear rise from 0, in epochs")


class TrainSettings(Settings):
    """The loop."""

    epochs: Count = 20
    batch_size: Count = Field(32, description="lesions in one step, over all processes")
    metric: str = Field("macro_auc", description="validation metric that chooses the epoch")
    readout: Readout = Field("both", description="readout of that metric")
    keep: Literal["best", "last"] = Field(
        "best",
        description="the epoch that is kept; last: validation chooses nothing, and is a fair test",
    )
    patience: int = Field(0, ge=0, description="stop after so many epochs without a better value; 0 is off")
    ema: Share = Field(0.0, description="decay of the averaged weights for each step; 0 is off")
    freeze_until: str = Field("", description="the backbone is frozen up to the end of this stage")
    freeze_batch_norm: bool = Field(False, description="batch norm keeps its statistics and weights")
    unfold_batch_norm: bool = Field(
        False,
        description="give batch norm that was folded into its convolutions statistics of its own; not where "
        "training starts from a run",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="auto: whichever a short measurement at the start finds faster"
    )

    @model_validator(mode="after")
    def _patience_chooses(self) -> TrainSettings:
        if self.patience and self.keep == "last":
            raise ValueError(
                'train.patience waits for a better epoch, but train.keep is "last"; leave one of them out'
            )
        return self


class AugmentSettings(Settings):
    """Random changes of a training image; all off is none."""

    mirror: bool = Field(False, description="left-right, half of the time")
    flip: bool = Field(False, description="up-down, half of the time")
    rotate90: bool = Field(False, description="k quarter turns")
    crop: Literal["centre", "random", "five"] = Field(
        "centre", description="where data.input is cut from data.size; five: a corner or the centre"
    )
    scale: tuple[Positive, Positive] = Field(
        (1.0, 1.0), description="side of the cut as a factor of data.input, drawn between these"
    )
    brightness: Share = Field(0.0, description="factor drawn from 1 - x to 1 + x")
    contrast: Share = 0.0
    saturation: Share = 0.0
    same_for_both_views: bool = Field(False, description="one draw for the pair")

    @model_validator(mode="after")
    def _scale_ascends(self) -> AugmentSettings:
        if self.scale[0] > self.scale[1]:
            raise ValueError(f"augment.scale: expected the smaller factor first, got {list(self.scale)}")
        return self


class PredictSettings(Settings):
    """What happens at prediction."""

    views: Literal[1, 2, 4, 8] = Field(
        1, description="averaged orientations: as is, mirrored, quarter turns, or both"
    )
    crop: Literal["centre", "five"] = Field(
        "centre",
        description="five: averaged over the corners and the centre of the square; with views = 2 ten views",
    )
    batch_size: Count = Field(32, description="lesions in one step")
    calibrate: Calibrate = Field(
        "temperature", description="how probabilities are calibrated on validation (Guo et al. 2017)"
    )
    coverage: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        0.9, description="share of lesions whose conformal set is to hold the truth"
    )
    outside: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        0.01,
        description="share of validation lesions that are flagged as unlike the training part; 0: none is",
    )
    input: int = Field(
        0, ge=0, description="side of the input at prediction, pixels (Touvron et al. 2019); 0: data.input"
    )


class Recipe(Settings):
    """One experiment."""

    name: str = "unnamed"
    seed: int = Field(0, ge=0)
    task: TaskSettings = TaskSettings()
    data: DataSettings = DataSettings()
    crop: CropSettings = CropSettings()
    network: NetworkSettings = NetworkSettings()
    loss: LossSettings = LossSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    train: TrainSettings = TrainSettings()
    augment: AugmentSettings = AugmentSettings()
    predict: PredictSettings = PredictSettings()

    @model_validator(mode="after")
    def _cut_fits(self) -> Recipe:
        if self.train.unfold_batch_norm and self.network.weights == "none":
            raise ValueError(
                'train.unfold_batch_norm is for pretrained weights, but network.weights is "none"'
            )
        if bool(self.crop.run) != bool(self.data.boxes):
            raise ValueError(
                "stage two needs both crop.run (the run of stage one) and data.boxes (what `dermapair boxes` "
                "wrote); set both or neither"
            )
        if self.predict.input > self.data.size:
            raise ValueError(
                f"predict.input ({self.predict.input}) must not exceed data.size ({self.data.size})"
            )
        if self.predict.crop == "five" and 2 * (self.predict.input or self.data.input) < self.data.size:
            raise ValueError(
                f"predict.crop five: expected inputs of at least half of data.size ({self.data.size}), as "
                f"five must cover it, got {self.predict.input or self.data.input}"
            )
        if self.predict.crop == "five" and (self.predict.input or self.data.input) == self.data.size:
            raise ValueError(
                f"predict.crop five: expected inputs smaller than data.size ({self.data.size}), as "
                f"nothing is cut from a square of that size"
            )
        largest = round(self.augment.scale[1] * self.data.input)
        if largest > self.data.size:
            raise ValueError(
                f"augment.scale {list(self.augment.scale)} times data.input {self.data.input} is up to "
                f"{largest} pixels, more than data.size {self.data.size}; lower the scale or data.input, "
                f"or raise data.size"
            )
        return self
