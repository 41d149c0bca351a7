"""The whole page: complete, self-contained, escaped, and working in a browser."""

import copy
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from prospect.embeddings import Embed
from prospect.errors import DataError
from prospect.report import page as module
from prospect.report.page import write_report
from prospect.types import Event, Prediction, Step, Task

Thumbnails = Callable[[Prediction, Sequence[int]], Mapping[int, bytes]]
Visit = Callable[..., Page]


def blank(of: Prediction, frames: Sequence[int]) -> Mapping[int, bytes]:
    return {}


@pytest.fixture
def page(
    tmp_path: Path,
    scores: dict[str, Any],
    predictions: list[Prediction],
    training: list[dict[str, Any]],
    thumbnails: Thumbnails,
    about: dict[str, Any],
    embed: Embed,
) -> Path:
    out = tmp_path / "report.html"
    write_report(out, scores, predictions, {"demo": training}, thumbnails, about, embed)
    return out


def test_complete_and_self_contained(page: Path) -> None:
    text = page.read_text()
    assert len(text) < 3_000_000
    for part in ("SmolLM2-135M", "2 CPU cores", "all-MiniLM-L6-v2", "lower update_threshold"):
        assert part in text
    assert text.count('<article class="video"') == 9
    assert text.count(" · median") == 1
    links = re.findall(r'(?:src|href)="([^"#]*)', text)
    assert links
    assert all(link == "" or link.startswith("data:image/jpeg;base64,") for link in links)
    assert "//" not in re.sub(
        r'"data:[^"]*"|(^\s*|; )// .*$|default-src.*', "", text, flags=re.MULTILINE
    )
    anchors, ids = set(re.findall(r'href="#([^"]+)"', text)), re.findall(r' id="([^"]+)"', text)
    assert anchors <= set(ids)
    assert len(ids) == len(set(ids))


def test_same_input_same_bytes(
    page: Path,
    scores: dict[str, Any],
    predictions: list[Prediction],
    training: list[dict[str, Any]],
    thumbnails: Thumbnails,
    about: dict[str, Any],
    embed: Embed,
) -> None:
    before = page.read_bytes()
    write_report(page, scores, predictions, {"demo": training}, thumbnails, about, embed)
    assert page.read_bytes() == before


def test_texts_are_escaped(
    tmp_path: Path,
    scores: dict[str, Any],
    make_prediction: Callable[..., Prediction],
    embed: Embed,
) -> None:
    evil = "</script><script>alert(1)</script>"
    made = replace(
        make_prediction(0, steps=1),
        task=Task(evil, (Step("S1", evil),)),
        video_id=evil,
        events=(Event(3, speech=evil),),
        references=(Event(5, speech=evil, user=evil),),
        details={evil: evil},
    )
    scores["diagnosis"] = [evil, {"finding": evil}]
    out = tmp_path / "report.html"
    about = {evil: evil, "config": f"a\n{evil}"}
    write_report(out, scores, [made], {evil: [{"step": 1, "loss": 2.0}]}, blank, about, embed)
    text = out.read_text()
    assert "alert(1)" in text
    assert evil not in text
    assert "<script>alert" not in text


def test_missing_pieces_are_told(tmp_path: Path, scores: dict[str, Any], embed: Embed) -> None:
    scores["systems"] = {"demo": scores["systems"]["demo"]}
    scores.update(differences={}, diagnosis=[])
    scores["systems"]["demo"]["other_mode"] = {"mode": "proassist", "scores": {}}
    out = tmp_path / "report.html"
    write_report(out, scores, [], {}, blank, {}, embed)
    text = out.read_text()
    for part in (
        "No training log was given.",
        "Only one system was scored",
        "No self-fed predictions of demo were given",
        "Nothing stands out.",
        "no baseline scored",
        "No errors in the videos above.",
        "demo gives no probabilities, or no predictions of it were given.",
        "Nothing that demo did matches a reference",
        "No transitions are due or predicted.",
        "In mode proassist every score of demo is the same.",
    ):
        assert part in text


def test_video_without_steps_or_probabilities(
    tmp_path: Path,
    scores: dict[str, Any],
    make_prediction: Callable[..., Prediction],
    embed: Embed,
) -> None:
    made = replace(make_prediction(0, steps=0), speak_prob=(), update_prob=())
    out = tmp_path / "report.html"
    write_report(out, scores, [made], {}, blank, {}, embed)
    text = out.read_text()
    assert "This video's task has no steps" in text
    assert "This system gives no probabilities." in text


def test_only_the_main_system_fed_by_itself(
    tmp_path: Path, scores: dict[str, Any], predictions: list[Prediction], embed: Embed
) -> None:
    others = [replace(predictions[0], system="blind"), replace(predictions[1], fed="oracle")]
    out = tmp_path / "report.html"
    write_report(out, scores, [*others, predictions[2]], {}, blank, {}, embed)
    assert out.read_text().count('<article class="video"') == 1


def test_a_record_that_cannot_be_scored(
    tmp_path: Path, scores: dict[str, Any], predictions: list[Prediction], embed: Embed
) -> None:
    bad = replace(predictions[0], speak_prob=(0.5,))
    with pytest.raises(DataError, match="toy-000/talk_some-0 by demo: 1 values of speak_prob"):
        write_report(tmp_path / "report.html", scores, [bad], {}, blank, {}, embed)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def two_runs(
    tmp_path: Path, scores: dict[str, Any], predictions: list[Prediction], embed: Embed
) -> Path:
    """A second model on the same streams, which does nothing on the odd ones."""
    scores["systems"]["rival"] = copy.deepcopy(scores["systems"]["demo"])
    rival = [
        replace(one, system="rival", events=() if place % 2 else one.events)
        for place, one in enumerate(predictions)
    ]
    out = tmp_path / "two.html"
    write_report(out, scores, [*predictions, *rival], {}, blank, {}, embed)
    return out


def test_models_stand_side_by_side(two_runs: Path) -> None:
    text = two_runs.read_text()
    systems = re.findall(r'<button [^>]*data-system="(\w+)"', text)
    assert systems == ["demo", "rival"] * 9
    streams = re.findall(r'<button [^>]*data-stream="([^"]+)"', text)
    assert streams[::2] == streams[1::2]
    assert "<h1>demo <small>beside rival</small></h1>" in text
    assert text.count("Speak decision over its threshold") == 4  # title and label of each
    assert text.count("speak, adaptive") == 2
    assert '<tr class="run">' in text
    assert "There are no pictures: the videos are in none of the given data folders." in text


def test_many_long_videos_stay_light(
    tmp_path: Path,
    scores: dict[str, Any],
    make_prediction: Callable[..., Prediction],
    thumbnails: Thumbnails,
    embed: Embed,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A tenth of 100 videos of ten minutes, with a tenth of the budget: below 3 MB of 30."""
    monkeypatch.setattr(module, "PICTURE_BUDGET_BYTES", module.PICTURE_BUDGET_BYTES // 10)
    made = [make_prediction(seed, steps=12, duration_s=600.0) for seed in range(10)]
    out = tmp_path / "report.html"
    write_report(out, scores, made, {}, thumbnails, {}, embed)
    # the pictures of the gallery come once, whatever the number of videos
    gallery = sum(map(len, re.findall(r'<img src="(data:[^"]*)"', out.read_text())))
    assert out.stat().st_size - gallery < 2_800_000


def readout(page: Page) -> str:
    return page.locator(".stage .readout dl").inner_text().replace("\n", " ")


def titles(page: Page) -> list[str]:
    return page.locator(".picker button:visible").all_inner_texts()


@pytest.mark.browser
def test_scrubs(page: Path, visit: Visit) -> None:
    view = visit(page)
    strip = view.locator(".stage .strip svg").first
    box = strip.bounding_box()
    assert box
    strip.hover(position={"x": box["width"] / 2, "y": 5})
    assert "1:30.5, frame 180 P(speak)" in readout(view)
    assert "Reference state" in readout(view)
    view.locator(".stage .strip").focus()
    view.keyboard.press("ArrowRight")
    assert "frame 181" in readout(view)
    view.keyboard.press("Shift+ArrowLeft")
    assert "frame 171" in readout(view)
    view.keyboard.press("End")
    assert "frame 359" in readout(view)
    view.keyboard.press("Home")
    assert "frame 0" in readout(view)
    view.locator(".stage .scrub").fill("77")
    assert "frame 77" in readout(view)
    last = view.locator(".stage .transcript tbody tr").last
    last.click()
    assert "now" in str(last.get_attribute("class"))
    assert view.locator(".stage .readout img").get_attribute("src")


@pytest.mark.browser
def test_keys_lead_through_videos_and_errors(page: Path, visit: Visit) -> None:
    view = visit(page)
    current = view.locator(".picker [aria-current]")
    assert "median" in current.inner_text()
    before = current.get_attribute("data-key")
    view.keyboard.press("j")
    assert current.get_attribute("data-key") == f"v{int(str(before)[1:]) + 1}"
    view.keyboard.press("k")
    assert current.get_attribute("data-key") == before
    view.keyboard.press("n")
    row = view.locator(".stage tr.now")
    assert "error" in str(row.get_attribute("class"))
    first = row.get_attribute("id")
    view.keyboard.press("n")
    assert row.get_attribute("id") != first
    view.keyboard.press("p")
    assert row.get_attribute("id") == first


@pytest.mark.browser
def test_filters(page: Path, visit: Visit) -> None:
    view = visit(page)
    assert len(titles(view)) == 9
    assert view.locator(".filters select").count() == 1  # one dataset, one kind of user, one model
    view.get_by_label("Task in training").select_option("seen")
    assert sorted(title.split()[0] for title in titles(view)) == [
        f"toy-00{n}" for n in (1, 3, 5, 7)
    ]
    expect(view.locator(".filters output")).to_have_text("4 of 9 shown")
    assert view.locator(".picker [aria-current]").get_attribute("data-task") == "seen"
    rows = view.locator(".stage .transcript tbody tr:visible")
    some = rows.count()
    view.keyboard.press("e")
    assert 0 < rows.count() < some
    assert rows.count() == view.locator(".stage tr.error").count()


@pytest.mark.browser
def test_only_videos_with_errors(
    tmp_path: Path,
    scores: dict[str, Any],
    predictions: list[Prediction],
    embed: Embed,
    visit: Visit,
) -> None:
    first = predictions[0]
    right = replace(first, events=tuple(replace(one, user=None) for one in first.references[1:]))
    out = tmp_path / "report.html"
    write_report(out, scores, [right, *predictions[1:3]], {}, blank, {}, embed)
    view = visit(out)
    view.get_by_label("errors only").check()
    assert sorted(title.split()[0] for title in titles(view)) == ["toy-001", "toy-002"]


@pytest.mark.browser
def test_a_card_leads_into_the_timeline(page: Path, visit: Visit) -> None:
    view = visit(page)
    assert view.locator(".card img").count() > 10
    card = view.locator(".card").last
    key, frame = str(card.get_attribute("href"))[1:].split("-")
    card.click()
    expect(view.locator(f".picker [data-key={key}]")).to_have_attribute("aria-current", "true")
    assert f"frame {frame}" in readout(view)
    expect(view.locator(".stage")).to_be_in_viewport()
    view.locator(".stage .strip").focus()
    view.keyboard.press("End")
    card.click()  # the same address again
    assert f"frame {frame}" in readout(view)
    linked = visit(page, at=f"#{key}-{frame}")  # and from outside
    assert f"frame {frame}" in readout(linked)


@pytest.mark.browser
def test_another_model_is_shown_at_the_same_frame(two_runs: Path, visit: Visit) -> None:
    view = visit(two_runs)
    view.locator(".stage .scrub").fill("123")
    view.keyboard.press("j")
    assert view.locator(".picker [aria-current]").get_attribute("data-system") == "rival"
    assert "frame 123" in readout(view)
    view.keyboard.press("j")
    assert "frame 123" not in readout(view)
    view.get_by_label("Model").select_option("rival")
    assert len(titles(view)) == 9


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 700, 1280])
def test_fits_the_width(page: Path, visit: Visit, width: int) -> None:
    view = visit(page, width, 844, has_touch=width < 500)
    assert view.evaluate("document.documentElement.scrollWidth") == width
    if width < 500:
        view.locator(".stage .strip svg").first.tap(position={"x": 100, "y": 5})
        assert "frame" in readout(view)
    for detail in view.locator("details").all():
        detail.evaluate("one => { one.open = true; }")
    assert view.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.browser
def test_is_dark_where_the_reader_is(page: Path, visit: Visit) -> None:
    color = "getComputedStyle(document.body).backgroundColor"
    assert visit(page, color_scheme="light").evaluate(color) == "rgb(255, 255, 255)"
    assert visit(page, color_scheme="dark").evaluate(color) == "rgb(20, 23, 27)"


@pytest.mark.browser
def test_reads_without_scripts(page: Path, visit: Visit) -> None:
    view = visit(page, java_script_enabled=False)
    assert view.locator(".stage .strip svg").first.is_visible()
    assert view.locator(".filters").is_hidden()
    assert view.get_by_text("The others need JavaScript.").is_visible()
