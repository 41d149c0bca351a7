"""The rating form: blinded, complete, saving what was clicked, read again by `agree`."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

from prospect.errors import ConfigError, DataError
from prospect.files import parse, read_json, write_json, write_records
from prospect.metrics.people import ASPECTS, Key, Ratings
from prospect.report.rating import NUM_PICTURES, key_path, write_form
from prospect.stages.judge import agree, rating_form
from prospect.types import Event, Prediction

SYSTEMS = ("zeta-at-0.3", "zeta-at-0.5", "oracle")
Thumbnails = Callable[[Prediction, Sequence[int]], Mapping[int, bytes]]


@pytest.fixture
def of_systems(make_prediction: Callable[..., Prediction]) -> list[Prediction]:
    """Three systems on three streams: one says half of what the next one says."""
    found = []
    for seed in range(3):
        made = make_prediction(seed, steps=3)
        for name, events in zip(
            SYSTEMS, (made.events[::2], made.events, made.references), strict=True
        ):
            found.append(replace(made, system=name, events=events))
    return found


@pytest.fixture
def form(tmp_path: Path, of_systems: list[Prediction], thumbnails: Thumbnails) -> Path:
    path = tmp_path / "form.html"
    write_form(path, of_systems, thumbnails, seed=3)
    return path


def key_of(form: Path) -> Key:
    return parse(read_json(key_path(form)), Key, "key")


def test_the_page_tells_nothing_of_its_systems(form: Path, of_systems: list[Prediction]) -> None:
    text = form.read_text()
    seen = re.sub(r'"data:[^"]*"|<style>.*</style>', "", text, flags=re.DOTALL)
    for one in of_systems:
        for secret in (one.system, one.dialogue_id, one.video_id):
            assert secret not in seen
    assert re.search(r"https?:|url\(|@import", seen) is None
    assert re.findall(r'(?:src|href)="(?!data:image/jpeg;base64,)[^"]*"', text) == []
    assert text.count("data:image/jpeg") == 3 * NUM_PICTURES
    key = key_of(form)
    assert f'data-form="{key.form}"' in text
    assert {item.dialogue_id for item in key.items} == {one.dialogue_id for one in of_systems}
    assert all(sorted(item.systems.values()) == sorted(SYSTEMS) for item in key.items)
    assert len({tuple(item.systems.values()) for item in key.items}) > 1


def test_the_seed_decides_the_order(
    form: Path, tmp_path: Path, of_systems: list[Prediction], thumbnails: Thumbnails
) -> None:
    again, other, fewer = (tmp_path / f"{name}.html" for name in ("again", "other", "fewer"))
    write_form(again, of_systems[::-1], thumbnails, seed=3)
    assert again.read_bytes() == form.read_bytes()
    assert write_form(other, of_systems, thumbnails, seed=4).form != key_of(form).form
    assert len(write_form(fewer, of_systems, thumbnails, 3, num_dialogues=2).items) == 2
    for wrong in (0, 4):
        with pytest.raises(ConfigError, match=f"num_dialogues is {wrong}; there are 3"):
            write_form(other, of_systems, thumbnails, num_dialogues=wrong)
    nine = [replace(of_systems[0], system=f"s{n}") for n in range(9)]
    with pytest.raises(ConfigError, match="9 systems"):
        write_form(other, nine, thumbnails)
    with pytest.raises(DataError, match="same streams"):
        write_form(other, of_systems[1:], thumbnails)


def test_text_is_text(
    tmp_path: Path, make_prediction: Callable[..., Prediction], thumbnails: Thumbnails
) -> None:
    nasty = replace(make_prediction(1), events=(Event(5, speech="<script>alert(1)</script>"),))
    write_form(tmp_path / "form.html", [nasty], lambda one, frames: {})
    text = (tmp_path / "form.html").read_text()
    assert "&lt;script&gt;alert(1)" in text
    assert text.count("<script>") == 1
    assert "Which is better?" not in text
    assert "<figure>" not in text


@pytest.fixture
def context(browser: Any) -> Iterator[BrowserContext]:
    with browser.new_context(viewport={"width": 1300, "height": 900}) as made:
        yield made


def opened(context: BrowserContext, form: Path) -> tuple[Page, list[str]]:
    """The page, and what it complained about."""
    page, complaints = context.new_page(), list[str]()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(form.as_uri())
    return page, complaints


def saved(page: Page, tmp_path: Path) -> Ratings:
    with page.expect_download() as download:
        page.keyboard.press("Control+s")
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    return parse(read_json(path), Ratings, str(path))


@pytest.mark.browser
def test_filled_by_keyboard_and_saved(context: BrowserContext, form: Path, tmp_path: Path) -> None:
    """Digits answer question after question: 12 ratings and 3 places in each of 3 recordings."""
    page, complaints = opened(context, form)
    page.keyboard.press("Control+s")
    assert page.inner_text("#status") == "Your name is needed."
    page.fill("#rater", "Ada L.")
    page.locator("#rater").blur()
    for number in range(3):
        assert f"{number} of 3 recordings done; 15 answers open" in page.inner_text("#status")
        for key in "123412341234" + "121":
            page.keyboard.press(key)
        page.keyboard.press("n")
    assert page.inner_text("#status").startswith("3 of 3 recordings done; 0 answers open")
    assert page.is_disabled("#next")
    page.fill("section:not([hidden]) textarea", "Number 1 <b>talks</b> & talks.")
    ratings = saved(page, tmp_path)
    assert page.inner_text("#status") == "Saved, complete. Thank you!"
    assert (tmp_path / "ratings-Ada-L-.json").exists()
    assert (ratings.form, ratings.rater) == (key_of(form).form, "Ada L.")
    expected = dict(zip(ASPECTS, (1, 2, 3, 4), strict=True))
    for item in ratings.items:
        assert item.ratings == dict.fromkeys("ABC", expected)
        assert item.ranks == {"A": 1, "B": 2, "C": 1}
    assert [item.comment for item in ratings.items] == ["", "", "Number 1 <b>talks</b> & talks."]
    assert complaints == []


@pytest.mark.browser
def test_clicked_kept_and_found_again(context: BrowserContext, form: Path, tmp_path: Path) -> None:
    page, complaints = opened(context, form)
    page.locator("label", has_text="3 good").nth(1).click()
    page.fill("#rater", "Bob")
    page.click("#next")
    page.locator("section:not([hidden]) .ranking label").nth(2).click()
    page.close()
    page, more = opened(context, form)
    assert page.input_value("#rater") == "Bob"
    assert page.locator("section:not([hidden]) h2").inner_text() == "Recording 2 of 3"
    ratings = saved(page, tmp_path)
    assert page.inner_text("#status") == "Saved; 43 answers are still open."
    assert ratings.items[0].ratings == {"A": {"helpfulness": 3}}
    assert ratings.items[1].ranks == {"A": 3}
    assert complaints + more == []


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_readable_on_a_phone(browser: Any, form: Path, scheme: str) -> None:
    with browser.new_context(
        viewport={"width": 360, "height": 740}, color_scheme=scheme, has_touch=True
    ) as phone:
        page, complaints = opened(phone, form)
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        page.locator("label", has_text="3 good").first.tap()
        assert "14 answers open" in page.inner_text("#status")
        heights = page.evaluate(
            "[...document.querySelectorAll('section:not([hidden]) .choices span')]"
            ".map((one) => one.getBoundingClientRect().height)"
        )
        assert min(heights) >= 38
        channels = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (int(re.findall(r"\d+", channels)[0]) < 60) == (scheme == "dark")
        assert complaints == []


def test_from_predictions_to_agreement(
    tmp_path: Path, of_systems: list[Prediction], capsys: pytest.CaptureFixture[str]
) -> None:
    """Both raters like the oracle best, then the one that says more; so does the score."""
    write_records(tmp_path / "p.jsonl", of_systems)
    rating_form((tmp_path / "p.jsonl",), tmp_path / "form.html", seed=1)
    key = key_of(tmp_path / "form.html")
    for rater in ("ada", "bob"):
        items = [
            {
                "item": item.item,
                "ratings": {
                    letter: dict.fromkeys(ASPECTS, 2 + SYSTEMS.index(system))
                    for letter, system in item.systems.items()
                },
                "ranks": {
                    letter: 3 - SYSTEMS.index(system) for letter, system in item.systems.items()
                },
                "comment": "",
            }
            for item in key.items
        ]
        ratings = {"schema": "ratings/1", "form": key.form, "rater": rater, "saved": ""}
        write_json(tmp_path / f"{rater}.json", {**ratings, "items": items})
    scores = {
        name: {"groups": {"dataset:toy": {"speech_f1": {"value": value}}}}
        for name, value in zip(SYSTEMS, (0.2, 0.4, 1.0), strict=True)
    }
    write_json(tmp_path / "scores.json", {"systems": scores})
    out = tmp_path / "agreement.json"
    files = (tmp_path / "ada.json", tmp_path / "bob.json")
    agree(files, key_path(tmp_path / "form.html"), out, (tmp_path / "scores.json",))
    found = json.loads(out.read_text())
    assert found["raters"] == ["ada", "bob"]
    assert found["agreement"]["preference"]["kappa"] == 1.0
    assert found["ratings"]["oracle"]["correctness"]["value"] == 4.0
    of_score = found["correlation"]["dataset"]["speech_f1"]["preference"]
    assert of_score["spearman"]["value"] == pytest.approx(1.0)
    assert found["match_rate"]["dataset"]["speech_f1"]["preference"]["value"] == 1.0
    told = capsys.readouterr().err
    assert re.search(r"speech_f1 +0\.96 +1\.00 +1\.00 +1\n", told)
    assert "90 ratings used, 0 ratings missing" in told
