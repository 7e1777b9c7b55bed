"""The training loop, read top to bottom, on Lightning Fabric.

Every random draw comes from (seed, epoch, lesion), so a resumed run and a run of several processes see the
same samples in the same order. Samples are made in `feeding`, costs in `losses`, rates in `optimise`.

Letters: B lesions in the global batch, K classes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from dermapair.config import Recipe, to_toml
from dermapair.config.files import write_whole
from dermapair.data.lesions import Batch
from dermapair.errors import RecipeError, TrainingError, unknown_choice
from dermapair.inference.model import load_cam, load_pretrained, load_stage_one, take_trunks
from dermapair.inference.precision import choose_precision, measure_precision
from dermapair.metrics import HIGHER_IS_BETTER, METRICS
from dermapair.models import PairNet, build_network
from dermapair.training.checkpoint import append_line, save_checkpoint
from dermapair.training.feeding import epoch_steps, read_ahead
from dermapair.training.files import data_key, open_run, with_precision
from dermapair.training.losses import PairLoss
from dermapair.training.optimise import build_optimizer, freeze, lr_factor, set_lr, training_mode
from dermapair.training.state import Logits, State, Tensors, Trained, TrainingData, batch_tensors
from dermapair.training.unfold import unfold_batch_norm
from dermapair.training.validation import chosen_value, score_all, scorer_of, validation_metrics
from dermapair.types import VIEWS

Report = Callable[[dict[str, Any]], None]
OnStep = Callable[[int, int, int], None]
"""Called with epoch, steps done and steps in the epoch."""


def train(
    recipe: Recipe,
    data: TrainingData,
    out: Path,
    *,
    resume: bool = False,
    accelerator: str = "auto",
    devices: int = 1,
    report: Report = lambda line: None,
    on_step: OnStep = lambda epoch, done, steps: None,
) -> Trained:
    """Train a network and keep the epoch with the best validation metric, or the last one.

    Args:
        recipe: the experiment.
        data: lesions and pixels.
        out: run folder; gets `recipe.toml`, `journal.jsonl` and `checkpoints/`.
        resume: go on from `checkpoints/last.pt` where there is one.
        accelerator: as Lightning Fabric takes it.
        devices: processes on this machine.
        report: called with each line of the journal.
        on_step: called after each step.

    Raises:
        RunError: `out` holds another run, or one that was not asked to be resumed.
        TrainingError: the loss is not finite, or a checkpoint cannot be written.
        RecipeError: the recipe does not fit the data.
    """
    _check(recipe, len(data.train), devices)
    key = data_key(data.train, data.val, recipe=recipe)
    checkpoint = open_run(out, recipe, data_key=key, resume=resume)
    strategy = "ddp_find_unused_parameters_true" if devices > 1 else "auto"
    fabric = Fabric(accelerator=accelerator, devices=devices, strategy=strategy)
    fabric.launch()
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        network = _start(recipe, len(data.task.classes))
        if recipe.train.readout not in (*network.readouts, "both"):
            known = (*network.readouts, "both")
            raise RecipeError(
                unknown_choice(
                    f"train.readout of a {recipe.network.kind} network", recipe.train.readout, known
                )
            )
        network = network.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        freeze(network, recipe)
        if recipe.train.unfold_batch_norm and not (checkpoint or recipe.crop.run or recipe.network.from_run):
            first = _first_batches(recipe, data, network)
            unfold_batch_norm(network, first, fabric.device, parts=_pretrained(recipe, network))
        recipe = _settle_precision(recipe, network, fabric, checkpoint)
        if fabric.is_global_zero:
            out.mkdir(parents=True, exist_ok=True)
            write_whole(out / "recipe.toml", to_toml(recipe))
        return _run(
            fabric, recipe, data, network, checkpoint, out=out, key=key, report=report, on_step=on_step
        )


def _start(recipe: Recipe, n_classes: int) -> PairNet:
    """Return the network that training starts from: pretrained, random, a run's trunk, or stage one's."""
    first = load_stage_one(recipe.crop.run)
    pretrained = load_pretrained(recipe.network) if first is None else None
    if first is None and pretrained is None:
        return build_network(recipe.network, n_classes, cam=load_cam(recipe.network))
    settings = recipe.network.model_copy(update={"weights": "none"})
    network = build_network(settings, n_classes, cam=load_cam(recipe.network))
    if first is None:
        assert pretrained is not None
        take_trunks(network, pretrained, run=recipe.network.weights)
        return network
    try:
        network.load_state_dict(first.state_dict())
    except RuntimeError as error:
        raise RecipeError(
            f"crop.run {recipe.crop.run!r}: expected the network and classes of this recipe, as stage two "
            f"goes on with its weights, got others ({' '.join(str(error).split())[:200]}); use one "
            f"recipe for both"
        ) from error
    return network


def _run(
    fabric: Fabric,
    recipe: Recipe,
    data: TrainingData,
    network: PairNet,
    checkpoint: dict[str, Any] | None,
    *,
    out: Path,
    key: str,
    report: Report,
    on_step: OnStep,
) -> Trained:
    """The loop itself."""
    settings = recipe.train
    wrapped = Logits(network, settings.precision, fabric.device)
    model, optimizer = fabric.setup(wrapped, build_optimizer(network, recipe.optimizer))
    state = State(network, optimizer, _average(network, settings.ema))
    if checkpoint:
        state.load(checkpoint)
    kept = state.kept
    loss = PairLoss(recipe.loss, data.train.labels, len(data.task.classes), fabric.device)
    direction = 1 if HIGHER_IS_BETTER[settings.metric] else -1

    while state.epoch < settings.epochs:
        idle = state.epoch - state.best["epoch"]
        if settings.patience and state.best["epoch"] and idle >= settings.patience:
            break
        state.epoch += 1
        line = _train_epoch(fabric, recipe, data, model, state, loss, on_step)
        began = time.perf_counter()
        # Epochs are compared without averaging over orientations, which would cost as much as training.
        one_view = recipe.predict.model_copy(update={"views": 1, "crop": "centre"})
        scorer = replace(scorer_of(recipe, data.task, kept, fabric), predict=one_view)
        scores = score_all(scorer, data.val, data.source)
        # The first process decides: the others' batch norm has seen other images.
        metrics = fabric.broadcast(validation_metrics(scores, data.val.labels))
        value = chosen_value(metrics, recipe, data, epoch=state.epoch)
        better = not state.best["epoch"] or direction * value > direction * state.best["value"]
        if better or settings.keep == "last":
            state.best = {"epoch": state.epoch, "value": value, "state": _copy(kept)}
        seconds = round(time.perf_counter() - began, 3)
        line |= {"val": metrics, "best_epoch": state.best["epoch"], "val_s": seconds}
        if fabric.is_global_zero:
            facts = {"data_key": key, "precision": settings.precision}
            append_line(out / "journal.jsonl", line)
            save_checkpoint(out / "checkpoints" / "last.pt", {**state.as_checkpoint(), **facts})
            report(line)
        fabric.barrier()

    network.load_state_dict(state.best["state"])
    scorer = scorer_of(recipe, data.task, network.eval(), fabric)
    return Trained(scorer, recipe, state.best["epoch"], state.best["value"], fabric)


def _train_epoch(
    fabric: Fabric,
    recipe: Recipe,
    data: TrainingData,
    model: nn.Module,
    state: State,
    loss: PairLoss,
    on_step: OnStep,
) -> dict[str, Any]:
    """Go through the training lesions once; return the first half of the journal's line."""
    settings, epoch, network = recipe.train, state.epoch, state.network
    torch.manual_seed(
        int(np.random.SeedSequence([recipe.seed, epoch, fabric.global_rank]).generate_state(1)[0])
    )
    training_mode(network, freeze_batch_norm=settings.freeze_batch_norm)
    steps = epoch_steps(len(data.train), recipe, epoch=epoch)
    ranks = {"rank": fabric.global_rank, "world_size": fabric.world_size}
    batches = read_ahead(data.train, data.source, recipe, steps, epoch=epoch, views=network.views, **ranks)
    began, waited, seen = time.perf_counter(), 0.0, 0.0
    totals: dict[str, list[float]] = {}
    unreadable: dict[str, str] = {}
    for step in range(len(steps)):
        asked = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - asked
        done = epoch - 1 + step / len(steps)
        set_lr(state.optimizer, lr_factor(recipe.schedule, epoch=done, epochs=settings.epochs))
        tensors = batch_tensors(batch, fabric.device)
        sums, counts = _train_step(fabric, recipe, model, state.optimizer, loss, tensors)
        if state.average is not None:
            state.average.update_parameters(network)
        seen += sum(counts[view] for view in VIEWS if view in counts)
        for readout, total in sums.items():
            totals.setdefault(readout, []).append(total / max(counts[readout], 1.0))
        unreadable |= batch.errors
        if fabric.is_global_zero:
            on_step(epoch, step + 1, len(steps))
    seconds = time.perf_counter() - began
    return {
        "epoch": epoch,
        "lr": state.optimizer.param_groups[0]["lr"],
        "loss": {readout: float(np.mean(values)) for readout, values in totals.items()},
        "train_s": round(seconds, 3),
        "waited_s": round(waited, 3),
        "images_per_s": round(seen / seconds, 2),
        "unreadable": _of_all_processes(fabric, unreadable),
    }


def _train_step(
    fabric: Fabric, recipe: Recipe, model: nn.Module, optimizer: Any, loss: PairLoss, batch: Tensors
) -> tuple[dict[str, float], dict[str, float]]:
    """Take one step; return the losses' sums and the lesions by readout, over all processes."""
    logits, present, nothing = model(batch.images, batch.rows)
    sums = loss.sums(logits, present, batch.labels)
    counts = _over_processes(fabric, {readout: float(len(r)) for readout, r in present.items()})
    # Distributed training takes the mean of the processes' gradients; the loss is a sum over all lesions.
    total = loss.total(sums, counts) * fabric.world_size if sums else nothing
    summed = _over_processes(fabric, {readout: float(s.detach()) for readout, s in sums.items()})
    summed = {readout: s for readout, s in summed.items() if counts[readout]}
    if not np.isfinite(list(summed.values())).all():
        raise _not_finite("loss", f" ({summed})", batch)
    optimizer.zero_grad(set_to_none=True)
    fabric.backward(total)
    limit = recipe.optimizer.clip_norm or math.inf
    norm = fabric.clip_gradients(model, optimizer, max_norm=limit, error_if_nonfinite=False)
    if norm is not None and not bool(torch.isfinite(norm)):
        raise _not_finite("gradient", "", batch)
    if any(counts.values()):
        optimizer.step()
    return summed, counts


def _not_finite(what: str, values: str, batch: Tensors) -> TrainingError:
    """Return the error that names the lesions of a step whose numbers are not finite."""
    return TrainingError(
        f"the {what} is not finite{values} for the lesions {', '.join(batch.ids)}; look at their images, or "
        f"lower optimizer.lr, set optimizer.clip_norm or train.precision=fp32"
    )


def _over_processes(fabric: Fabric, values: dict[str, float]) -> dict[str, float]:
    """Return the sums over all processes, by readout."""
    if fabric.world_size == 1:
        return values
    names = (*VIEWS, "cross", *(f"cam_{view}" for view in VIEWS))
    mine = torch.tensor([values.get(name, 0.0) for name in names], dtype=torch.float64)
    total = fabric.all_reduce(mine.to(fabric.device), reduce_op="sum")
    assert isinstance(total, Tensor)
    return dict(zip(names, total.tolist(), strict=True))


def _of_all_processes(fabric: Fabric, errors: dict[str, str]) -> dict[str, str]:
    """Return the images that could not be read by any process, sorted by name."""
    found = [errors]
    if fabric.world_size > 1:
        found = [{} for _ in range(fabric.world_size)]
        torch.distributed.all_gather_object(found, errors)
    return dict(sorted(item for each in found for item in each.items()))


def _average(network: PairNet, decay: float) -> AveragedModel | None:
    """Return the averaged network, or None where averaging is off."""
    if not decay:
        return None
    ema = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    return AveragedModel(network, multi_avg_fn=ema, use_buffers=True)


def _check(recipe: Recipe, n: int, devices: int) -> None:
    """Refuse what cannot train."""
    settings = recipe.train
    if settings.metric not in METRICS:
        raise RecipeError(unknown_choice("train.metric", settings.metric, METRICS))
    if min(settings.batch_size, n) < devices:
        raise RecipeError(
            f"train.batch_size: expected a lesion for each of {devices} processes, got {n} lesions"
        )


def _first_batches(recipe: Recipe, data: TrainingData, network: PairNet) -> Iterator[Batch]:
    """Yield some batches of training lesions, the same ones in every process."""
    steps = epoch_steps(len(data.train), recipe, epoch=0)[:8]
    return read_ahead(data.train, data.source, recipe, steps, epoch=0, views=network.views)


def _pretrained(recipe: Recipe, network: PairNet) -> list[nn.Module]:
    """Return the parts that start from the backbone's weights."""
    joint = [network.joint] if network.joint is not None and recipe.network.joint_init == "backbone" else []
    return [*network.trunks, *joint]


def _settle_precision(
    recipe: Recipe, network: PairNet, fabric: Fabric, checkpoint: Mapping[str, Any] | None
) -> Recipe:
    """Return the recipe with the precision of the run so far, or the one that a measurement finds faster."""
    if recipe.train.precision != "auto":
        return recipe
    if checkpoint:
        return with_precision(recipe, checkpoint["precision"])
    batch = min(recipe.train.batch_size, 8)
    rates = measure_precision(network, side=recipe.data.input, batch_size=batch, train=True)
    return with_precision(recipe, fabric.broadcast(choose_precision(rates)))


def _copy(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}
