"""Which number format a device computes in."""

import torch

from prospect.errors import ConfigError
from prospect.pretrained import inference_dtype


def default_device() -> torch.device:
    """The GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


_NAMES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}


def resolve_dtype(name: str) -> torch.dtype:
    """``auto`` -> what the default device computes natively; else bfloat16, float16, float32.

    Training in float16 needs its gradients scaled, which the trainer does on GPUs.

    Raises:
        ConfigError: another name, or a format that the default device can't compute in.
    """
    native = inference_dtype(default_device())
    if name == "auto":
        return native
    if name not in _NAMES:
        raise ConfigError(f"dtype is {name!r}; choose auto, {', '.join(_NAMES)}")
    gpu = default_device().type == "cuda"
    if name == "float16" and not gpu:
        raise ConfigError("dtype is float16, which needs a GPU; choose auto")
    if name == "bfloat16" and gpu and native != torch.bfloat16:
        raise ConfigError("dtype is bfloat16, which this GPU only emulates; choose float16")
    return _NAMES[name]
