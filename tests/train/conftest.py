"""A run that several tests compare with."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.train.runs import fit, settings


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small are slower on two threads, and far slower on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def unbroken(tiny_llm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of `settings`."""
    out = tmp_path_factory.mktemp("unbroken")
    fit(out, tiny_llm, settings())
    return out
