"""Every class of LLM, small and random but real: it learns, comes back, and watches a video."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForImageTextToText, AutoTokenizer

from prospect.errors import ConfigError, DataError
from prospect.model.backbone import BACKBONES, load_llm
from prospect.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from prospect.model.config import LoraConfig, LossWeights, ModelConfig, Thresholds
from prospect.model.losses import Batch, Losses, counts, four_losses
from prospect.model.network import build
from prospect.model.teacher import probabilities
from prospect.samples.dataset import collate, pack
from prospect.states.transitions import fold, initial_state
from prospect.stream.assistant import Assistant, StateChange
from prospect.stream.config import StreamConfig
from prospect.toy.draw import draw
from prospect.toy.world import annotations
from tests.backbones import TOKENIZERS, save_backbone
from tests.clips import random_stream

FAMILIES = list(TOKENIZERS)
WIDTH = 8  # of the frame vectors where none are encoded
CLIP = random_stream(4, num_frames=40)
VECTORS = torch.randn(40, 1, WIDTH, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_backbone(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def tower(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An encoder that takes less time than EfficientNet."""
    return str(save_backbone("smolvlm", tmp_path_factory.mktemp("tower")))


@pytest.fixture(scope="module")
def save(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    def save_family(family: str, seed: int = 0) -> Path:
        return save_backbone(family, tmp_path_factory.mktemp(family), seed=seed)

    return save_family


def fresh(config: ModelConfig, feature_dim: int = WIDTH) -> Checkpoint:
    """A model whose adapters do something."""
    torch.manual_seed(1)
    network, renderer = build(config, feature_dim, torch.float32)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.05)
        network.projector.fit(5 + torch.randn(50, feature_dim))
    return Checkpoint(network.eval(), renderer, config, Thresholds(), 2.0, {})


def losses_of(model: Checkpoint) -> Losses:
    batch = Batch(**collate([(model.renderer.clip(CLIP), VECTORS)], model.renderer.end_id))
    return four_losses(model.network, batch, counts(batch.targets, batch.labels))


def probs(model: Checkpoint) -> Tensor:
    return probabilities(model.network, model.renderer.clip(CLIP), VECTORS)


def test_every_class_is_tested() -> None:
    assert set(BACKBONES) == {*FAMILIES} - {"smollm2"}


def test_turns_are_those_of_the_models_own_chat(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    renderer = fresh(ModelConfig(llm=str(folder))).renderer
    chat = [{"role": "system", "content": "the task"}, {"role": "user", "content": "and now?"}]
    want = tokenizer.apply_chat_template(chat, tokenize=False)
    ids = [
        *renderer.begin,
        *renderer.turn("system", "the task"),
        *renderer.turn("user", "and now?"),
    ]
    got = tokenizer.decode(ids)
    if "<end_of_utterance>" in want:
        # every turn opens with the token that the model's own format has before the first alone
        want = want.replace("\nUser", "\n<|im_start|>User")
    # frames follow a turn without the line break that templates put between two turns
    assert got == want.replace("<|im_end|>\n", "<|im_end|>").replace("utterance>\n", "utterance>")
    assert {renderer.image_id, renderer.end_id} <= {*renderer.special_ids}
    assert len({renderer.image_id, renderer.end_id, *renderer.header("assistant")[:1]}) == 3
    for marker in (tokenizer.decode([renderer.image_id]), tokenizer.decode([renderer.end_id])):
        assert not {*renderer.text(f"say {marker} now")} & {*renderer.special_ids}


def test_every_projection_learns_from_the_four_losses(folder: Path) -> None:
    model = fresh(ModelConfig(llm=str(folder), lora=LoraConfig(rank=2, dropout=0.0)))
    losses = losses_of(model)
    shares = [losses.speak_gen, losses.state_gen, losses.speak_bin, losses.update_bin]
    assert all(0 < share.item() < 20 for share in shares)
    losses.total(LossWeights()).backward()
    grads = {n: p.grad for n, p in model.network.named_parameters() if p.requires_grad}
    for target in LoraConfig().targets:
        touched = [n for n in grads if f".{target}." in n]
        assert len(touched) == 4, target  # two layers, two matrices each
        for name in touched:
            grad = grads[name]
            assert grad is not None, name
            assert grad.abs().max() > 0, name


def test_a_checkpoint_comes_back_equal(folder: Path, tmp_path: Path) -> None:
    model = fresh(ModelConfig(llm=str(folder), lora=LoraConfig(rank=2)))
    save_checkpoint(model, tmp_path / "saved")
    loaded = load_checkpoint(tmp_path / "saved", torch.float32)
    assert torch.equal(probs(loaded), probs(model))
    loaded.network.merge_adapters()
    torch.testing.assert_close(probs(loaded), probs(model), atol=1e-5, rtol=0)


def test_packed_clips_do_not_see_each_other(folder: Path) -> None:
    model = fresh(ModelConfig(llm=str(folder), lora=LoraConfig(rank=2)))
    other = random_stream(1, num_frames=30)
    samples = [(model.renderer.clip(CLIP), VECTORS), (model.renderer.clip(other), VECTORS[:30])]
    batch = Batch(**pack(samples))
    with torch.no_grad():
        packed = model.network(batch.ids, batch.features, positions=batch.positions)[0]
        alone = [
            model.network(torch.from_numpy(rendered.ids)[None], vectors)[0]
            for rendered, vectors in samples
        ]
    torch.testing.assert_close(packed, torch.cat(alone), atol=1e-4, rtol=0)


def test_the_first_layers_alone(folder: Path) -> None:
    one = fresh(ModelConfig(llm=str(folder), num_layers=1))
    assert len(one.network.llm.base_model.layers) == 1
    assert probs(one).shape == (40, 2)


def test_it_watches_a_video(folder: Path, tower: str, tmp_path: Path) -> None:
    config = ModelConfig(llm=str(folder), encoder=tower, num_layers=1, lora=LoraConfig(rank=2))
    save_checkpoint(fresh(config, 64), tmp_path / "saved")
    eager = StreamConfig(speak_threshold=0.2, update_threshold=0.2, max_new_tokens=3)
    assistant = Assistant.from_pretrained(tmp_path / "saved", eager, "float32")
    annotation = annotations("train", 1, 0)[0]
    session = assistant.open(annotation.task)
    moves = []
    for image in islice(draw(annotation, assistant.fps), 4):
        for event in session.step(image):
            moves += event.transitions if isinstance(event, StateChange) else []
    assert moves
    assert session.state == fold(initial_state(annotation.task), moves)


@torch.no_grad()
def test_the_text_half_is_that_of_the_vision_language_model(save: Callable[..., Path]) -> None:
    folder = save("smolvlm")
    ids = torch.arange(5, 25)[None]
    whole = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    text = load_llm(ModelConfig(llm=str(folder), tuning="frozen"), torch.float32).eval()
    assert torch.equal(text(ids).logits, whole(input_ids=ids).logits)
    assert not any("vision" in name for name, _ in text.named_parameters())


def test_smolvlm_sees_through_its_own_tower_and_connector(
    save: Callable[..., Path], tmp_path: Path
) -> None:
    folder = str(save("smolvlm"))
    config = ModelConfig(
        llm=folder, encoder=folder, vectors_per_frame="native", projector="residual"
    )
    model = fresh(config, 64)
    assert model.renderer.tokens_per_frame == 81
    vectors = torch.randn(2, 81, 64)
    # before training the connector's vectors stand in the words' places as they are
    assert torch.equal(model.network.projector(vectors), vectors)
    save_checkpoint(model, tmp_path / "saved")
    assistant = Assistant.from_pretrained(tmp_path / "saved", dtype="float32")
    annotation = annotations("train", 1, 0)[0]
    session = assistant.open(annotation.task)
    for image in islice(draw(annotation, assistant.fps), 2):
        session.step(image)
    with pytest.raises(ConfigError, match="have 8 numbers and the LLM's words 64; choose mlp"):
        build(config, 8, torch.float32)


def test_a_checkpoint_of_another_backbone_is_refused(
    save: Callable[..., Path], tmp_path: Path
) -> None:
    folder, saved = save("smollm2"), tmp_path / "saved"
    save_checkpoint(fresh(ModelConfig(llm=str(folder), tuning="frozen")), saved)
    save_backbone("qwen3", folder)
    with pytest.raises(DataError, match=r"trained on LlamaForCausalLM, 2 layers .* Qwen3ForCaus"):
        load_checkpoint(saved, torch.float32)


def test_what_can_not_be_the_llm_is_refused(save: Callable[..., Path], tmp_path: Path) -> None:
    from transformers import GPT2Config

    GPT2Config().save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="is a gpt2 model; the LLM can be one of llama, smollm3"):
        load_llm(ModelConfig(llm=str(tmp_path)), torch.float32)


def test_weights_that_are_not_whole_are_refused(save: Callable[..., Path]) -> None:
    from safetensors.torch import load_file, save_file

    folder = save("llama")
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DataError, match=r"1 weights are not there .*layers\.1\.mlp\.up_proj"):
        load_llm(ModelConfig(llm=str(folder)), torch.float32)
