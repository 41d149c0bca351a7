"""The computed memory against what torch keeps, and against sizes that are known."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoConfig

from prospect.model.backbone import keep_adapter_input
from prospect.model.config import LoraConfig, ModelConfig
from prospect.model.network import build
from prospect.train.config import TrainConfig
from prospect.train.memory import (
    LLAMA_3B,
    LLAMA_8B,
    SMOLLM2_135M,
    SMOLVLM2,
    Shape,
    estimate,
    shape_of,
)
from tests.models import FEATURE_DIM

TOKENS = 256
LARGE = LoraConfig(rank=128, alpha=256)
# of tokens that aren't in a layer: their embeddings, the rotary tables, the last norm
OUTSIDE_BYTES = 64 * (4 + 2 + 2) + 100


def test_known_models() -> None:
    assert LLAMA_3B.linear + LLAMA_3B.embeddings == pytest.approx(3.21e9, rel=0.01)
    assert LLAMA_8B.linear + LLAMA_8B.embeddings == pytest.approx(8.03e9, rel=0.01)
    assert SMOLLM2_135M.linear + SMOLLM2_135M.embeddings == pytest.approx(134.5e6, rel=0.01)
    # 30 layers x 16 x (q, k, v, o: 3840; gate, up, down: 6336)
    assert SMOLLM2_135M.adapters(16, LoraConfig().targets) == 30 * 16 * (3840 + 6336)
    assert SMOLLM2_135M.adapters(16, ("lm_head",)) == 16 * (576 + 49152)


def test_four_bits_and_masters() -> None:
    lora = estimate(LLAMA_3B, ModelConfig(), TrainConfig(), 0)
    four_bits = estimate(LLAMA_3B, ModelConfig(tuning="qlora"), TrainConfig(), 0)
    full = estimate(LLAMA_3B, ModelConfig(tuning="full"), TrainConfig(), 0)
    assert lora.weights == pytest.approx(2 * 3.21e9, rel=0.01)
    assert four_bits.weights == pytest.approx(2.82e9 * 0.516 + 2 * 0.394e9, rel=0.01)
    assert full.learned == pytest.approx(16 * 3.21e9, rel=0.01)
    assert lora.activations == lora.logits == 0


@pytest.mark.parametrize("dropout", [0.0, 0.1])
@pytest.mark.parametrize("native", [False, True], ids=["cast", "native"])
def test_activations_are_what_torch_keeps(tiny_llm: Path, dropout: float, native: bool) -> None:
    model = ModelConfig(llm=str(tiny_llm), lora=LoraConfig(dropout=dropout))
    config = TrainConfig(adapter_input="native" if native else "float32")
    network, _ = build(model, FEATURE_DIM, torch.bfloat16)
    network.train()
    if native:
        keep_adapter_input(network.llm)
    weights = {weight.untyped_storage().data_ptr() for weight in network.parameters()}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    ids = torch.arange(20, 20 + TOKENS)[None]
    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16),
    ):
        network(ids, torch.zeros(0, 1, FEATURE_DIM), positions=torch.arange(TOKENS)[None])
    found = sum(
        tensor.untyped_storage().nbytes() for at, tensor in kept.items() if at not in weights
    )
    shape = shape_of(AutoConfig.from_pretrained(tiny_llm))
    computed = estimate(shape, model, config, TOKENS).activations
    assert found == pytest.approx(computed + TOKENS * OUTSIDE_BYTES, rel=0.05)


ROWS: dict[str, tuple[Shape, ModelConfig]] = {
    "SmolLM2-135M, LoRA r 16 (`toy`)": (SMOLLM2_135M, ModelConfig(lora=LoraConfig(dropout=0.0))),
    "SmolVLM2-2.2B, LoRA r 128": (SMOLVLM2, ModelConfig(lora=LARGE)),
    "Llama-3.2-3B, LoRA r 128": (LLAMA_3B, ModelConfig(lora=LARGE)),
    "Llama-3.2-3B, QLoRA r 128": (LLAMA_3B, ModelConfig(tuning="qlora", lora=LARGE)),
    "Llama-3.1-8B, LoRA r 128 with `lm_head`": (
        LLAMA_8B,
        ModelConfig(lora=replace(LARGE, targets=(*LARGE.targets, "lm_head"))),
    ),
    "Llama-3.1-8B, QLoRA r 128": (LLAMA_8B, ModelConfig(tuning="qlora", lora=LARGE)),
    "Llama-3.2-3B, full": (LLAMA_3B, ModelConfig(tuning="full")),
}


def test_the_table_of_the_documentation() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "scale.md").read_text("utf-8")
    told = [
        row.strip("| ").split(" | ")
        for row in text.splitlines()
        if "| yes | " in row or "| no | " in row
    ]
    assert {row[0] for row in told} == ROWS.keys()
    for name, checkpointing, *numbers in told:
        config = TrainConfig(
            adapter_input="native", activation_checkpointing=checkpointing == "yes"
        )
        found = estimate(*ROWS[name], config, 4096)
        parts = (found.weights, found.learned, found.activations, found.logits, found.total)
        assert numbers == [f"{part / 1e9:.1f}" for part in parts], name
