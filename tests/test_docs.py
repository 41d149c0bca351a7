"""What the documentation tells to run is run through the real parser; what it links to is there."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch

from prospect.__main__ import build_parser, parse
from prospect.dialogues import label
from prospect.model.checkpoint import Checkpoint, save_checkpoint
from prospect.model.config import LoraConfig, ModelConfig, Thresholds
from prospect.model.network import build
from prospect.run_config import RunConfig
from prospect.shipped import SHIPPED
from tests.loopback import write_video

ROOT = Path(__file__).resolve().parent.parent
PRESETS = sorted((ROOT / "presets").glob("*.yaml"))
PAGES = (
    "README.md",
    "docs/data.md",
    "docs/report.md",
    "docs/metrics_differences.md",
    "docs/adapters.md",
    "docs/scale.md",
    "docs/predict.md",
    "docs/stream.md",
    "CONTRIBUTING.md",
)
COMMANDS = [
    (page, line)
    for page in PAGES
    for block in re.findall(r"```bash\n(.*?)```", (ROOT / page).read_text("utf-8"), re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
    if line.startswith("prospect ")
]


@pytest.mark.parametrize(("page", "line"), COMMANDS, ids=[line for _, line in COMMANDS])
def test_commands_parse(page: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    args = shlex.split(line, comments=True)[1:]
    assert parse(args).subcommand == args[0]


def test_readme_shows_commands() -> None:
    assert any(page == "README.md" for page, _ in COMMANDS)


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_presets_are_whole(path: Path) -> None:
    parser = build_parser()
    options = vars(parser.instantiate(parser.parse_args(["run", "--config", str(path)])).run)
    config = RunConfig(**{key: value for key, value in options.items() if key != "config"})
    assert config.train or not (config.val or config.test)  # else it only makes data
    assert config.trained is None or not config.val
    assert {*config.train, *config.val, *config.test} <= config.data.keys()


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_presets_open_with_hardware_time_and_what_to_expect(path: Path) -> None:
    head = re.match(r"(?:#.*\n)+", path.read_text("utf-8"))
    assert head, "no comment on top"
    assert re.search(r"\d+ (CPU )?cores|GPU", head[0])
    assert re.search(r"Time: .*(minutes|hours)", head[0])
    assert re.search(r"Expect: \S", head[0])


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)[^)]*\)", text)
    assert [link for link in links if not (ROOT / page).parent.joinpath(link).exists()] == []


def test_the_front_door_of_the_streaming_page_opens(
    tiny_llm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = ModelConfig(llm=str(tiny_llm), lora=LoraConfig(rank=2))
    network, renderer = build(config, 1280, torch.float32)
    model = Checkpoint(network, renderer, config, Thresholds(0.3, 0.3), 2.0, {})
    monkeypatch.chdir(tmp_path)
    save_checkpoint(model, tmp_path / "demo" / "checkpoint")
    monkeypatch.setitem(SHIPPED, "demo", tmp_path / "demo")
    for name in ("kitchen.mp4", "lab.mp4"):
        write_video(Path(name), 4, 2)
    page = (ROOT / "docs" / "stream.md").read_text("utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(block, "stream.md", "exec"), names)
    assert list(names["session"].state) == ["S1", "S2"]
    assert all(isinstance(events, list) for events in names["found"])


def test_the_eighth_dataset_of_the_walkthrough_is_read(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "adapters.md").read_text("utf-8")
    table, module = (
        re.findall(rf"```{kind}\n(.*?)```", page, re.DOTALL)[0] for kind in ("csv", "python")
    )
    for name in ("one", "two"):
        path = tmp_path / "videos" / f"{name}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text(table)
    names: dict[str, Any] = {}
    exec(compile(module, "bench.py", "exec"), names)
    adapted = names["SOURCE"].read(tmp_path)
    first = adapted.annotations[0]
    assert [step.name for step in first.task.steps] == ["Saw the board", "Sand the edge"]
    assert [one.mistake for one in first.actions] == [None, "against the grain", None]
    assert str(adapted.rows) == "kept 6 of 8; dropped 2 (2 has no length)"
    assert len(label(first).transitions) == 4
