"""Where the shared real data is, or why a test that needs it is skipped."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

os.environ["HF_HUB_OFFLINE"] = "1"
# the models here are tiny: two threads that wait for each other at every product are slower than
# one, and ten times slower on a busy machine
os.environ["OMP_NUM_THREADS"] = "1"

ROOT = Path(__file__).resolve().parent.parent


def _folder(variables: tuple[str, ...], below: str) -> Path:
    for variable in variables:
        if variable in os.environ:
            path = Path(os.environ[variable]) / (below if variable == "PROSPECT_DATA" else "")
            break
    else:
        path = ROOT.parent / "shared" / "data" / below
    if not path.is_dir():
        pytest.skip(f"no folder {path}; set {' or '.join(variables)}")
    return path


@pytest.fixture(scope="session")
def data_dir() -> Path:
    return _folder(("PROSPECT_DATA",), "")


@pytest.fixture(scope="session")
def annotations_dir() -> Path:
    return _folder(("PROSPECT_ANNOTATIONS_DIR", "PROSPECT_DATA"), "annotations")


@pytest.fixture(scope="session")
def parity_dir() -> Path:
    return _folder(("PROSPECT_PARITY_DIR", "PROSPECT_DATA"), "parity")


@pytest.fixture(scope="session")
def tiny_llm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.models import save_tiny_llm

    return save_tiny_llm(tmp_path_factory.mktemp("tiny_llm"))


@pytest.fixture(scope="session")
def tokenizer() -> "PreTrainedTokenizerBase":
    """SmolLM2's, the real one."""
    from transformers import AutoTokenizer

    from prospect.pretrained import model_folder

    return AutoTokenizer.from_pretrained(model_folder("smollm2-135m-instruct"))
