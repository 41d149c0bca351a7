"""Editing labels: what is saved, what is refused, and the page in a browser."""

import shutil
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import uvicorn
from fastapi.testclient import TestClient
from playwright.sync_api import Page, sync_playwright

from prospect import stages
from prospect.dialogues.edits import differences, edited_videos, read_sheets, save
from prospect.errors import DataError, MissingError
from prospect.files import read_records, write_records
from prospect.serve.edit import HOST, make_app
from prospect.toy.world import write_world
from prospect.types import Annotation, Edit, StateTrack, TimedTransition, Transition, Turn

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two toy videos with labels; the second one's video is not at hand."""
    data = tmp_path_factory.mktemp("labelled")
    write_world(data, "train", 2, 3, draw_fps=2.0)
    stages.dialogues(data, "scripted", ("talk_some", "no_talk"), 0)
    stages.states(data)
    second = read_records(data / "annotations.jsonl", Annotation)[1]
    assert second.video_file is not None
    (data / second.video_file).unlink()
    return data


@pytest.fixture
def data(labelled: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(labelled, tmp_path / "data"))


def first(data: Path) -> str:
    return next(iter(read_sheets(data)))


def test_changes_are_saved_with_their_author(data: Path) -> None:
    video_id = first(data)
    sheet = read_sheets(data)[video_id]
    moves, turns = list(sheet.track.transitions), list(sheet.dialogues[0].turns)
    later = replace(moves[0], time_s=moves[0].time_s + 0.1)
    reworded = replace(turns[1], text="Take the pan.")
    told = {sheet.dialogues[0].dialogue_id: [turns[0], reworded, *turns[3:]]}
    edits = save(data, video_id, [later, *moves[1:]], told, " Ada ", sheet.version)
    assert [(edit.before, edit.after) for edit in edits] == [
        (moves[0], later),
        (turns[1], reworded),
        (turns[2], None),
    ]
    assert {(edit.author, edit.video_id) for edit in edits} == {("Ada", video_id)}
    saved = read_sheets(data)[video_id]
    assert saved.track.transitions == (later, *moves[1:])
    assert saved.dialogues[0].turns == (turns[0], reworded, *turns[3:])
    assert saved.dialogues[1] == sheet.dialogues[1]
    assert saved.version != sheet.version
    assert edited_videos(data) == {video_id}
    assert len(read_records(data / "edits.jsonl", Edit)) == 3
    others = [t for t in read_records(data / "states.jsonl", StateTrack) if t.video_id != video_id]
    assert [one.track for key, one in read_sheets(data).items() if key != video_id] == others


def test_the_stages_keep_what_was_edited(data: Path) -> None:
    video_id = first(data)
    sheet = read_sheets(data)[video_id]
    save(data, video_id, [], {}, "Ada", sheet.version)
    stages.dialogues(data, "scripted", ("talk_some",), 5)
    stages.states(data)
    kept = read_sheets(data)
    assert kept[video_id].track.transitions == ()
    assert [one.dialogue_id for one in kept[video_id].dialogues] == [
        one.dialogue_id for one in sheet.dialogues
    ]
    (other,) = kept.keys() - {video_id}
    assert [one.dialogue_id for one in kept[other].dialogues] == [f"{other}/talk_some-5"]


def test_what_cannot_be_right_is_refused_and_nothing_written(data: Path) -> None:
    video_id = first(data)
    sheet = read_sheets(data)[video_id]
    moves, dialogue = list(sheet.track.transitions), sheet.dialogues[0]
    reopened = TimedTransition(0.0, Transition("S1", "reopen"))
    late = replace(moves[-1], time_s=sheet.duration_s + 0.1)

    def said(turn: Turn) -> dict[str, list[Turn]]:
        return {dialogue.dialogue_id: [turn]}  # type: ignore[dict-item]

    refusals = [
        ([reopened, *moves], {}, "Ada", sheet.version, "S1->reopen needs completed"),
        ([*moves[:-1], late], {}, "Ada", sheet.version, "outside of the video"),
        (moves, {}, "  ", sheet.version, "a name is needed"),
        (moves, {}, "Ada", "other", "somebody changed these labels meanwhile"),
        (moves, {"x": []}, "Ada", sheet.version, "no dialogue 'x'"),
        (moves, said(Turn("user", 1.0, " ")), "Ada", sheet.version, "one line of text"),
        (moves, said(Turn("assistant", 1.0, "a", "loud")), "Ada", sheet.version, "labels 'loud'"),
        (moves, said(Turn("user", 1.0, "a", "initiative|other")), "Ada", sheet.version, "a user"),
    ]
    before = (data / "states.jsonl").read_bytes(), (data / "dialogues.jsonl").read_bytes()
    for transitions, turns, author, version, why in refusals:
        with pytest.raises(DataError, match=why.replace("|", "[|]")):
            save(data, video_id, transitions, turns, author, version)
    assert before == ((data / "states.jsonl").read_bytes(), (data / "dialogues.jsonl").read_bytes())
    assert not (data / "edits.jsonl").exists()


def test_differences_pair_what_was_moved_and_reworded() -> None:
    a, b = Turn("user", 1.0, "a"), Turn("user", 2.0, "b")
    assert differences([a, b], [b, a]) == []
    assert differences([a], [replace(a, time_s=3.0)]) == [(a, replace(a, time_s=3.0))]
    assert differences([a], [replace(a, text="c")]) == [(a, replace(a, text="c"))]
    assert differences([a], [b]) == [(a, None), (None, b)]
    assert differences([a, a], [a]) == [(a, None)]


def test_answers_of_the_server(data: Path, tmp_path: Path) -> None:
    with TestClient(make_app(data, "Ada"), base_url=f"http://{HOST}") as client:
        names = client.get("/videos").json()
        assert names == {"videos": list(read_sheets(data)), "author": "Ada"}
        here, gone = names["videos"]
        labels = client.get("/labels", params={"video_id": here}).json()
        assert labels["watchable"] is True
        part = client.get("/video", params={"video_id": here}, headers={"Range": "bytes=0-9"})
        assert (part.status_code, len(part.content)) == (206, 10)
        assert client.get("/video", params={"video_id": gone}).status_code == 404
        assert client.get("/labels", params={"video_id": "x"}).json()["detail"].endswith("'x'")
        assert client.put("/labels", content=b"{").json()["detail"].endswith("not JSON")
        wrong = client.put("/labels", json={"video_id": here})
        assert wrong.status_code == 422
        assert "field 'author'" in wrong.json()["detail"]
    with TestClient(make_app(data, ""), base_url="http://elsewhere.org") as client:
        assert client.get("/videos").status_code == 400
    write_records(tmp_path / "states.jsonl", [])
    write_records(tmp_path / "dialogues.jsonl", [])
    with pytest.raises(MissingError, match="make these first"):
        make_app(tmp_path, "")


@pytest.fixture
def page(data: Path) -> Iterator[Page]:
    """The editor in Chromium."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(
        uvicorn.Config(make_app(data, ""), HOST, port, log_level="error", ws="none")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        opened = browser.new_page(viewport={"width": 1300, "height": 800})
        complaints: list[str] = []
        opened.on("console", lambda message: complaints.append(message.text))
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        opened.goto(f"http://{HOST}:{port}/")
        opened.wait_for_selector(".mark")
        yield opened
        browser.close()
    server.should_exit = True
    thread.join()
    assert [told for told in complaints if "status of 422" not in told] == []


def drag(page: Page, selector: str, by_px: float) -> None:
    box = page.locator(selector).first.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + by_px / 2, y)
    page.mouse.move(x + by_px, y)
    page.mouse.up()


@pytest.mark.browser
def test_drag_add_remove_and_save_in_a_browser(page: Page, data: Path) -> None:
    video_id = first(data)
    before = read_sheets(data)[video_id]
    drag(page, ".mark.start", -8)
    moved_s = float(page.input_value("#field-time_s"))
    page.locator(".mark.assistant").nth(1).click()
    page.fill("#field-text", "Take the pan now.")
    page.locator("#field-text").blur()
    page.locator(".mark.user").first.click()
    page.click("#remove")
    page.click("#say")
    page.fill("#field-text", "Watch out.")
    page.locator("#field-text").blur()
    page.click("#save")
    page.wait_for_selector("#status.bad")
    assert "a name is needed" in page.inner_text("#status")
    page.fill("#author", "Ada")
    page.click("#save")
    page.wait_for_function("document.querySelector('#status').textContent.startsWith('saved')")
    assert page.inner_text("#status") == "saved, 4 changes"
    after = read_sheets(data)[video_id]
    edits = read_records(data / "edits.jsonl", Edit)
    assert moved_s in [item.time_s for item in after.track.transitions]
    assert len(edits) == 4
    kinds = [(edit.before is None, edit.after is None) for edit in edits]
    assert sorted(kinds) == [(False, False), (False, False), (False, True), (True, False)]
    texts = [turn.text for turn in after.dialogues[0].turns]
    assert {"Take the pan now.", "Watch out."} <= set(texts)
    assert len(texts) == len(before.dialogues[0].turns)


@pytest.mark.browser
def test_illegal_changes_are_shown_and_undone(page: Page, data: Path) -> None:
    track = read_sheets(data)[first(data)].track
    done = next(i.transition.step_id for i in track.transitions if i.transition.move == "complete")
    lane = page.locator(f"[data-step={done}]").bounding_box()
    assert lane is not None
    num_marks = page.locator(".mark").count()
    page.mouse.click(lane["x"] + lane["width"] - 30, lane["y"] + 13)  # after all: reopened
    assert page.locator(".mark.reopen").count() == 1
    assert page.is_enabled("#save")
    page.select_option("#field-move", "start")
    assert page.locator(".mark.illegal").count() == 1
    assert f"1 illegal: {done}->start" in page.inner_text("#status")
    assert page.is_disabled("#save")
    page.locator("#scroller").focus()
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    assert page.locator(".mark").count() == num_marks
    assert page.is_disabled("#save")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('video').currentTime > 0")
    page.select_option("#videos", index=1)
    page.wait_for_selector(".novideo")
    assert not (data / "edits.jsonl").exists()
