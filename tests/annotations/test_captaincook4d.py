"""CaptainCook4D's files become annotations: steps from graphs, visits, errors in words."""

import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prospect.annotations.adapted import Adapted
from prospect.annotations.captaincook4d import (
    DESCRIPTIONS,
    ERRORS,
    GRAPHS,
    SPLITS,
    STEPS,
    VIDEOS,
    read,
    sentence,
)
from prospect.dialogues import label
from prospect.errors import DataError, MissingError, ProspectError
from prospect.types import Step
from tests.fuzz import examples

REOPEN = ("start", "complete", "reopen")
NAMES = {7: "Cut -Cut the bread", 8: "Add-1 egg", 9: "stir-then stir it"}
GRAPH = {
    "steps": {"0": "START", "1": NAMES[9], "2": NAMES[7], "3": NAMES[8], "5": NAMES[9], "6": "END"},
    "edges": [[0, 2], [0, 3], [2, 1], [3, 1], [1, 5], [5, 6]],
}


def done(
    step_id: int, start: float, end: float, wrong: bool = False, **more: Any
) -> dict[str, Any]:
    times = {"start_time": start, "end_time": end}
    return (
        {"step_id": step_id, **times, "description": NAMES[7], "has_errors": wrong}
        | ({"description": NAMES[step_id]} if step_id in NAMES else {})
        | more
    )


def told(step: dict[str, Any], *errors: tuple[str, str], **more: str) -> dict[str, Any]:
    """A row of the error file for a row of the step file."""
    row = {key: value for key, value in step.items() if key != "has_errors"} | more
    return row | ({"errors": [{"tag": t, "description": d} for t, d in errors]} if errors else {})


def recording(name: str, *steps: Any) -> dict[str, Any]:
    return {"recording_id": name, "activity_name": "Egg Bread", "steps": list(steps)}


def folder(
    root: Path, recordings: list[dict[str, Any]], errors: Any = (), graph: Any = None
) -> Path:
    def put(path: Path, value: Any) -> None:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(value if isinstance(value, str) else json.dumps(value))

    put(STEPS, {one["recording_id"]: one for one in recordings})
    put(ERRORS, list(errors))
    put(DESCRIPTIONS, {str(step_id): text for step_id, text in NAMES.items()})
    put(GRAPHS / "eggbread.json", GRAPH if graph is None else graph)
    put(SPLITS, {"train": ["1_1"], "val": ["1_2"], "test": ["1_3"]})
    put(VIDEOS, "recording_id,duration(sec)\n1_1,100.5\n1_2,50\n1_4,9\n")
    return root


def small_tree(root: Path) -> Path:
    steps = [
        done(8, 30.0, 50.0, wrong=True),
        done(7, 10.0, 35.0),
        done(9, 60.0, 70.0, wrong=True),
        done(9, 80.0, 101.0),
    ]
    errors = [
        told(steps[0], ("Order Error", "Too  early"), ("Measurement Error", "2 eggs")),
        told(steps[1], modified_description="Cut it"),
        told(steps[2], ("Other", ""), modified_description="Shake it"),
        told(steps[3]),
    ]
    wrong = {"recording_id": "1_1", "step_annotations": errors}
    missing = recording("1_2", done(7, -1.0, -1.0, wrong=True), done(9, 1.0, 2.0))
    return folder(root, [recording("1_1", *steps), missing], [wrong])


def test_small_tree_by_hand(tmp_path: Path) -> None:
    adapted = read(small_tree(tmp_path))
    one, two = adapted.annotations
    assert (one.task.goal, one.task_type) == ("Make egg bread.", "Egg Bread")
    # the graph allows both first; a step that stands in it twice is one step
    assert one.task.steps == (
        Step("S1", "Cut the bread"),
        Step("S2", "Add 1 egg"),
        Step("S3", "Then stir it"),
    )
    assert (one.split, two.split, one.duration_s) == ("train", "val", 100.5)
    spans = [(a.start_s, a.end_s, a.kind, a.step_id, a.text, a.mistake) for a in one.actions]
    assert spans == [
        (10.0, 35.0, "step", "S1", "Cut the bread", None),
        (
            30.0,
            50.0,
            "step",
            "S2",
            "Add 1 egg",
            "order error: Too early; measurement error: 2 eggs",
        ),
        (60.0, 70.0, "step", "S3", "Then stir it", "other: Shake it"),
        (80.0, 100.5, "step", "S3", "Then stir it", None),
    ]
    assert two.task == one.task
    assert [a.step_id for a in two.actions] == ["S3"]
    assert str(adapted.account) == "kept 2 of 3; dropped 1 (1 not annotated)"
    assert str(adapted.rows) == "kept 5 of 6; dropped 1 (1 left out by the person)"
    assert [line.split(": ", 1)[1].removeprefix("recording ") for line in adapted.listed] == [
        "1_1: step 1: done otherwise, without an error: 'Cut it'",
        "1_1: step 1: begins before the one above it; sorted",
        "1_1: step 3: cut at the end of the video, 100.5 s instead of 101.0 s",
        "1_1: 'Add 1 egg' begins at 30.0 s, in 'Cut the bread'",
        "1_2: step 0: dropped, left out by the person",
        "1 recordings are not annotated",
    ]
    moves = [
        (t.time_s, t.transition.step_id, t.transition.move) for t in label(one, REOPEN).transitions
    ]
    assert moves[-2:] == [(80.0, "S3", "reopen"), (100.5, "S3", "complete")]


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (done(3, 1.0, 2.0), "unknown step"),
        (done(7, 3.0, 3.0), "has no length"),
        (done(7, 3.0, 2.0), "ends before it starts"),
        (done(7, 100.5, 102.0), "starts outside of the video"),
        (done(7, -1.0, 2.0), "starts outside of the video"),
        (done(7, -1.0, -1.0), "left out by the person"),
    ],
)
def test_irregular_rows_are_dropped_and_listed(tmp_path: Path, step: Any, reason: str) -> None:
    adapted = read(folder(tmp_path, [recording("1_1", done(9, 1.0, 2.0), step)]))
    assert (adapted.rows.kept, dict(adapted.rows.dropped)) == (1, {reason: 1})
    assert f"{tmp_path / STEPS}: recording 1_1: step 1: dropped, {reason}" in adapted.listed


def test_odd_rows_are_kept_and_listed(tmp_path: Path) -> None:
    steps = [
        done(7, 1.0, 2.0, wrong=True),
        done(8, 3.0, 4.0, description="Add-2 eggs"),
        done(9, 5.0, 6.0),
    ]
    wrong = {"recording_id": "1_1", "step_annotations": [told(steps[2], ("Other", "Shakes it"))]}
    adapted = read(folder(tmp_path, [recording("1_1", *steps)], [wrong]))
    (one,) = adapted.annotations
    assert [(a.step_id, a.text, a.mistake) for a in one.actions] == [
        ("S1", "Cut the bread", "error"),
        ("S2", "Add 2 eggs", None),
        ("S3", "Then stir it", "other: Shakes it"),
    ]
    assert [line.split(": ", 2)[2] for line in adapted.listed[:3]] == [
        "step 0: an error that is not described",
        "step 1: step 8 is described as 'Add-2 eggs' here; taken as said",
        "step 2: not marked as an error",
    ]


def test_what_is_not_kept_as_a_video(tmp_path: Path) -> None:
    names = {"1_1": done(7, -1.0, -1.0), "1_3": done(7, 1.0, 2.0), "1_4": done(7, 1.0, 2.0)}
    adapted = read(folder(tmp_path, [recording(name, step) for name, step in names.items()]))
    assert str(adapted.account) == (
        "kept 0 of 4; dropped 4 (1 in no split, 1 length unknown, 1 no steps, 1 not annotated)"
    )
    assert str(adapted.rows) == "kept 0 of 0; dropped 0"


def test_a_loose_node_is_listed(tmp_path: Path) -> None:
    graph = {"steps": {"0": "START", "1": NAMES[7], "2": NAMES[8]}, "edges": [[0, 2]]}
    adapted = read(folder(tmp_path, [recording("1_1", done(7, 1.0, 2.0))], graph=graph))
    assert [step.name for step in adapted.annotations[0].task.steps] == [
        "Cut the bread",
        "Add 1 egg",
    ]
    assert "nothing leads to node 1, 'Cut -Cut the bread'" in adapted.listed[0]


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (
            {"steps": {"0": "START", "1": "x", "2": "y"}, "edges": [[1, 2], [2, 1]]},
            r"nodes \[1, 2\]",
        ),
        ({"steps": {"0": "START"}, "edges": [[0, 4]]}, r"edge \[0, 4\] does not join"),
        ({"steps": {"0": "START"}, "edges": [3]}, "edge 3 does not join"),
        ({"steps": {"a": "START"}, "edges": []}, "node 'a' is 'START', expected a number"),
        ({"steps": {"1": " "}, "edges": []}, "node '1' is ' ', expected a number and a text"),
        ({"edges": []}, "field 'steps' is None, expected dict"),
    ],
)
def test_graphs_that_are_none(tmp_path: Path, graph: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        read(folder(tmp_path, [recording("1_1", done(7, 1.0, 2.0))], graph=graph))
    assert "eggbread.json" in str(error.value)


def test_errors_name_recording_and_field(tmp_path: Path) -> None:
    good = recording("1_1", done(7, 1.0, 2.0))
    for steps, message in (
        ([3], "recording 1_1: step 0: field 'step_id' is 3"),
        ([done(7, 1.0, 2.0) | {"end_time": "x"}], "step 0: field 'end_time' is 'x'"),
        ([done(7, 1.0, 2.0) | {"has_errors": 1}], "step 0: field 'has_errors' is 1"),
    ):
        with pytest.raises(DataError, match=message):
            read(folder(tmp_path, [recording("1_1", *steps)]))
    with pytest.raises(DataError, match="recording 1_1 stands twice"):
        read(folder(tmp_path, [good], [{"recording_id": "1_1", "step_annotations": []}] * 2))
    (folder(tmp_path, [good]) / STEPS).write_text(json.dumps({"1_2": good}))
    with pytest.raises(DataError, match="recording 1_2: its recording_id is '1_1'"):
        read(tmp_path)
    (folder(tmp_path, [good]) / SPLITS).write_text('{"train": ["a"], "val": ["a"], "test": []}')
    with pytest.raises(DataError, match="'a' in val is no recording or in another split"):
        read(tmp_path)
    (folder(tmp_path, [good]) / GRAPHS / "eggbread.json").unlink()
    with pytest.raises(MissingError, match=r"no file .*eggbread\.json"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("description", "said"),
    [
        ("Coat -Coat a 6-oz. cup", "Coat a 6-oz. cup"),
        ("Add-1/2 tsp salt to the pan", "Add 1/2 tsp salt to the pan"),
        ("melt-In a mug, melt  butter", "In a mug, melt butter"),
        ("Measure and add-a pinch of salt", "Measure and add a pinch of salt"),
        ("Serve", "Serve"),
        ("", ""),
    ],
)
def test_sentence(description: str, said: str) -> None:
    assert sentence(description) == said


JSON_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**400), 10**400) | st.sampled_from([-1, 0, 7]),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(0, 3), max_size=2),
    st.just({}),
)


def damage(value: Any, data: st.DataObject) -> Any:
    """The value with one part replaced or left out."""
    if isinstance(value, dict | list) and value and data.draw(st.integers(0, 9)):
        keys: list[Any] = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = data.draw(st.sampled_from(keys))
        if data.draw(st.integers(0, 5)):
            value[key] = damage(value[key], data)
        else:
            del value[key]
        return value
    return data.draw(JSON_VALUES)


def read_or_told(root: Path) -> Adapted | None:
    """What can be read, or None if a clear error says why not."""
    try:
        return read(root)
    except ProspectError:
        return None


@pytest.mark.fuzz
@settings(max_examples=examples(80), deadline=None)
@given(st.data())
def test_a_damaged_tree_is_told_or_counted(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = small_tree(Path(name))
        files = sorted(path for path in root.rglob("*.*") if path.is_file())
        damaged = st.lists(st.sampled_from(files), min_size=1, max_size=3, unique=True)
        for path in data.draw(damaged):
            text = path.read_text()
            if path.suffix == ".json" and data.draw(st.integers(0, 9)):
                path.write_text(json.dumps(damage(json.loads(text), data)))
            else:
                at = data.draw(st.integers(0, len(text)))
                path.write_text(text[:at] + data.draw(st.text(max_size=3)) + text[at + 2 :])
        adapted = read_or_told(root)
        for annotation in adapted.annotations if adapted else ():
            label(annotation, REOPEN)
        assert adapted is None or len(adapted.annotations) == adapted.account.kept


def test_real_folder_is_read_whole(annotations_dir: Path) -> None:
    root = annotations_dir / "captaincook4d"
    if not (root / STEPS).is_file():
        pytest.skip(f"no file {root / STEPS}")
    adapted = read(root)
    assert adapted == read(root)
    raw = json.loads((root / STEPS).read_text())
    counts: Counter[str] = Counter()
    for record in raw.values():
        for step in record["steps"]:
            counts["steps"] += 1
            counts["missing"] += step["start_time"] == step["end_time"] == -1
            counts["wrong"] += step["has_errors"]
            counts["wrong visits"] += step["has_errors"] and step["start_time"] != -1
    members = json.loads((root / SPLITS).read_text()).values()
    everything = raw.keys() | {name for names in members for name in names}
    assert adapted.account.kept + sum(adapted.account.dropped.values()) == len(everything)
    if adapted.account.kept == len(raw):
        assert adapted.rows.kept + sum(adapted.rows.dropped.values()) == counts["steps"]
    for annotation in adapted.annotations:
        assert label(annotation, REOPEN).transitions
    readme = annotations_dir / "README.md"
    if readme.is_file() and "4734 steps" in readme.read_text():
        assert (len(raw), counts["steps"], counts["wrong"]) == (314, 4734, 1591)
        assert len({annotation.task_type for annotation in adapted.annotations}) == 24
        assert dict(adapted.rows.dropped) == {"left out by the person": counts["missing"]}
        assert adapted.account.dropped["not annotated"] == 70
        actions = [action for one in adapted.annotations for action in one.actions]
        assert sum(action.mistake is not None for action in actions) == counts["wrong visits"]
        assert Counter(one.split for one in adapted.annotations) == {
            "train": 179,
            "val": 45,
            "test": 90,
        }


def test_listed_order_is_one_the_graph_allows(annotations_dir: Path) -> None:
    root = annotations_dir / "captaincook4d"
    if not (root / GRAPHS).is_dir():
        pytest.skip(f"no folder {root / GRAPHS}")
    recipes = {one.task_type: one.task.steps for one in read(root).annotations}
    for recipe, steps in recipes.items():
        graph = json.loads((root / GRAPHS / f"{recipe.lower().replace(' ', '')}.json").read_text())
        at = {step.name: number for number, step in enumerate(steps)}
        texts = {int(node): " ".join(text.split()) for node, text in graph["steps"].items()}
        once = {text for text, number in Counter(texts.values()).items() if number == 1}
        for before, after in graph["edges"]:
            if {texts[before], texts[after]} <= once - {"START", "END"}:
                assert at[sentence(texts[before])] < at[sentence(texts[after])], recipe
