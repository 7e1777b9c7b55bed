"""Which precision pays on this machine: measured, never guessed."""

from __future__ import annotations

import time

import torch

from dermapair.inference.forward import autocast
from dermapair.models import PairNet

REPEATS = 3


def measure_precision(network: PairNet, *, side: int, batch_size: int, train: bool) -> dict[str, float]:
    """Return images per second by precision, "fp32" and "bf16", for a network on random pixels.

    The best of a few passes after one to warm up, the two taken in turns; with `train` the backward pass is
    timed too. The network's weights, gradients and mode are left as found.

    Args:
        network: where it is; parameters are not changed.
        side: of the input, pixels.
        batch_size: lesions.
        train: time a training step's passes instead of prediction.
    """
    device = next(network.parameters()).device
    generator = torch.Generator().manual_seed(0)
    x = torch.rand((batch_size, 3, side, side), generator=generator).to(device)
    images: dict[str, torch.Tensor] = {
        view: x.contiguous(memory_format=torch.channels_last) for view in network.views
    }
    rows: dict[str, torch.Tensor] = {view: torch.arange(batch_size, device=device) for view in network.views}
    best = dict.fromkeys(("fp32", "bf16"), float("inf"))
    state = {name: value.clone() for name, value in network.state_dict().items()}
    for attempt in range(REPEATS + 1):
        for precision in best:
            seconds = _time_pass(network, images, rows, precision, device, train)
            if attempt:
                best[precision] = min(best[precision], seconds)
    network.load_state_dict(state)  # batch norm has seen the random pixels
    return {name: len(images) * batch_size / seconds for name, seconds in best.items()}


def _time_pass(
    network: PairNet,
    images: dict[str, torch.Tensor],
    rows: dict[str, torch.Tensor],
    precision: str,
    device: torch.device,
    train: bool,
) -> float:
    """Return the seconds of one pass."""
    start = time.perf_counter()
    with torch.set_grad_enabled(train):
        with autocast(device, precision):
            output = network(images, rows)
            total = torch.stack([z.float().square().mean() for z in output.logits.values()]).sum()
        if train:
            wanted = [p for p in network.parameters() if p.requires_grad]
            torch.autograd.grad(total, wanted, allow_unused=True)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def choose_precision(rates: dict[str, float]) -> str:
    """Return the faster precision; fp32 where bf16 gains less than a tenth."""
    return "bf16" if rates["bf16"] > 1.1 * rates["fp32"] else "fp32"
