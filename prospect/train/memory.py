"""How much memory training takes, computed from the model's sizes; see ``docs/scale.md``.

In: a model's sizes and the settings. Out: bytes by what they are for. Nothing is loaded, so a card
can be chosen before the weights are downloaded. Computed, not measured: expect 20 % more on a GPU
that keeps freed blocks, and measure with ``prospect train --dry-run``.
"""

from dataclasses import dataclass
from typing import Any

from prospect.model.config import ModelConfig
from prospect.model.losses import ROWS_AT_ONCE
from prospect.train.config import TrainConfig

_LEARNED_BYTES = 16
"""A learned weight: fp32 value, gradient and AdamW's two moments."""
_NF4_BYTES = (4 + 0.127) / 8
"""A 4-bit weight with double quantization (Dettmers et al. 2023, arXiv 2305.14314, section 3)."""
_LOGIT_BYTES = 16
"""A logit: as computed, in fp32, its log-softmax and its gradient, all of which are alive once."""
LABELLED_SHARE = 0.37
"""Of the tokens, as toy clips have it at one vector a frame; with more vectors it is less."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a language model: layers, hidden D, intermediate, query and key-value width, words.

    Attributes:
        layers: How many.
        hidden: D.
        inner: Width of the MLP.
        query, keys: Total width of query heads, and of key heads.
        words: Vocabulary V.
        tied: Whether input and output embeddings are one matrix.
    """

    layers: int
    hidden: int
    inner: int
    query: int
    keys: int
    words: int
    tied: bool

    @property
    def linear(self) -> int:
        """Weights of the decoder's linear layers."""
        attention = self.hidden * (2 * self.query + 2 * self.keys)
        return self.layers * (attention + 3 * self.hidden * self.inner)

    @property
    def embeddings(self) -> int:
        """Weights of input and output embeddings."""
        return self.words * self.hidden * (1 if self.tied else 2)

    def adapters(self, rank: int, targets: tuple[str, ...]) -> int:
        """Weights of low-rank adapters on these layers."""
        wide = {
            "q_proj": self.hidden + self.query,
            "k_proj": self.hidden + self.keys,
            "v_proj": self.hidden + self.keys,
            "o_proj": self.query + self.hidden,
            "gate_proj": self.hidden + self.inner,
            "up_proj": self.hidden + self.inner,
            "down_proj": self.inner + self.hidden,
        }
        inside = sum(size for name, size in wide.items() if name in targets)
        head = self.hidden + self.words if "lm_head" in targets else 0
        return rank * (self.layers * inside + head)


def shape_of(config: Any) -> Shape:
    """The sizes that a transformers configuration of a language model gives."""
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return Shape(
        layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        inner=config.intermediate_size,
        query=width * config.num_attention_heads,
        keys=width * config.num_key_value_heads,
        words=config.vocab_size,
        tied=config.tie_word_embeddings,
    )


LLAMA_3B = Shape(28, 3072, 8192, 3072, 1024, 128256, True)
LLAMA_8B = Shape(32, 4096, 14336, 4096, 1024, 128256, False)
SMOLVLM2 = Shape(24, 2048, 8192, 2048, 2048, 49280, False)
SMOLLM2_135M = Shape(30, 576, 1536, 576, 192, 49152, True)


@dataclass(frozen=True, slots=True)
class Estimate:
    """Bytes by what they are for.

    Attributes:
        weights: The language model's, frozen or not.
        learned: Values, gradients and moments of what learns, beyond `weights`.
        activations: Kept for the backward pass, of one forward pass.
        logits: At labelled positions; of a few rows at once where the output layer doesn't learn.
    """

    weights: float
    learned: float
    activations: float
    logits: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.weights + self.learned + self.activations + self.logits

    def __str__(self) -> str:
        parts = ("weights", "learned", "activations", "logits")
        told = ", ".join(f"{name} {getattr(self, name) / 1e9:.1f}" for name in parts)
        return f"{self.total / 1e9:.1f} GB computed ({told})"


def estimate(
    shape: Shape, model: ModelConfig, training: TrainConfig, tokens: int, number_bytes: int = 2
) -> Estimate:
    """Memory of a training step on one device, without sharding.

    Args:
        shape: Of the whole language model; `ModelConfig.num_layers` is taken into account.
        model, training: Settings.
        tokens: Of one forward pass, padding included: clips times the longest one's tokens, or
            ``tokens_per_batch`` of a packed row.
        number_bytes: Of the arithmetic's format: 2, or 4 for fp32.
    """
    layers = min(shape.layers, model.num_layers or shape.layers)
    cut = Shape(layers, *(getattr(shape, name) for name in Shape.__slots__[1:]))
    if model.tuning == "full":
        # fp32 masters are learned; autocast keeps a copy in the arithmetic's format
        weights = float(number_bytes * cut.linear)
        learned = _LEARNED_BYTES * (cut.linear + cut.embeddings)
    else:
        linear_bytes = _NF4_BYTES if model.tuning == "qlora" else number_bytes
        weights = linear_bytes * cut.linear + number_bytes * cut.embeddings
        adapted = model.tuning != "frozen"
        ours = cut.adapters(model.lora.rank, model.lora.targets) if adapted else 0
        learned = _LEARNED_BYTES * (ours + 2 * cut.hidden * cut.hidden)
    layer = _layer_bytes(cut, model, training, number_bytes)
    if training.activation_checkpointing:
        # every layer's input, and all of the one that is computed again
        activations = tokens * (layers * number_bytes * cut.hidden + layer)
    else:
        activations = tokens * layers * layer
    rows = LABELLED_SHARE * tokens
    if not (model.tuning == "full" or "lm_head" in model.lora.targets or model.roles == "tokens"):
        rows = min(rows, ROWS_AT_ONCE)
    return Estimate(weights, learned, activations, rows * cut.words * _LOGIT_BYTES)


def _layer_bytes(shape: Shape, model: ModelConfig, training: TrainConfig, number_bytes: int) -> int:
    """What one layer keeps of one token for the backward pass, as torch's autograd saves it."""
    norms = 2 * 4 * shape.hidden  # their inputs in fp32
    heads = 3 * shape.query + 3 * shape.keys
    kept = norms + number_bytes * (heads + 3 * shape.inner)
    if model.tuning == "frozen":
        return kept
    cast = training.adapter_input == "float32" and number_bytes < 4
    if model.tuning == "full" or not (cast or model.lora.dropout):
        # q, k and v share an input, so do gate and up; that of o is kept by the attention
        return kept + number_bytes * (2 * shape.hidden + shape.inner)
    mask = (4 if cast else number_bytes) if model.lora.dropout else 0
    return kept + (number_bytes + mask) * (5 * shape.hidden + shape.query + shape.inner)
