"""What of the LLM learns, what stays, and what a checkpoint then holds."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file
from torch import Tensor, nn

from prospect.errors import ConfigError, MissingError
from prospect.model import backbone
from prospect.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from prospect.model.config import LoraConfig, LossWeights, ModelConfig, Thresholds, Tuning
from prospect.model.losses import Batch, counts, four_losses
from prospect.model.network import build
from prospect.model.teacher import probabilities
from prospect.samples.dataset import collate
from tests.backbones import save_backbone
from tests.clips import random_stream

WIDTH = 8
CLIP = random_stream(4, num_frames=40)
VECTORS = torch.randn(40, 1, WIDTH, generator=torch.Generator().manual_seed(0))
HEAD = LoraConfig(rank=2, dropout=0.0, targets=(*LoraConfig().targets, "lm_head"))


QLORA = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None,
    reason="bitsandbytes is not installed; `make extras` runs this",
)


@pytest.fixture(scope="module", params=[True, False], ids=["tied", "untied"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_backbone("smollm2", tmp_path_factory.mktemp("llm"), tied=request.param)


def fresh(
    folder: Path, tuning: Tuning, lora: LoraConfig = HEAD, dtype: torch.dtype = torch.float32
) -> Checkpoint:
    config = ModelConfig(llm=str(folder), tuning=tuning, lora=lora)
    torch.manual_seed(1)
    network, renderer = build(config, WIDTH, dtype)
    return Checkpoint(network, renderer, config, Thresholds(), 2.0, {})


def loss_of(model: Checkpoint) -> Tensor:
    batch = Batch(**collate([(model.renderer.clip(CLIP), VECTORS)], model.renderer.end_id))
    losses = four_losses(model.network, batch, counts(batch.targets, batch.labels))
    return losses.total(LossWeights())


def learn(model: Checkpoint, steps: int = 3) -> list[float]:
    weights = [p for p in model.network.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-3)
    curve = []
    for _ in range(steps):
        loss = loss_of(model)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        curve.append(loss.item())
    model.network.eval()
    return curve


def llm_weights(model: Checkpoint) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in model.network.llm.named_parameters()}


def probs(model: Checkpoint) -> Tensor:
    return probabilities(model.network, model.renderer.clip(CLIP), VECTORS)


def next_tokens(model: Checkpoint) -> Tensor:
    with torch.no_grad():
        hidden = model.network(torch.from_numpy(model.renderer.clip(CLIP).ids)[None], VECTORS)
        return model.network.next_token_logits(hidden)


@pytest.mark.parametrize("tuning", ["lora", pytest.param("qlora", marks=QLORA), "full", "frozen"])
def test_learning_saving_and_loading(folder: Path, tuning: Tuning, tmp_path: Path) -> None:
    model = fresh(folder, tuning)
    before = llm_weights(model)
    curve = learn(model)
    assert curve[-1] < curve[0]
    moved = {name for name, weight in llm_weights(model).items() if not weight.equal(before[name])}
    adapters = {name for name in before if ".lora_" in name}
    assert moved == {"full": {*before}, "frozen": set()}.get(tuning, adapters)
    save_checkpoint(model, tmp_path / "saved")
    stored = load_file(tmp_path / "saved" / "weights.safetensors")
    assert {n.removeprefix("llm.") for n in stored if n.startswith("llm.")} == moved
    loaded = load_checkpoint(tmp_path / "saved", torch.float32)
    assert torch.equal(probs(loaded), probs(model))
    assert torch.equal(next_tokens(loaded), next_tokens(model))
    loaded.network.merge_adapters()
    torch.testing.assert_close(next_tokens(loaded), next_tokens(model), atol=1e-4, rtol=0)


@QLORA
def test_qlora_holds_the_weights_in_4_bits(folder: Path) -> None:
    layer = fresh(folder, "qlora").network.llm.base_model.layers[0].mlp.up_proj.get_base_layer()
    exact = fresh(folder, "lora").network.llm.base_model.layers[0].mlp.up_proj.get_base_layer()
    assert (layer.weight.dtype, layer.weight.numel() * 2) == (torch.uint8, exact.weight.numel())
    eye = torch.eye(exact.in_features)
    # NF4 has 16 levels between a block's extremes, so a weight is off by a few hundredths of them
    error = (layer(eye).T - exact.weight).abs().max() / exact.weight.abs().max()
    assert 0 < error < 0.2


def test_an_adapter_on_the_output_layer_leaves_the_words_alone(folder: Path) -> None:
    model = fresh(folder, "lora")
    words = model.network.llm.get_input_embeddings().weight.detach().clone()
    learn(model)
    before = next_tokens(model)
    assert model.network.llm.lm_head.lora_B["default"].weight.abs().max() > 0
    model.network.merge_adapters()
    assert torch.equal(model.network.llm.get_input_embeddings().weight, words)
    torch.testing.assert_close(next_tokens(model), before, atol=1e-4, rtol=0)


def test_full_tuning_learns_in_fp32_and_answers_in_bf16(folder: Path, tmp_path: Path) -> None:
    config = ModelConfig(llm=str(folder), tuning="full")
    network, renderer = build(config, WIDTH, torch.bfloat16)
    assert {weight.dtype for weight in network.parameters()} == {torch.float32}
    model = Checkpoint(network.eval(), renderer, config, Thresholds(), 2.0, {})
    save_checkpoint(model, tmp_path / "saved")
    loaded = load_checkpoint(tmp_path / "saved", torch.bfloat16)
    assert {weight.dtype for weight in loaded.network.llm.parameters()} == {torch.bfloat16}
    assert loaded.network.projector.up.weight.dtype == torch.float32
    torch.testing.assert_close(probs(loaded), probs(model), atol=0.05, rtol=0)


def test_full_tuning_in_autocast_keeps_small_updates(folder: Path) -> None:
    model = fresh(folder, "full")
    before = llm_weights(model)
    optimizer = torch.optim.AdamW(model.network.parameters(), lr=2e-5, weight_decay=0.0)
    with torch.autocast("cpu", torch.bfloat16):
        loss = loss_of(model)
    loss.backward()
    optimizer.step()
    after = llm_weights(model)
    name = "model.layers.0.mlp.up_proj.weight"
    # in bf16 a step of 2e-5 is lost in most weights of about 0.02
    assert (after[name] != before[name]).float().mean() > 0.99


def test_fp16_with_scaled_gradients_learns_as_fp32_does(folder: Path) -> None:
    curves = []
    for dtype in (torch.float32, torch.float16):
        model = fresh(folder, "lora", dtype=dtype)
        weights = [p for p in model.network.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(weights, lr=1e-3)
        half = dtype == torch.float16
        # what the trainer's library makes on a GPU, which it refuses to on a CPU
        scaler = torch.amp.GradScaler("cpu", enabled=half)
        curve: list[float] = []
        while len(curve) < 5:
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.float16, enabled=half):
                loss = loss_of(model)
            scale = scaler.get_scale()
            scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            scaler.step(optimizer)
            scaler.update()
            if scaler.get_scale() == scale:  # else the gradients were too large, and no step was
                curve.append(loss.item())
        curves.append(torch.tensor(curve))
    assert curves[1][-1] < curves[1][0]
    torch.testing.assert_close(curves[1], curves[0], rtol=5e-3, atol=0)


@pytest.mark.parametrize("tuning", ["lora", "full", "frozen"])
def test_activation_checkpointing_gives_the_same_gradients(folder: Path, tuning: Tuning) -> None:
    grads = []
    for checkpointing in (False, True):
        model = fresh(folder, tuning)
        model.network.train()
        if checkpointing:
            backbone.checkpoint_activations(model.network.llm)
        calls = 0

        def count(*_: object) -> None:
            nonlocal calls
            calls += 1

        layers = model.network.llm.base_model.layers
        for layer in layers:
            layer.mlp.register_forward_pre_hook(count)  # computing again stops before its end
        loss_of(model).backward()
        assert calls == (2 if checkpointing else 1) * len(layers)
        grads.append({n: p.grad for n, p in model.network.named_parameters() if p.grad is not None})
        probs(model)  # nothing is left that inference mode can't take
    assert grads[0].keys() == grads[1].keys()
    for name, grad in grads[0].items():
        torch.testing.assert_close(grads[1][name], grad, msg=name)


@pytest.mark.soak
@pytest.mark.filterwarnings("default")  # the compiler itself warns
def test_compiled_layers_give_the_same_losses(folder: Path) -> None:
    plain, compiled = (fresh(folder, "lora") for _ in range(2))
    backbone.compile_layers(compiled.network.llm)
    torch.testing.assert_close(torch.tensor(learn(compiled)), torch.tensor(learn(plain)))
    assert plain.network.trainable_state().keys() == compiled.network.trainable_state().keys()


class FourBit(nn.Linear):
    """A layer of another kind, such as one of 4-bit weights."""


def test_adapters_in_place_are_those_of_peft(folder: Path) -> None:
    model = fresh(folder, "lora")
    llm = model.network.llm
    for name, weight in llm.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(weight, std=0.1)
    last = llm.base_model.layers[-1].mlp.down_proj
    last.base_layer.__class__ = FourBit
    layers = {name: layer for name, layer in llm.named_modules() if isinstance(layer, LoraLayer)}
    expected, odds = _gradients(model), probs(model)
    backbone.keep_adapter_input(llm)
    found = _gradients(model)
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        assert (gradient - expected[name]).norm() <= 1e-5 * expected[name].norm(), name
    theirs = [name for name, layer in layers.items() if "forward" not in vars(layer)]
    assert [layers[name] for name in theirs] == [last, llm.get_output_embeddings()]
    model.network.merge_adapters()
    torch.testing.assert_close(probs(model), odds, atol=1e-4, rtol=1e-4)


def _gradients(model: Checkpoint) -> dict[str, Tensor]:
    """The loss and its gradient by everything that learns."""
    model.network.zero_grad()
    loss = loss_of(model)
    loss.backward()
    learned = model.network.named_parameters()
    return {"loss": loss.detach()} | {name: p.grad for name, p in learned if p.grad is not None}


def test_adapters_on_modules_that_are_not_there(folder: Path) -> None:
    lora = replace(LoraConfig(), targets=("q_proj", "w_pack", "query"))
    with pytest.raises(ConfigError, match=r"no module query, w_pack; it has down_proj, .*lm_head"):
        fresh(folder, "lora", lora)


def test_qlora_needs_its_package(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backbone.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingError, match="bitsandbytes is not installed; pip install"):
        fresh(folder, "qlora")
