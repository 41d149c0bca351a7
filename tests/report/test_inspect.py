"""Clips drawn as text and as a page, and the verb."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerBase

from prospect.errors import ConfigError
from prospect.exchange import inspect
from prospect.files import write_records
from prospect.report.inspect import Frames, Turn, as_text, pieces, write_page
from prospect.samples.sequence import SUMMARY_REQUEST, Renderer
from prospect.samples.statistics import count
from prospect.types import Clip, Event, Step, Task, Transition
from tests.clips import random_stream

TEA = replace(
    random_stream(0),
    task=Task("Make <b>tea</b>", (Step("S1", "Boil water."),)),
    state={"S1": "not_started"},
    start_frame=2,
    decide_from=4,
    stop_frame=12,
    events=(
        Event(4, user="How?"),
        Event(5, (Transition("S1", "start"),), "Fill the kettle.", "And then?"),
    ),
    summary="Water is boiling.",
)


@pytest.fixture
def renderer(tokenizer: PreTrainedTokenizerBase) -> Renderer:
    return Renderer(tokenizer, 2)


def test_the_pieces_are_the_sequence(renderer: Renderer) -> None:
    found = pieces(TEA, renderer)
    assert [p.role if isinstance(p, Turn) else (p.start, p.stop) for p in found] == [
        "system",
        (2, 5),
        "user",
        (5, 6),
        "state",
        "assistant",
        "user",
        (6, 12),
        "user",
        "assistant",
    ]
    said = [piece.text for piece in found if isinstance(piece, Turn)]
    assert said[0].endswith("State: S1: not_started")
    assert said[1:] == [
        *("How?", "S1->start", "Fill the kettle.", "And then?"),
        *(SUMMARY_REQUEST, "Water is boiling."),
    ]
    first = found[1]
    assert isinstance(first, Frames)
    assert (first.start_s, first.stop_s) == (1.0, 2.5)
    assert first.speak == ("unlabelled", "unlabelled", "unlabelled")
    assert first.update == ("unlabelled", "unlabelled", "silent")
    tokens = sum(piece.num_tokens if isinstance(piece, Turn) else 2 * len(piece) for piece in found)
    assert tokens == len(renderer.clip(TEA).ids)


def test_every_piece_of_any_clip(renderer: Renderer) -> None:
    for seed in range(6):
        clip = random_stream(seed)
        found = pieces(clip, renderer)
        tokens = sum(p.num_tokens if isinstance(p, Turn) else 2 * len(p) for p in found)
        assert tokens == renderer.clip_len(clip)


def test_as_text(renderer: Renderer) -> None:
    lines = list(as_text(count([TEA], renderer), TEA, renderer))
    assert lines[1].split()[:6] == ["all", "1", "1", "1", "10", "0.00"]
    assert "transitions: start 1" in lines
    assert "clips with illegal transitions: 0" in lines
    at = lines.index("frames [6, 12)  3.0 to 6.0 s")
    assert lines[at + 1 : at + 3] == ["  speak  |......|", "  update |......|"]
    at = lines.index("frames [5, 6)  2.5 to 3.0 s")
    assert lines[at + 1 : at + 3] == ["  speak  |#|", "  update |#|"]
    assert lines[at + 3 : at + 5] == ["[state] S1->start", "[assistant] Fill the kettle."]


def data_of(folder: Path, clips: list[Clip]) -> Path:
    write_records(folder / "clips.jsonl", clips)
    return folder


def test_the_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = replace(TEA, clip_id="v/no_talk-0/7", kind="summary")
    data = data_of(tmp_path, [TEA, other])
    inspect(data, "v/no_talk-0/7", html=tmp_path / "x" / "page.html")
    printed = capsys.readouterr().out
    assert "kind: dialogue" in printed
    assert "v/no_talk-0/7: " in printed
    page = (tmp_path / "x" / "page.html").read_text()
    assert "Make &lt;b&gt;tea" in page
    assert "://" not in page
    with pytest.raises(ConfigError, match=r"clips\.jsonl has no clip 'none'"):
        inspect(data / "clips.jsonl", "none")


@pytest.mark.browser
def test_the_page_in_a_browser(tmp_path: Path, renderer: Renderer) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no chromium on this machine")
    from playwright.sync_api import sync_playwright

    path = tmp_path / "page.html"
    write_page(path, "clips.jsonl", count([TEA], renderer), TEA, renderer)
    errors: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.on("console", lambda message: errors.append(message.text))
        page.goto(path.as_uri())
        assert page.locator(".strip i").count() == 3 + 10  # the key's and one a frame
        assert page.locator(".turn").count() == 7
        assert page.locator("u.act").count() == 1 + 1
        box = page.locator(".frames .strip i").first.bounding_box()
        assert box is not None
        assert box["width"] > 5
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280
        browser.close()
    assert errors == []
