"""The number format follows what the device computes natively, told by faked capabilities."""

import pytest
import torch

from prospect.errors import ConfigError
from prospect.model.precision import resolve_dtype
from prospect.pretrained import inference_dtype


def gpu(monkeypatch: pytest.MonkeyPatch, native_bf16: bool) -> None:
    def supported(including_emulation: bool = True) -> bool:
        # Turing emulates bf16: asked carelessly it says yes
        return native_bf16 or including_emulation

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)


def cpu(monkeypatch: pytest.MonkeyPatch, *flags: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: dict.fromkeys(flags, True))


def test_gpus_take_bf16_where_it_is_native(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu(monkeypatch, native_bf16=True)
    assert resolve_dtype("auto") == inference_dtype(torch.device("cuda")) == torch.bfloat16
    assert resolve_dtype("float16") == torch.float16


def test_turing_takes_fp16(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu(monkeypatch, native_bf16=False)
    assert resolve_dtype("auto") == inference_dtype(torch.device("cuda")) == torch.float16
    assert resolve_dtype("float32") == torch.float32
    with pytest.raises(ConfigError, match="bfloat16, which this GPU only emulates; choose float16"):
        resolve_dtype("bfloat16")


@pytest.mark.parametrize("flag", ["amx_bf16", "avx512_bf16"])
def test_cpus_with_bf16_instructions_take_it(monkeypatch: pytest.MonkeyPatch, flag: str) -> None:
    cpu(monkeypatch, "avx2", flag)
    assert resolve_dtype("auto") == torch.bfloat16


def test_other_cpus_take_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu(monkeypatch, "avx2", "avx512_f")
    assert resolve_dtype("auto") == torch.float32
    assert resolve_dtype("bfloat16") == torch.bfloat16  # slow, but what a test may want
    with pytest.raises(ConfigError, match="float16, which needs a GPU; choose auto"):
        resolve_dtype("float16")


def test_other_names_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"dtype is 'fp8'; choose auto, bfloat16"):
        resolve_dtype("fp8")
