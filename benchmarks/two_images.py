"""Which library returns the right map when one network looks at two images in one step.

    python benchmarks/two_images.py [--seed 1]

One shared convolutional backbone, two images, features concatenated, five classes, random weights. The right
Grad-CAM of either image is worked out by `torch.autograd.grad` on the two feature maps. Each library is used
as its documentation says, and what comes back is correlated with both. On one image, where they are right,
ours must equal theirs. It needs the extra `bench`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from dermapair.models import TripleNet, Trunk
from dermapair.models.cam import class_maps
from dermapair.models.heads import Head
from dermapair.models.poolings import POOLINGS
from dermapair.models.trunk import Stage
from dermapair.saliency.maps import maps_of
from dermapair.types import VIEWS

K, SIDE, CLASS = 5, 64, 2


def backbone() -> nn.Sequential:
    """Three convolutions, 16 channels, 16 x 16 cells."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1),
        nn.ReLU(),
    )


class TwoImages(nn.Module):
    """The usual way to write it: one backbone called twice, one classifier on both vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = backbone()
        self.fc = nn.Linear(32, K)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """(1, 3, H, W) twice -> (1, K)."""
        features = [self.backbone(x).mean((2, 3)) for x in (first, second)]
        logits: Tensor = self.fc(torch.cat(features, dim=1))
        return logits


class SixChannels(nn.Module):
    """The same network for libraries that hand over one tensor."""

    def __init__(self, network: TwoImages) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """(1, 6, H, W) -> (1, K)."""
        logits: Tensor = self.network(x[:, :3], x[:, 3:])
        return logits


def reference(network: TwoImages, images: list[Tensor]) -> list[np.ndarray]:
    """Return the Grad-CAM of either image, by hand."""
    features = [network.backbone(x) for x in images]
    score = network.fc(torch.cat([f.mean((2, 3)) for f in features], dim=1))[0, CLASS]
    slopes = torch.autograd.grad(score, features)
    return [
        (g.mean((2, 3), keepdim=True) * f).sum(1).relu()[0].detach().numpy()
        for g, f in zip(slopes, features, strict=True)
    ]


def ours(network: TwoImages, images: list[Tensor]) -> list[np.ndarray]:
    """The same network from our parts: a third sub-network without layers, on the concatenated maps."""
    trunk = Trunk([network.backbone], [Stage("last", 1, 16, 4)], mean=(0, 0, 0), std=(1, 1, 1))
    heads = [Head(POOLINGS["gap"](16, 0), K)]
    net = TripleNet(
        trunk=trunk, heads=heads, joint=nn.Identity(), joint_head=Head(POOLINGS["gap"](32, 0), K), tap=0
    )
    net.joint_head.classifier.load_state_dict(network.fc.state_dict())  # type: ignore[union-attr]
    pair = {view: x.clone().requires_grad_() for view, x in zip(VIEWS, images, strict=True)}
    output = net.eval()(pair, {view: torch.zeros(1, dtype=torch.long) for view in VIEWS})
    maps, _ = maps_of(net, output, "cross", weights=dict.fromkeys((*VIEWS, "cross"), 1.0))
    return [maps[view][0, CLASS].relu().numpy() for view in VIEWS]


def torch_cam(network: TwoImages, images: list[Tensor]) -> list[np.ndarray]:
    """torch-cam's Grad-CAM on the shared layer."""
    from torchcam.methods import GradCAM

    with GradCAM(network, target_layer=network.backbone) as extractor:
        scores = network(*images)
        return [cam.squeeze().detach().numpy() for cam in extractor(CLASS, scores)]


def captum(network: TwoImages, images: list[Tensor]) -> list[np.ndarray]:
    """Captum's LayerGradCam on the shared layer."""
    from captum.attr import LayerGradCam

    found = LayerGradCam(network, network.backbone).attribute(
        tuple(images), target=CLASS, relu_attributions=True
    )
    return [cam.squeeze().detach().numpy() for cam in (found if isinstance(found, tuple) else (found,))]


def grad_cam(network: TwoImages, images: list[Tensor]) -> list[np.ndarray]:
    """grad-cam's GradCAM on the shared layer; it takes one tensor, so six channels."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    with GradCAM(model=SixChannels(network), target_layers=[network.backbone]) as extractor:
        found = extractor(input_tensor=torch.cat(images, dim=1), targets=[ClassifierOutputTarget(CLASS)])
    return [torch.nn.functional.avg_pool2d(torch.tensor(found)[None], 4)[0, 0].numpy()]


def monai(network: TwoImages, images: list[Tensor]) -> list[np.ndarray]:
    """MONAI's GradCAM on the shared layer; it takes one tensor, so six channels."""
    from monai.visualize import GradCAM

    extractor = GradCAM(nn_module=SixChannels(network), target_layers="network.backbone")
    found = extractor(x=torch.cat(images, dim=1), class_idx=CLASS)
    return [torch.nn.functional.avg_pool2d(torch.as_tensor(found), 4)[0, 0].detach().numpy()]


LIBRARIES: dict[str, Callable[[TwoImages, list[Tensor]], list[np.ndarray]]] = {
    "dermapair": ours,
    "torch-cam": torch_cam,
    "captum": captum,
    "grad-cam": grad_cam,
    "MONAI": monai,
}


def stretched(values: Tensor) -> Tensor:
    """Return values from 0 to 1."""
    return (values - values.min()) / (values.max() - values.min())


def one_image(network: TwoImages, image: Tensor) -> dict[str, float]:
    """Return the largest difference between our CAM of one image and each library's, normalised as each does.

    torch-cam stretches to [0, 1]; grad-cam clamps at 0, stretches, resizes to the image and stretches again.
    """
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    from torchcam.methods import CAM

    model = nn.Sequential(network.backbone, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, K)).eval()
    with torch.no_grad():
        maps = class_maps(network.backbone(image), model[3].weight)[0, CLASS]
    with CAM(model, target_layer=model[0], fc_layer=model[3]) as extractor:
        theirs = extractor(CLASS, model(image))[0].squeeze()
    difference = {"torch-cam": float((stretched(maps) - theirs).abs().max())}
    with GradCAM(model=model, target_layers=[model[0]]) as other:
        found = torch.tensor(other(input_tensor=image, targets=[ClassifierOutputTarget(CLASS)]))
    large = stretched(torch.tensor(cv2.resize(stretched(maps.relu()).numpy(), (SIDE, SIDE))))
    difference["grad-cam"] = float((large - found).abs().max())
    return difference


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return Pearson's correlation of two maps."""
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def verdict(maps: list[dict[str, float]]) -> str:
    """Say in words what came back."""
    if len(maps) == 2 and maps[0]["first"] > 0.999 and maps[1]["second"] > 0.999:
        return "right: a map for each image"
    if len(maps) == 1:
        one = maps[0]
        which = [name for name, value in one.items() if value > 0.95]
        return f"one map, of the {which[0]} image" if which else "one map, of neither image"
    return "wrong"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    seed = parser.parse_args().seed
    torch.manual_seed(seed)
    network = TwoImages().eval()
    images = [torch.rand(1, 3, SIDE, SIDE), torch.rand(1, 3, SIDE, SIDE)]
    for image, (x, y) in zip(images, ((8, 8), (36, 40)), strict=True):
        image[:, :, y : y + 16, x : x + 16] += 2.0
    right = reference(network, images)
    table = {}
    for name, library in LIBRARIES.items():
        found = library(network, [x.clone() for x in images])
        maps = [{"first": correlation(m, right[0]), "second": correlation(m, right[1])} for m in found]
        table[name] = {"maps": maps, "verdict": verdict(maps)}
        values = "; ".join(f"{m['first']:+.2f} / {m['second']:+.2f}" for m in maps)
        print(f"{name:<10} correlation with image 1 / 2: {values:<30} {table[name]['verdict']}")
    same = one_image(network, images[0])
    for name, difference in same.items():
        print(f"{name:<10} largest difference from our map of one image: {difference:.1e}")
    print(json.dumps({"seed": seed, "libraries": table, "one image": same}))


if __name__ == "__main__":
    main()
