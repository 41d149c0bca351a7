"""The language model: loaded from a folder of any supported class, and which of its weights learn.

In: a `ModelConfig`. Out: a causal LM of transformers whose weights are frozen, adapted or free. Of
a vision-language model only the text half is read; its tower is an encoder
(`prospect.frames.towers`).
"""

import importlib.util
import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig as PeftLora
from peft import inject_adapter_in_model
from peft.tuners.lora import Linear as LoraLinear
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig

from prospect.errors import ConfigError, MissingError
from prospect.model.attention import PER_CLIP
from prospect.model.config import LoraConfig, ModelConfig
from prospect.pretrained import model_folder, read_model

BACKBONES: Mapping[str, str | None] = {
    "llama": None,
    "smollm3": None,
    "qwen2": None,
    "qwen3": None,
    "smolvlm": "model.text_model.",
}
"""``model_type`` of what can be the LLM -> where in a vision-language model its text half is.

Llama 3.x and SmolLM2 are ``llama``, Qwen 2.5 is ``qwen2``, SmolVLM2 is ``smolvlm``.
"""


def load_llm(config: ModelConfig, dtype: torch.dtype) -> Any:
    """The LLM of a configuration, its weights frozen, adapted or free as `ModelConfig.tuning` says.

    Args:
        config: What to load and how it is tuned.
        dtype: Of the weights that don't learn, and with ``qlora`` of the arithmetic. Weights that
            learn are fp32 whatever it is: bf16 loses most AdamW updates.

    Returns:
        A causal LM on the CPU (``qlora``: on the GPU, if there is one) with ``base_model``, input
        and output embeddings. Any, because what the library calls on its models is only partly
        typed.

    Raises:
        MissingError: no such model here, or the package that ``qlora`` needs is not installed.
        ConfigError: another class of model, more layers than there are, adapters on modules that
            don't exist. All before weights are read.
        DataError: the folder's weights are not those of its ``config.json``.
    """
    settings, prefix = read_settings(config)
    llm = _read(model_folder(config.llm), settings, prefix, config, dtype)
    if config.num_layers is not None:
        _cut(llm, config.num_layers)
    llm.requires_grad_(config.tuning == "full")
    if config.tuning in ("lora", "qlora"):
        _add_lora(llm, config.lora)
    for parameter in llm.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return llm


def read_settings(config: ModelConfig) -> tuple[Any, str | None]:
    """The LLM's configuration, if it can be tuned as asked for; no weights are read.

    Returns:
        Of the text half; and where in a vision-language model it is, as in `BACKBONES`.

    Raises:
        MissingError, ConfigError: as `load_llm`.
    """
    whole = AutoConfig.from_pretrained(model_folder(config.llm))
    if whole.model_type not in BACKBONES:
        raise ConfigError(
            f"{config.llm} is a {whole.model_type} model; the LLM can be one of "
            f"{', '.join(BACKBONES)}"
        )
    prefix = BACKBONES[whole.model_type]
    settings = whole if prefix is None else whole.text_config
    # a vision-language model says for both halves whether words share their weights
    settings.tie_word_embeddings = whole.tie_word_embeddings
    _check(config, settings)
    return settings, prefix


def describe(llm: Any) -> str:
    """Class and sizes of an LLM; adapters of one don't fit one of another."""
    sizes = llm.config
    layers, hidden, words = sizes.num_hidden_layers, sizes.hidden_size, sizes.vocab_size
    return f"{type(llm).__name__}, {layers} layers of width {hidden}, {words} tokens"


def checkpoint_activations(llm: Any) -> None:
    """Keep only each layer's input in training and compute the rest again in the backward pass.

    Gradients stay the same; memory falls by most of the activations, time rises by about 20 %.
    """
    llm.activation_checkpointing_enable()
    # it also makes word embeddings require gradients, which only re-entrant checkpoints need
    llm.disable_input_require_grads()


def keep_adapter_input(llm: Any) -> None:
    """Let adapters take their input as it comes and add to the output in place, for autocast.

    PEFT casts the input to fp32 and autocast casts it back: both copies are kept for the backward
    pass, once for every adapter. The output layer's adapter is read outside of autocast and goes on
    as before, those over 4-bit weights add as before.
    """
    for module in llm.base_model.modules():
        if isinstance(module, LoraLayer):
            module.cast_input_dtype_enabled = False
            if type(module) is LoraLinear and type(module.get_base_layer()) is nn.Linear:
                module.forward = partial(_adapted, module)  # type: ignore[method-assign]


def _adapted(layer: Any, x: Tensor) -> Tensor:
    """PEFT's ``base + up(down(x)) * scaling`` in one pass over the output instead of three.

    Args:
        layer: PEFT's, over a linear layer, with one adapter.
        x: (..., in).

    Returns:
        (..., out).
    """
    rows = x.flatten(0, -2)
    out: Tensor = layer.base_layer(rows)
    if not layer.merged:
        (name,) = layer.active_adapters
        low = layer.lora_A[name](layer.lora_dropout[name](rows))
        up = layer.lora_B[name].weight.to(out.dtype)
        out.addmm_(low, up.T, alpha=layer.scaling[name])
    return out.view(*x.shape[:-1], -1)


def compile_layers(llm: Any) -> None:
    """Compile each decoder layer on its first use; all of one class share the compiled code."""
    for layer in llm.base_model.layers:
        layer.compile()


def merge_adapters(llm: Any) -> None:
    """Fold the adapters into the weights for inference; training on is then wrong.

    Adapters stay beside weights that can't take them: 4-bit ones, which would be rounded again,
    and an output layer that shares its weight with the word embeddings, which must not change.
    """
    words = llm.get_input_embeddings().weight
    for module in llm.modules():
        if isinstance(module, LoraLayer):
            base: Any = module.get_base_layer()
            if type(base) is nn.Linear and base.weight is not words:
                module.merge()


def _check(config: ModelConfig, settings: Any) -> None:
    """Everything that can be known from ``config.json`` alone."""
    if config.num_layers is not None and not 1 <= config.num_layers <= settings.num_hidden_layers:
        raise ConfigError(
            f"num_layers is {config.num_layers}, but {config.llm} has "
            f"{settings.num_hidden_layers} layers"
        )
    if config.tuning == "qlora" and importlib.util.find_spec("bitsandbytes") is None:
        raise MissingError(
            "tuning is qlora, but bitsandbytes is not installed; pip install "
            "'prospect-assistant[qlora]', or choose lora"
        )
    if config.tuning in ("lora", "qlora"):
        with torch.device("meta"):
            empty = AutoModelForCausalLM.from_config(settings)  # type: ignore[no-untyped-call]
        linear = (name for name, layer in empty.named_modules() if isinstance(layer, nn.Linear))
        present = {name.rpartition(".")[2] for name in linear}
        unknown = sorted({*config.lora.targets} - present)
        if unknown:
            raise ConfigError(
                f"lora.targets: {config.llm} has no module {', '.join(unknown)}; it has "
                f"{', '.join(sorted(present))}"
            )


def _read(
    folder: Path, settings: Any, prefix: str | None, config: ModelConfig, dtype: torch.dtype
) -> Any:
    options: dict[str, Any] = {"config": settings, "dtype": dtype, "attn_implementation": PER_CLIP}
    if prefix is not None:
        options["key_mapping"] = {f"^{prefix}": "model."}
    if config.tuning == "qlora":
        options["quantization_config"] = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
    llm, _ = read_model(AutoModelForCausalLM, folder, options)
    return llm


def _cut(llm: Any, num_layers: int) -> None:
    """Leave only the first layers; the cache counts layers by the configuration."""
    llm.base_model.layers = llm.base_model.layers[:num_layers]
    llm.config.num_hidden_layers = num_layers
    if getattr(llm.config, "layer_types", None) is not None:
        llm.config.layer_types = llm.config.layer_types[:num_layers]


def _add_lora(llm: Any, lora: LoraConfig) -> None:
    adapters = PeftLora(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.targets),
    )
    with warnings.catch_warnings():
        # warns that merging into a shared weight changes the words too; `merge_adapters` doesn't
        warnings.filterwarnings("ignore", message="Model (with|has) `tie_word_embeddings=True`")
        inject_adapter_in_model(adapters, llm)
