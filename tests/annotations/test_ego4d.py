"""Goal-Step's published files become annotations; every irregular segment is handled on purpose."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prospect.annotations.ego4d import FILES, goal, phrase, read
from prospect.annotations.tables import coverage
from prospect.errors import DataError, MissingError, ProspectError
from prospect.types import Step
from tests.fuzz import examples, spoilt

WASH = "General activity: Wash hands"
KNEAD = "Make baked goods: Knead the dough"
BAKE = "Cook in an oven: Bake it"


def segment(start: Any, end: Any, category: str = KNEAD, **more: Any) -> dict[str, Any]:
    words = {"step_category": category, "step_description": "does it ", "is_relevant": "essential"}
    return {"start_time": start, "end_time": end, **words, **more}


def video(name: str, *segments: Any, **more: Any) -> dict[str, Any]:
    return {
        "video_uid": name,
        "start_time": 0.5,
        "end_time": 100.0,
        "goal_category": "COOKING:MAKE_BREAD",
        "goal_description": "Making the bread",
        "segments": list(segments),
        **more,
    }


def folder(root: Path, train: list[Any] | None, val: list[Any] | None = None) -> Path:
    for file, videos in ((FILES["train"], train), (FILES["val"], val)):
        if videos is not None:
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            (root / file).write_text(json.dumps({"version": "1.0", "videos": videos}))
    return root


def test_one_video_by_hand(tmp_path: Path) -> None:
    nested = [segment(11, 15, WASH, step_description="adds flour", is_relevant="optional")]
    deeper = [
        segment(31, 39, WASH, segments=[segment(32, 33)]),
        segment(35, 36, is_relevant="irrelevant"),
    ]
    record = video(
        "grp-v",
        segment(30, 40, segments=deeper),
        segment(10, 20, BAKE, segments=nested),
        segment(50, 60, WASH, is_relevant="irrelevant", segments=[segment(51, 52)]),
        segment(70, 80, is_relevant="unsure"),
    )
    adapted = read(folder(tmp_path, None, [record]))
    (annotation,) = adapted.annotations
    assert (annotation.video_id, annotation.split, annotation.dataset) == ("grp-v", "val", "ego4d")
    assert annotation.video_file == "v2/full_scale/v.mp4"
    assert (annotation.start_s, annotation.duration_s) == (0.5, 100.0)
    assert annotation.task.goal == "Make bread."
    assert annotation.task.steps == (Step("S1", "Bake it"), Step("S2", "Knead the dough"))
    spans = [(a.start_s, a.end_s, a.kind, a.step_id) for a in annotation.actions]
    assert spans == [
        (10, 20, "step", "S1"),
        (11, 15, "action", "S1"),
        (30, 40, "step", "S2"),
        (31, 39, "action", "S2"),
        (32, 33, "action", "S2"),
        (35, 36, "action", None),
        (50, 60, "action", None),
        (51, 52, "action", None),
        (70, 80, "step", "S2"),
    ]
    assert annotation.actions[0].text == "does it"
    assert coverage(annotation) == pytest.approx(0.3)
    assert str(adapted.rows) == "kept 9 of 9; dropped 0"
    assert adapted.listed == (adapted.listed[0],)
    assert "several videos joined, expected as v2/full_scale/v.mp4" in adapted.listed[0]


def test_order_comes_from_the_other_videos(tmp_path: Path) -> None:
    def run(*categories: str) -> list[Any]:
        return [segment(10 * n, 10 * n + 5, c) for n, c in enumerate(categories)]

    others = [video(f"o{n}", *run(WASH, KNEAD, BAKE)) for n in range(3)]
    forward = read(folder(tmp_path, [*others, video("v", *run(WASH, KNEAD, BAKE))]))
    backward = read(folder(tmp_path, [*others, video("v", *run(BAKE, KNEAD, WASH))]))
    names = [step.name for step in forward.annotations[-1].task.steps]
    assert names == ["Wash hands", "Knead the dough", "Bake it"]
    assert [step.name for step in backward.annotations[-1].task.steps] == names


def test_categories_that_share_their_phrase_stay_apart(tmp_path: Path) -> None:
    adapted = read(
        folder(tmp_path, [video("v", segment(1, 2, "A: Stir"), segment(3, 4, "B: Stir"))])
    )
    assert [s.name for s in adapted.annotations[0].task.steps] == ["A: Stir", "B: Stir"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (segment(5, 4), "ends before it starts"),
        (segment(5, 5), "has no length"),
        (segment(-1, 5), "starts outside of the video"),
        (segment(100, 101), "starts outside of the video"),
        (segment(5, 6, step_description=" "), "no description"),
        (segment(5, 6, " : "), "no category"),
        (segment(5, 6, is_relevant="maybe"), "relevance 'maybe'"),
    ],
)
def test_irregular_segments_are_dropped_and_listed(tmp_path: Path, row: Any, reason: str) -> None:
    row = row | {"segments": [segment(7, 8)]}
    adapted = read(folder(tmp_path, [video("v", segment(1, 2), row)]))
    assert dict(adapted.rows.dropped) == {reason: 1}
    assert adapted.rows.kept == 2  # what is nested in a dropped segment was done, in no step
    assert adapted.annotations[0].actions[1].step_id is None
    assert adapted.listed[0].endswith(f"(v): segment 1: dropped, {reason}")


def test_odd_segments_are_kept_and_listed(tmp_path: Path) -> None:
    bare = segment(50, 60)
    del bare["is_relevant"]
    leaving = segment(10, 20, segments=[segment(5, 12)])
    adapted = read(
        folder(
            tmp_path,
            [video("v", leaving, segment(15, 40), segment(30, 35), bare, segment(90, 101))],
        )
    )
    assert dict(adapted.rows.dropped) == {}
    listed = [line.partition("(v): ")[2] for line in adapted.listed]
    assert listed == [
        "segment 0: substep 0: leaves its step, 10.0 s to 20.0 s",
        "segment 3: relevance not given, taken as essential",
        "segment 4: cut at the end of the video, 100.0 s instead of 101.0 s",
        "'does it' begins at 15.0 s, in 'does it'",
        "'does it' begins at 30.0 s, in 'does it'",
    ]
    # 5 s to 10 s belong to a substep alone; steps cover 10..40, 50..60, 90..100
    assert coverage(adapted.annotations[0]) == pytest.approx(0.5)


def test_videos_without_steps_are_dropped(tmp_path: Path) -> None:
    idle = video("w", segment(1, 2, is_relevant="irrelevant"), segment(5, 4))
    adapted = read(folder(tmp_path, [video("v", segment(1, 2)), idle, video("x")]))
    assert str(adapted.account) == "kept 1 of 3; dropped 2 (2 no steps)"
    assert str(adapted.rows) == "kept 1 of 1; dropped 0"


def test_either_file_may_be_absent_but_not_both(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"neither v2/annotations/goalstep_train\.json nor"):
        read(tmp_path)
    assert len(read(folder(tmp_path, [video("v", segment(1, 2))])).annotations) == 1
    both = read(folder(tmp_path, None, [video("w", segment(1, 2))]))
    assert [(a.video_id, a.split) for a in both.annotations] == [("v", "train"), ("w", "val")]


@pytest.mark.parametrize(
    ("videos", "message"),
    [
        ({}, "field 'videos' is {}, expected list"),
        ([3], "video 0: field 'video_uid' is 3, expected str"),
        ([video("v")] * 2, "video v stands twice"),
        ([video("v", end_time=0.5)], "lasts from 0.5 s to 0.5 s"),
        ([video("v", segment("1", 2))], r"\(v\): segment 0: field 'start_time' is '1'"),
        ([video("v", segment(1, 2, segments=[segment(1, None)]))], "substep 0: field 'end_time'"),
        ([video("v", segment(1, 2, segments={}))], "field 'segments' is {}, expected list"),
        ([video("v", segment(1, 10**400))], "field 'end_time' is 1000"),
    ],
)
def test_what_is_not_goal_step_is_an_error(tmp_path: Path, videos: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        read(folder(tmp_path, videos))
    assert str(tmp_path / FILES["train"]) in str(error.value)


def test_words() -> None:
    verbs = frozenset({"make", "cut", "prepare", "cook"})
    assert phrase("Peel and cut ingredients: Cut meat") == "Cut meat"
    assert phrase("Cut meat") == "Cut meat"
    assert goal("COOKING:MAKE_STEW_OR_SOUP", "Using phone", verbs) == "Make stew or soup."
    assert goal("COOKING:MAKING_MULTIPLE_RECIPES", "x", verbs) == "Make multiple recipes."
    general = "COOKING:COOKING_GENERAL"
    assert goal(general, "Cutting  the vegetables.", verbs) == "Cut the vegetables."
    assert goal(general, "Prepares\nrice", verbs) == "Cook."
    assert goal(general, "Deep frying dough", verbs) == "Cook."
    assert goal("MISC:STUDY(READ,WRITE)", "x", verbs) == "Study."


def raw_counts(root: Path) -> Counter[str]:
    """An independent count, straight from the JSON."""
    counts: Counter[str] = Counter()
    for split, file in FILES.items():
        if not (root / file).is_file():
            continue
        for record in json.loads((root / file).read_text())["videos"]:
            reached = 0.0
            counts[f"{split} videos"] += 1
            for step in sorted(record["segments"], key=lambda s: (s["start_time"], s["end_time"])):
                counts[f"{split} steps"] += 1
                counts[f"{split} substeps"] += len(step["segments"])
                counts["overlaps"] += step["start_time"] < reached
                counts["no relevance"] += "is_relevant" not in step
                reached = max(reached, step["end_time"])
            counts["joined"] += record["video_uid"].startswith("grp-")
    return counts


def test_real_folder_is_read_whole(annotations_dir: Path) -> None:
    root = annotations_dir / "ego4d_track2"
    if not any((root / file).is_file() for file in FILES.values()):
        pytest.skip(f"no Goal-Step files in {root}")
    adapted = read(root)
    assert adapted == read(root)
    raw = raw_counts(root)
    by_id = {annotation.video_id: annotation for annotation in adapted.annotations}
    videos = raw["train videos"] + raw["val videos"]
    assert adapted.account.kept == len(by_id) == videos - adapted.account.dropped["no steps"]
    # rows of the videos that were dropped for want of a step are in neither count
    rows = adapted.rows.kept + sum(adapted.rows.dropped.values())
    total = sum(raw[f"{split} {kind}"] for split in FILES for kind in ("steps", "substeps"))
    assert total - rows == sum(
        len(record["segments"]) + sum(len(s["segments"]) for s in record["segments"])
        for file in FILES.values()
        if (root / file).is_file()
        for record in json.loads((root / file).read_text())["videos"]
        if record["video_uid"] not in by_id
    )
    assert sum(len(annotation.actions) for annotation in by_id.values()) == adapted.rows.kept
    for annotation in by_id.values():
        assert 0 < coverage(annotation) <= 1
        names = [step.name for step in annotation.task.steps]
        assert len(set(names)) == len(names) > 0
        starts = [(a.start_s, a.end_s) for a in annotation.actions]
        assert starts == sorted(starts)
        assert all(0 <= a.start_s < a.end_s <= annotation.duration_s for a in annotation.actions)
    if (annotations_dir / "README.md").is_file():
        assert (raw["train videos"], raw["train steps"], raw["train substeps"]) == (44, 1121, 1103)
        assert (raw["val videos"], raw["val steps"], raw["val substeps"]) == (104, 2640, 3476)
        assert raw["overlaps"] == 136
        assert sum("begins at" in line for line in adapted.listed) == 136
        assert sum("relevance not given" in line for line in adapted.listed) == 1
        assert sum("several videos joined" in line for line in adapted.listed) == raw["joined"]


VALID = [
    video("v", segment(1, 20, segments=[segment(2, 5, WASH)]), segment(20, 30, BAKE)),
    video("w", segment(5, 9, WASH)),
]


@pytest.mark.fuzz
@settings(max_examples=examples(150), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_mutated_files_are_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    videos = spoilt(VALID, data)
    try:
        adapted = read(folder(tmp_path, videos))
    except ProspectError:
        return
    assert adapted.account.kept + sum(adapted.account.dropped.values()) == len(videos)
    assert sum(len(annotation.actions) for annotation in adapted.annotations) == adapted.rows.kept
    for annotation in adapted.annotations:
        assert 0 <= coverage(annotation) <= 1
