"""EfficientNet-Lite0, the offline vision encoder: a 4.65 M parameter convolutional network.

In: pictures (F, 3, 224, 224). Out: 1,280 features at 7 x 7 places. The architecture is that of
EfficientNet-B0 (arXiv 1905.11946, table 1) without squeeze-and-excitation and with ReLU6, as
published with TensorFlow's "EfficientNet-Lite" (2020).
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from prospect.errors import DataError

SIZE = 224
DIM = 1280
SIDE = 7  # of its feature maps

# (kernel, stride, expansion, channels out, repeats); stride holds for the first of the repeats
_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
_STEM = 32
_BN_EPS = 1e-3  # TensorFlow's; PyTorch's default is 1e-5


class ConvNorm(nn.Module):
    """Convolution, batch norm and, if ``active``, ReLU6, padded as TensorFlow's "same".

    With stride 2 on even sizes that pads one more on the right and below than on the left and
    above, which `nn.Conv2d` can't express.
    """

    def __init__(
        self, inp: int, out: int, kernel: int, stride: int = 1, groups: int = 1, active: bool = True
    ) -> None:
        super().__init__()
        padding = kernel // 2 if stride == 1 else 0
        self.conv = nn.Conv2d(inp, out, kernel, stride, padding, groups=groups, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(out, eps=_BN_EPS)
        self.active = active

    def forward(self, x: Tensor) -> Tensor:
        """(F, C, H, W) -> (F, C', H / stride, W / stride); H and W are even where stride is 2."""
        if self.conv.stride[0] == 2:
            total = self.conv.kernel_size[0] - 2
            before, after = total // 2, total - total // 2
            x = F.pad(x, (before, after, before, after))
        x = self.norm(self.conv(x))
        return F.relu6(x, inplace=True) if self.active else x

    def fold(self) -> None:
        """Fold the batch norm into the convolution: same function, a third less time."""
        assert isinstance(self.norm, nn.BatchNorm2d)
        self.conv = fuse_conv_bn_eval(self.conv, self.norm)
        self.norm = nn.Identity()


class Block(nn.Module):
    """Inverted residual: widen, depthwise convolution, narrow (arXiv 1801.04381)."""

    def __init__(self, inp: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inp * expansion
        widen = [ConvNorm(inp, wide, 1)] if expansion > 1 else []
        self.layers = nn.Sequential(
            *widen,
            ConvNorm(wide, wide, kernel, stride, groups=wide),
            ConvNorm(wide, out, 1, active=False),
        )
        self.residual = stride == 1 and inp == out

    def forward(self, x: Tensor) -> Tensor:
        """(F, C, H, W) -> (F, C', H / stride, W / stride)."""
        y: Tensor = self.layers(x)
        return x + y if self.residual else y


class Lite0(nn.Module):
    """The network with its ImageNet classifier, which only tests use."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [ConvNorm(3, _STEM, 3, 2)]
        channels = _STEM
        for kernel, stride, expansion, out, repeats in _STAGES:
            for i in range(repeats):
                layers.append(Block(channels, out, kernel, stride if i == 0 else 1, expansion))
                channels = out
        self.features = nn.Sequential(*layers, ConvNorm(channels, DIM, 1))
        self.classifier = nn.Linear(DIM, 1000)

    def forward(self, pictures: Tensor) -> Tensor:
        """(F, 3, 224, 224), normalised -> feature maps (F, 1280, 7, 7)."""
        features: Tensor = self.features(pictures)
        return features


def load(weights: Mapping[str, Tensor]) -> Lite0:
    """The network in eval mode with given weights, batch norms folded.

    Args:
        weights: A state dict whose *order* and shapes are ours; names are ignored, since the
            ports of this network differ in nothing else.

    Raises:
        DataError: the number of tensors or a shape differs.
    """
    model = Lite0()
    own = model.state_dict()
    if len(own) != len(weights):
        raise DataError(f"EfficientNet-Lite0 has {len(own)} weights, the file {len(weights)}")
    for (name, ours), (theirs, given) in zip(own.items(), weights.items(), strict=True):
        if ours.shape != given.shape:
            raise DataError(
                f"EfficientNet-Lite0 weight {theirs!r} has shape {tuple(given.shape)}, "
                f"{name!r} needs {tuple(ours.shape)}; is it another network's file?"
            )
    model.load_state_dict(dict(zip(own, weights.values(), strict=True)))
    model.eval().requires_grad_(False)
    for module in model.modules():
        if isinstance(module, ConvNorm):
            module.fold()
    return model


def normalise(pictures: Tensor) -> Tensor:
    """Pixels 0..255 -> about -1..1, as in TensorFlow's EfficientNet-Lite: ``(x - 127) / 128``."""
    return (pictures - 127) / 128


def logits(model: Lite0, maps: Tensor) -> Tensor:
    """(F, 1280, 7, 7) -> ImageNet logits (F, 1000)."""
    scores: Tensor = model.classifier(torch.mean(maps, dim=(2, 3)))
    return scores
