"""What maps cost beside a plain forward pass, and CAM-BP beside the tensor of all outer products.

    python benchmarks/saliency_rate.py [--backbone mobilenetv2_100] [--input 224] [--images 8] [--rounds 7]

Everything in one process, taking turns; ratios of medians. With the extra `bench` also grad-cam's Grad-CAM
for every class of one image.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from dermapair.config import NetworkSettings
from dermapair.inference.allocator import keep_freed_memory
from dermapair.models import PairNet, build_network
from dermapair.models.cam import normalised
from dermapair.models.poolings import bilinear
from dermapair.saliency.maps import cam

K = 11


def medians(jobs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median seconds of each job; all take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for number in range(rounds + 1):
        for name, job in jobs.items():
            began = time.perf_counter()
            job()
            if number:  # the first round warms up
                seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


class Dermoscopic(nn.Module):
    """The network on one image, as other libraries take it."""

    def __init__(self, network: PairNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, H, W) -> (n, K)."""
        return self.network({"dermoscopic": x}, {"dermoscopic": torch.arange(len(x))}).logits["dermoscopic"]


def map_jobs(backbone: str, side: int) -> dict[str, Callable[[], object]]:
    """Return a forward pass of 8 pairs without and with all maps, and of one image with grad-cam."""
    network = build_network(NetworkSettings(kind="share", backbone=backbone, weights="none"), K)
    network = network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = torch.rand(8, 3, side, side).contiguous(memory_format=torch.channels_last)
    images, rows = dict.fromkeys(network.views, x), dict.fromkeys(network.views, torch.arange(8))

    def plain() -> None:
        with torch.inference_mode():
            network(images, rows)

    def with_maps() -> None:
        with torch.inference_mode():
            output = network(images, rows)
            for view in network.views:
                cam(network, output, view)

    jobs: dict[str, Callable[[], object]] = {
        "forward, 8 pairs": plain,
        "forward and maps, 8 pairs": with_maps,
    }
    if importlib.util.find_spec("pytorch_grad_cam"):
        jobs |= grad_cam_jobs(network, x[:1])
    return jobs


def grad_cam_jobs(network: PairNet, x: Tensor) -> dict[str, Callable[[], object]]:
    """Return a forward pass of one image, and grad-cam's maps of every class of it."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    model = Dermoscopic(network)
    extractor = GradCAM(model=model, target_layers=[network.trunks[0].units[-1]])  # type: ignore[union-attr, index]

    def plain() -> None:
        with torch.inference_mode():
            model(x)

    def every_class() -> None:
        for k in range(K):
            extractor(input_tensor=x, targets=[ClassifierOutputTarget(k)])

    return {"forward, 1 image": plain, "grad-cam, every class, 1 image": every_class}


def pooling_jobs(d: int, side: int, n: int) -> dict[str, Callable[[], object]]:
    """Return CAM-BP as one product, and with the (n, cells, D, D) tensor made."""
    f, a = torch.rand(n, d, side, side), normalised(torch.rand(n, side, side))

    def outer_products() -> None:
        rows = f.flatten(2).transpose(1, 2)
        products = rows[:, :, :, None] * rows[:, :, None, :]
        (products * a.flatten(1)[:, :, None, None]).sum(dim=1)

    return {"CAM-BP": lambda: bilinear(f, a), "CAM-BP by outer products": outer_products}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbone", default="mobilenetv2_100")
    parser.add_argument("--input", type=int, default=224)
    parser.add_argument("--channels", type=int, default=512)
    parser.add_argument(
        "--images", type=int, default=8, help="of CAM-BP; outer products take 0.4 GB for each"
    )
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    pooling = pooling_jobs(arguments.channels, 14, arguments.images)
    seconds = medians(pooling, arguments.rounds)  # as any program that imports the package
    keep_freed_memory()  # as the commands
    seconds |= {f"{name}, memory kept": s for name, s in medians(pooling, arguments.rounds).items()}
    seconds |= medians(map_jobs(arguments.backbone, arguments.input), arguments.rounds)
    pairs = [
        ("forward and maps, 8 pairs", "forward, 8 pairs"),
        ("grad-cam, every class, 1 image", "forward, 1 image"),
        ("CAM-BP by outer products", "CAM-BP"),
        ("CAM-BP by outer products, memory kept", "CAM-BP, memory kept"),
    ]
    ratios = {f"{a} / {b}": seconds[a] / seconds[b] for a, b in pairs if a in seconds}
    for name, ratio in ratios.items():
        print(f"{name:<52} {ratio:.2f} times as long")
    cells, d = 14 * 14, arguments.channels
    bytes_each = {"CAM-BP": 4 * d * (d + cells), "by outer products": 4 * cells * d * d}
    print(json.dumps({"ratios": ratios, "seconds": seconds, "bytes for one image": bytes_each}))


if __name__ == "__main__":
    main()
