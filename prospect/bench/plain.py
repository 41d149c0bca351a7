"""The plain way to train the same model: what one writes first with transformers and PEFT.

In: the same configuration, the same samples. Out: the same loss, from padded batches with an
attention mask, LoRA by `get_peft_model`, and `model(labels=...)`, which computes logits of the
whole vocabulary at every position.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from peft import LoraConfig as PeftLora
from peft import get_peft_model
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModelForCausalLM

from prospect.model.config import ModelConfig
from prospect.model.decide import SPEAK, UPDATE, make_heads
from prospect.model.network import Network
from prospect.model.projector import Projector
from prospect.pretrained import model_folder
from prospect.samples.dataset import Sample, collate
from prospect.samples.labels import ACT, SILENT

IGNORED = -100
"""What the library's loss takes for "no label"."""


class PlainNetwork(nn.Module):
    """LLM with PEFT's adapters, projector and decision heads.

    Args:
        config: Of the model: its LLM and LoRA settings; decisions are linear heads.
        feature_dim: Width E of the frame vectors.
        image_id: Token whose embedding a frame vector replaces.
        dtype: Of the LLM's frozen weights.
    """

    def __init__(
        self, config: ModelConfig, feature_dim: int, image_id: int, dtype: torch.dtype
    ) -> None:
        super().__init__()
        llm: Any = AutoModelForCausalLM.from_pretrained(model_folder(config.llm), dtype=dtype)
        llm.model.layers = llm.model.layers[: config.num_layers]
        llm.config.num_hidden_layers = len(llm.model.layers)
        lora = PeftLora(
            r=config.lora.rank,
            lora_alpha=config.lora.alpha,
            lora_dropout=config.lora.dropout,
            target_modules=list(config.lora.targets),
            task_type="CAUSAL_LM",
        )
        with warnings.catch_warnings():
            # PEFT 0.21 still asks transformers by the name it had before 5.0
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated")
            self.llm: Any = get_peft_model(llm, lora)
        words = llm.get_input_embeddings().weight
        scale = words.float().pow(2).mean().sqrt().item()
        self.projector = Projector(feature_dim, words.shape[1], scale)
        self.decide = make_heads("linear", words.shape[1])
        self.image_id = image_id

    def forward(
        self,
        batch: dict[str, Tensor],
        labels: Tensor | None,
        num_items: Tensor | None,
        keep: Tensor | int,
    ) -> Any:
        """The library's output with logits, all layers' hidden states, and the loss if labelled.

        Args:
            batch: Of `padded`.
            labels: (B, L), `IGNORED` where nothing is learned; None leaves the loss out.
            num_items: Labelled tokens of the global batch, by which the loss is divided.
            keep: ``logits_to_keep``: 0 for all positions, or a mask (B, L).
        """
        words = self.llm.get_input_embeddings()(batch["ids"])
        vectors = self.projector(batch["features"]).to(words.dtype)
        return self.llm(
            inputs_embeds=words.masked_scatter((batch["ids"] == self.image_id)[..., None], vectors),
            attention_mask=batch["mask"],
            labels=labels,
            output_hidden_states=True,
            use_cache=False,
            logits_to_keep=keep,
            num_items_in_batch=num_items,
        )


def padded(samples: Sequence[Sample], pad_id: int) -> dict[str, Tensor]:
    """A padded batch with the attention mask that every tutorial passes."""
    batch = collate(samples, pad_id)
    lengths = torch.tensor([len(rendered.ids) for rendered, _ in samples])
    places = torch.arange(batch["ids"].shape[1])
    return batch | {"mask": (places < lengths[:, None]).long()}


def plain_loss(network: PlainNetwork, batch: dict[str, Tensor], denominators: Tensor) -> Tensor:
    """CE over all labelled tokens by the library, and both decisions; full logits.

    Args:
        network: The plain one.
        batch: Of `padded`.
        denominators: (7,) `prospect.model.losses.counts` of the global batch.
    """
    labels = torch.where(batch["targets"] > 0, batch["ids"], IGNORED)
    out = network(batch, labels, denominators[:2].sum(), 0)
    tokens: Tensor = out.loss
    return tokens + _decision_losses(network, out, batch, denominators)


def selective_loss(network: PlainNetwork, batch: dict[str, Tensor], denominators: Tensor) -> Tensor:
    """The same with logits at labelled positions only (``logits_to_keep``)."""
    chosen = functional.pad(batch["targets"][:, 1:] > 0, (0, 1))
    out = network(batch, None, None, chosen)
    predicted = batch["ids"][:, 1:][chosen[:, :-1]]
    tokens = functional.cross_entropy(out.logits.flatten(0, -2).float(), predicted, reduction="sum")
    return tokens / denominators[:2].sum() + _decision_losses(network, out, batch, denominators)


def _decision_losses(
    network: PlainNetwork, out: Any, batch: dict[str, Tensor], denominators: Tensor
) -> Tensor:
    rows, ends = batch["frame_ends"].unbind(1)
    hidden = out.hidden_states[-1][rows, ends]
    logits = network.decide(hidden.float())
    labels = batch["labels"]
    return _balanced(logits[:, SPEAK], labels[:, SPEAK], denominators[2:4]) + _balanced(
        logits[:, UPDATE], labels[:, UPDATE], denominators[4:6]
    )


def _balanced(logits: Tensor, labels: Tensor, denominators: Tensor) -> Tensor:
    """Mean of the means of acting and silent frames; (2,) is how many of each there are."""
    total = logits.new_zeros(())
    for label, count in zip((ACT, SILENT), denominators, strict=True):
        chosen = labels == label
        losses = functional.binary_cross_entropy_with_logits(
            logits[chosen], labels[chosen].float(), reduction="sum"
        )
        total = total + losses / count.clamp(min=1)
    return total / (denominators > 0).sum().clamp(min=1)


def copy_weights(source: Network, target: PlainNetwork) -> None:
    """Give the plain network all that ours learns: adapters, projector, decision heads."""
    target.projector.load_state_dict(source.projector.state_dict())
    assert source.decide is not None
    target.decide.load_state_dict(source.decide.state_dict())
    adapters = {
        f"base_model.model.{name}": weight
        for name, weight in source.llm.state_dict().items()
        if "lora_" in name
    }
    report = target.llm.load_state_dict(adapters, strict=False)
    assert adapters
    assert not report.unexpected_keys
