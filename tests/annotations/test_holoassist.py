"""HoloAssist's published files become annotations; every irregular row is dropped on purpose."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prospect.annotations import BUNDLED, Adapted, read_dataset
from prospect.annotations.holoassist import ANNOTATIONS, SPLITS, goal, read
from prospect.dialogues import label
from prospect.errors import DataError, MissingError, ProspectError
from prospect.types import Step, Turn
from tests.fuzz import examples, spoilt

WRONG_BY_STUDENT = "Wrong Action, corrected by student"


def event(kind: str, start: float, end: float, **attributes: str) -> dict[str, Any]:
    return {"id": 1, "label": kind, "start": start, "end": end, "attributes": attributes}


def coarse(start: float, end: float, sentence: str) -> dict[str, Any]:
    words = {"Action sentence": sentence, "Verb": "grab", "Noun": "bolt"}
    return event("Coarse grained action", start, end, **words)


def fine(start: float, end: float, correctness: str = "Correct Action", **more: str) -> Any:
    words = {"Verb": "grab", "Adjective": "none", "Noun": "hex_socket_head"}
    words |= {"Action Correctness": correctness, "Incorrect Action Explanation": "none", **more}
    return event("Fine grained action", start, end, **words)


def said(start: float, end: float, purpose: str, text: str) -> dict[str, Any]:
    words = {"Conversation Purpose": purpose, "Transcription": text}
    return event("Conversation", start, end, **words)


def video(events: list[Any], name: str = "v", raw: str = "00:01:40.50") -> dict[str, Any]:
    metadata = {"duration": {"raw": raw, "seconds": 100}}
    return {
        "video_name": name,
        "taskType": "setup gopro",
        "videoMetadata": metadata,
        "events": events,
    }


def folder(path: Path, videos: Any, train: str = "v", val: str = "w") -> Path:
    (path / ANNOTATIONS).write_text(json.dumps(videos))
    (path / SPLITS["train"]).write_text(train)
    (path / SPLITS["val"]).write_text(val)
    return path


def test_one_video_by_hand(tmp_path: Path) -> None:
    events = [
        event("Narration", 0.0, 100.0, **{"Long form description": "All of it."}),
        coarse(30.0, 50.0, "The student opens  the box."),
        coarse(10.0, 20.0, "The student grabs a bolt."),
        coarse(60.0, 70.0, "The student grabs a bolt."),
        fine(18.0, 23.0),  # 2 s in the first visit, none in another
        fine(48.0, 64.0),  # 2 s in S2, 4 s in the second visit to S1
        fine(80.0, 81.0, "Wrong Action, not corrected"),
        fine(31.0, 32.0, WRONG_BY_STUDENT, **{"Incorrect Action Explanation": "Upside down."}),
        said(5.0, 7.0, "student-start-conversation_ask questions", "What now?"),
        said(8.0, 9.0, "instructor-reply-to-student_correct the wrong action", " Not  that."),
        said(11.0, 12.0, "instructor-start-conversation_closing remarks", "*unintelligible* it"),
    ]
    adapted = read(folder(tmp_path, [video(events)]))
    (annotation,) = adapted.annotations
    assert annotation.task.goal == "Set up the gopro."
    assert annotation.task.steps == (
        Step("S1", "The student grabs a bolt."),
        Step("S2", "The student opens the box."),
    )
    assert (annotation.split, annotation.duration_s) == ("train", 100.5)
    assert annotation.video_file == "v/Export_py/Video_pitchshift.mp4"
    spans = [(a.start_s, a.end_s, a.kind, a.step_id, a.mistake) for a in annotation.actions]
    assert spans == [
        (10.0, 20.0, "step", "S1", None),
        (18.0, 23.0, "action", "S1", None),
        (30.0, 50.0, "step", "S2", None),
        (31.0, 32.0, "action", "S2", "Upside down."),
        (48.0, 64.0, "action", "S1", None),
        (60.0, 70.0, "step", "S1", None),
        (80.0, 81.0, "action", None, "wrong action: grab hex socket head"),
    ]
    # what a user says is known at its end, an assistant decides to speak at the beginning
    assert annotation.conversation == (
        Turn("user", 7.0, "What now?"),
        Turn("assistant", 8.0, "Not that.", "responsive|correction"),
    )
    # as transcribed, at the middle of the utterance, less what nobody understood
    assert annotation.spoken == (
        Turn("user", 6.0, "What now?"),
        Turn("assistant", 8.5, " Not  that."),
        Turn("assistant", 11.5, " it"),
    )
    assert annotation.summary == "All of it."
    assert str(adapted.account) == "kept 1 of 1; dropped 0"
    assert str(adapted.rows) == "kept 9 of 10; dropped 1 (1 unintelligible)"


def drops_of(path: Path, *events: Any) -> tuple[dict[str, int], tuple[str, ...]]:
    adapted = read(folder(path, [video([coarse(1.0, 2.0, "The student sits."), *events])]))
    return dict(adapted.rows.dropped), adapted.listed


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (coarse(5.0, 4.0, "The student sits."), "ends before it starts"),
        (fine(5.0, 5.0), "has no length"),
        (fine(100.5, 101.0), "starts outside of the video"),
        (fine(-1.0, 1.0), "starts outside of the video"),
        (event("Coarse grained action", 3.0, 4.0, Verb="grab"), "no action sentence"),
        (event("Fine grained action", 3.0, 4.0, Verb="grab"), "no verb or noun"),
        (fine(3.0, 4.0, "none"), "action correctness ''"),
        (said(3.0, 4.0, "student-start-conversation_other", "none"), "no transcription"),
        (
            said(3.0, 4.0, "student-start-conversation_other", "So *unintellgible*"),
            "unintelligible",
        ),
        (said(3.0, 4.0, "nobody_other", "Hi."), "unknown speaker 'nobody'"),
        (said(3.0, 4.0, "instructor-start-conversation_x", "Hi."), "unknown purpose 'x'"),
    ],
)
def test_irregular_rows_are_dropped_and_listed(tmp_path: Path, row: Any, reason: str) -> None:
    dropped, listed = drops_of(tmp_path, row)
    assert dropped == {reason: 1}
    assert listed[0].endswith(f"video v: event 1: dropped, {reason}")


def test_odd_rows_are_kept_and_listed(tmp_path: Path) -> None:
    overlapping = coarse(1.5, 103.0, "The student stands.")
    dropped, listed = drops_of(tmp_path, overlapping, fine(4.0, 5.0, "otherwise"))
    assert dropped == {}
    assert "cut at the end of the video, 100.5 s instead of 103.0 s" in listed[0]
    assert "neither right nor wrong" in listed[1]
    assert "'The student stands.' begins at 1.5 s, in 'The student sits.'" in listed[2]


def test_videos_without_steps_or_split_are_dropped(tmp_path: Path) -> None:
    videos = [video([fine(1.0, 2.0)]), video([coarse(1.0, 2.0, "The student sits.")], "lost")]
    adapted = read(folder(tmp_path, videos))
    assert str(adapted.account) == "kept 0 of 2; dropped 2 (1 in no split, 1 no steps)"
    assert str(adapted.rows) == "kept 0 of 0; dropped 0"


@pytest.mark.parametrize(
    ("videos", "message"),
    [
        ({}, "expected a list, found dict"),
        ([{"taskType": "x"}], "video 0: field 'video_name' is None, expected str"),
        ([video([]) | {"events": 3}], "video v: field 'events' is 3, expected list"),
        ([video([], raw="6 min")], "video v: duration '6 min' is not like '00:06:46.21'"),
        ([video([event("Gaze", 1.0, 2.0)])], "event 0: unknown label 'Gaze'"),
        ([video([event("Conversation", 1.0, 2.0) | {"end": "x"}])], "field 'end' is 'x'"),
        ([video([coarse(1, 2, "A."), coarse(3, 4, "A.")])] * 2, "video v stands twice"),
    ],
)
def test_what_is_not_holoassist_is_an_error(tmp_path: Path, videos: Any, message: str) -> None:
    with pytest.raises(DataError, match=message.replace("'", ".")) as error:
        read(folder(tmp_path, videos))
    assert str(tmp_path / ANNOTATIONS) in str(error.value)


def test_splits_must_exist_and_not_overlap(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"val-v1_2\.txt: v is in train too"):
        read(folder(tmp_path, [], "v", "v"))
    (tmp_path / SPLITS["val"]).unlink()
    with pytest.raises(MissingError, match=r"no file .*val-v1_2\.txt"):
        read(tmp_path)


def test_whole_seconds_do_where_the_exact_duration_is_absent(tmp_path: Path) -> None:
    record = video([coarse(1.0, 2.0, "The student sits.")])
    del record["videoMetadata"]["duration"]["raw"]
    assert read(folder(tmp_path, [record])).annotations[0].duration_s == 100.0


@pytest.mark.parametrize(
    ("task_type", "wish"),
    [
        ("assemble laser scanner", "Assemble the laser scanner."),
        ("make coffee with nespresso machine", "Make coffee with the nespresso machine."),
        ("setup big printer", "Set up the big printer."),
    ],
)
def test_goal(task_type: str, wish: str) -> None:
    assert goal(task_type) == wish


def raw_counts(root: Path) -> Counter[str]:
    """An independent count of the rows, straight from the JSON."""
    counts: Counter[str] = Counter()
    for record in json.loads((root / ANNOTATIONS).read_text()):
        counts["videos"] += 1
        for row in record["events"]:
            counts[row["label"]] += 1
            counts["wrong"] += row["attributes"].get("Action Correctness", "").startswith("Wrong")
            text = row["attributes"].get("Transcription", "")
            counts["unheard"] += any(part.startswith("*un") for part in text.lower().split())
    return counts


def our_counts(adapted: Adapted) -> Counter[str]:
    counts: Counter[str] = Counter()
    for annotation in adapted.annotations:
        counts["videos"] += 1
        counts["Conversation"] += len(annotation.conversation)
        counts["wrong"] += sum(action.mistake is not None for action in annotation.actions)
        counts["Coarse grained action"] += sum(a.kind == "step" for a in annotation.actions)
        counts["Fine grained action"] += sum(a.kind == "action" for a in annotation.actions)
    return counts


def test_real_folder_is_read_whole(annotations_dir: Path) -> None:
    root = annotations_dir / "holoassist"
    if not (root / ANNOTATIONS).is_file():
        pytest.skip(f"no file {root / ANNOTATIONS}")
    adapted = read_dataset("holoassist", root)
    raw, ours = raw_counts(root), our_counts(adapted)
    dropped_turns = adapted.rows.dropped.get("unintelligible", 0)
    for kind in ("videos", "Coarse grained action", "Fine grained action", "wrong"):
        assert ours[kind] == raw[kind], kind
    assert ours["Conversation"] + dropped_turns == raw["Conversation"]
    readme = annotations_dir / "README.md"
    if readme.is_file() and "728 fine actions" in readme.read_text():
        assert raw["Coarse grained action"] == 1464
        assert raw["Fine grained action"] == 15322
        assert (raw["Conversation"], raw["wrong"], raw["videos"]) == (4262, 728, 180)
        assert len({annotation.task_type for annotation in adapted.annotations}) == 20
        assert Counter(a.split for a in adapted.annotations) == {"train": 140, "val": 40}
        assert dropped_turns == 113


def test_bundled_videos_are_real_and_varied() -> None:
    root = BUNDLED / "holoassist"
    adapted = read_dataset("holoassist", root)
    raw, ours = raw_counts(root), our_counts(adapted)
    assert ours["Fine grained action"] == raw["Fine grained action"]
    assert Counter(a.split for a in adapted.annotations) == {"train": 8, "val": 4}
    assert len({a.task_type for a in adapted.annotations}) == 12
    assert ours["wrong"] >= 40
    assert all(annotation.conversation for annotation in adapted.annotations)
    assert any(
        label(one) != label(one, ("start", "complete", "reopen")) for one in adapted.annotations
    )
    text = (root / "README.md").read_text()
    assert "HoloAssist" in text
    assert "Permissive" in text


def test_only_bundled_datasets_have_a_bundled_root() -> None:
    with pytest.raises(MissingError, match="no videos of 'ego4d' are bundled, only of holoassist"):
        read_dataset("ego4d", Path("bundled"))


@pytest.mark.fuzz
@settings(
    max_examples=examples(150),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.data())
def test_spoilt_files_are_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    events = [
        coarse(10.0, 20.0, "The student grabs a bolt."),
        fine(12.0, 15.0, WRONG_BY_STUDENT, **{"Incorrect Action Explanation": "Upside down."}),
        said(5.0, 7.0, "student-start-conversation_ask questions", "What now?"),
    ]
    videos = spoilt([video(events), video(events[:1], "w")], data)
    try:
        adapted = read(folder(tmp_path, videos))
    except ProspectError:
        return
    assert adapted.account.kept + sum(adapted.account.dropped.values()) == len(videos)
    for annotation in adapted.annotations:
        assert all(0 <= a.start_s < a.end_s <= annotation.duration_s for a in annotation.actions)
