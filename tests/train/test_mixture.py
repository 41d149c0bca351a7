"""Several sources in one run: their weights, and the loss of each."""

from pathlib import Path
from typing import get_args

import pytest
import torch

from prospect.errors import ConfigError
from prospect.model.config import DecisionLoss, Write
from prospect.model.losses import Batch
from prospect.samples.dataset import ClipDataset, collate, micro_batches, pack
from prospect.samples.plan import Source
from prospect.samples.sequence import Renderer
from prospect.samples.variants import no_knowledge
from prospect.train.config import SourceConfig
from prospect.train.mixture import mixture
from prospect.train.objective import Objective, denominators
from prospect.types import Clip, ClipKind
from tests.models import tiny_model
from tests.train.runs import TRAIN, features, fit, rows, settings

CPU = torch.device("cpu")
FOLDERS = [Path("runs/toy"), Path("runs/real")]
WHERE: list[tuple[Path, ClipKind]] = [
    (FOLDERS[0], "dialogue"),
    (FOLDERS[0], "state"),
    (FOLDERS[1], "dialogue"),
    (FOLDERS[1], "narration"),
]


def test_a_clip_belongs_to_the_first_source_it_fits() -> None:
    sources = mixture(
        {
            "talk": SourceConfig(kinds=("dialogue",), weight=2.0),
            "toy": SourceConfig(data="toy", weight=0.5),
        },
        WHERE,
    )
    assert sources == (Source("talk", (0, 2), 2.0), Source("toy", (1,), 0.5))
    assert mixture({}, WHERE) == (Source("all", (0, 1, 2, 3), 1.0),)


def test_a_source_without_clips_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"source absent.*data toys.*runs/toy, runs/real"):
        mixture({"absent": SourceConfig(data="toys")}, WHERE)
    with pytest.raises(ConfigError, match="kinds summary"):
        mixture({"x": SourceConfig(kinds=("summary",))}, WHERE)


def untold(clip: Clip, renderer: Renderer) -> Clip:
    """The same talk to a model that isn't told the steps."""
    found = no_knowledge(clip, renderer, 9999, 0)
    assert isinstance(found, list)
    return found[0]


@pytest.mark.parametrize("write", get_args(Write))
@pytest.mark.parametrize("knowledge", [True, False])
@pytest.mark.parametrize("packing", [False, True])
def test_losses_of_a_source_are_those_of_its_clips_alone(
    tiny_llm: Path, packing: bool, knowledge: bool, write: Write
) -> None:
    model = tiny_model(tiny_llm, write=write)
    clips = [
        clip if knowledge or index % 2 else untold(clip, model.renderer)
        for index, clip in enumerate(TRAIN)
    ]
    dataset = ClipDataset(clips, model.renderer, features, None)
    samples = [dataset[index] for index in range(4)]
    objective = Objective(model.network, DecisionLoss(), 2, CPU, torch.float32).eval()
    drawn = [(*sample, index % 2) for index, sample in enumerate(samples)]
    tokens = 10_000 if packing else None
    (mixed,) = micro_batches(drawn, model.renderer.end_id, 4, tokens, with_sources=True)
    batch = Batch(**mixed)
    with torch.no_grad():
        found = objective(batch, denominators(batch, 2))
        plain = Objective(model.network, DecisionLoss(), 0, CPU, torch.float32).eval()
        for row, chosen in enumerate([samples, samples[0::2], samples[1::2]]):
            made = pack(chosen) if packing else collate(chosen, model.renderer.end_id)
            alone = Batch(**made)
            expected = plain(alone, denominators(alone, 0))[0]
            torch.testing.assert_close(found[row], expected, atol=1e-4, rtol=1e-4)


def test_a_mixed_run_logs_each_source(tiny_llm: Path, tmp_path: Path) -> None:
    sources = (Source("often", (0, 1), 2.0), Source("rare", (2, 3, 4), 1 / 3))
    fit(tmp_path, tiny_llm, settings(optim={"batch_size": 5, "epochs": 3}), sources)
    found = rows(tmp_path)
    assert [row["step"] for row in found] == [1, 2, 3]
    for row in found:
        low, high = sorted((row["loss/often"], row["loss/rare"]))
        assert low - 1 < row["loss"] < high + 1
    assert len({row["loss/rare"] for row in found}) == 3
