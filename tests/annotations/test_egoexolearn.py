"""EgoExoLearn's published files become annotations; no irregular row passes unseen."""

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prospect.annotations import Adapted
from prospect.annotations.egoexolearn import (
    BUNDLES,
    CLASSES,
    COARSE,
    FINE,
    METADATA,
    SEGMENTS,
    TAXONOMY,
    read,
    sub_steps,
)
from prospect.dialogues import label
from prospect.errors import DataError, MissingError, ProspectError
from prospect.types import Action, Annotation, Step, Task
from tests.fuzz import examples

HEAD = "video_uid,annotation_id,subset,view,scene,start_sec,end_sec," + ",".join(
    ("narration_en", "narration_en_hand_prompt", "narration_en_no_hand_prompt")
)
SEGMENT_HEAD = "video_id,annotation_id,start_sec,end_sec,verb,noun,scenario"


def coarse(start: Any, end: Any, attribute: Any = "1", text: Any = "1. Cut it.") -> dict[str, Any]:
    times = {"start": start, "end": end, "duration": 99.9, "type": 0, "id": "x"}
    return times | {"attribute": attribute, "textAttribute_en": text}


def about(video_id: str, task: str = "task5", **more: Any) -> dict[str, Any]:
    size = {"num_frames": 2500.0, "fps": 25.0, "view": "ego", "scene": "kitchen"}
    return {"video_uid": video_id, "task": task, **size, **more}


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def folder(
    root: Path,
    records: dict[str, Any],
    metadata: Any = None,
    narrated: tuple[str, ...] = (),
    segments: tuple[str, ...] = (),
) -> Path:
    """Classes 1 Cut, 2 Boil, 3 Other; all videos given are train, 100 s long, of task5."""
    for name, value in records.items():
        write(root / COARSE / f"{name}.json", json.dumps(value))
    classes = [{"key": "Cut", "value": "1"}, {"key": "Boil", "value": "2"}]
    write(root / CLASSES, json.dumps([*classes, {"key": "Other", "value": "3"}]))
    known = [about(name) for name in records] if metadata is None else metadata
    write(root / METADATA, json.dumps(known))
    write(root / BUNDLES.format("ego", "train"), "\n".join(f"{name}.txt" for name in records))
    write(root / TAXONOMY.format("verb"), 'label,group\nblow,x\n"take_(pick,_get)",x\n')
    write(root / TAXONOMY.format("noun"), "label,group\nbowl,x\nbaking_soda,x\n")
    if narrated:
        write(root / FINE, "\n".join([HEAD, *narrated]))
    if segments:
        write(root / SEGMENTS.format("val"), "\n".join([SEGMENT_HEAD, *segments]))
    return root


def one(adapted: Adapted) -> Annotation:
    (annotation,) = adapted.annotations
    return annotation


def test_one_video_by_hand(tmp_path: Path) -> None:
    records = [
        coarse(50, 70, "1", "1. Took the knife, \n2. Cut the dough"),
        coarse(10, 30.5, "2", "1. Boil it."),
        coarse(65, 80, "3", "1. Look around."),
    ]
    narrated = (
        'v,,val,ego,kitchen,28,32,"With, hands.",,Stir.',
        "v,,val,ego,kitchen,69,79,,Look.,",
    )
    adapted = read(folder(tmp_path, {"v": records}, narrated=narrated))
    assert one(adapted) == Annotation(
        video_id="v",
        dataset="egoexolearn",
        split="train",
        # alphabetical: no other video tells an order
        task=Task("Cook tomato dough drop soup.", (Step("S1", "Boil"), Step("S2", "Cut"))),
        task_type="task5",
        duration_s=100.0,
        actions=(
            Action(10.0, 30.5, "Boil it.", "step", "S1"),
            Action(28.0, 32.0, "Stir.", "action", "S1"),
            Action(50.0, 70.0, "Took the knife. Cut the dough.", "step", "S2"),
            Action(65.0, 80.0, "Look around.", "action"),
            Action(69.0, 79.0, "Look.", "action", "S2"),
        ),
    )
    assert str(adapted.account) == "kept 1 of 1; dropped 0"
    assert str(adapted.rows) == "kept 5 of 5; dropped 0"
    assert len(adapted.listed) == 2
    assert adapted.listed[0].endswith("ego video v: coarse records not in order of time, sorted")
    assert adapted.listed[1].endswith("of no class that is a step, kept as an action")


def test_order_of_steps_comes_from_other_videos_of_the_task(tmp_path: Path) -> None:
    cut_boil = [coarse(1, 2, "1"), coarse(3, 4, "2")]
    boil_cut = [coarse(1, 2, "2"), coarse(3, 4, "1")]
    metadata = [about("a"), about("b"), about("c", "task4"), about("d", "task4")]
    records = {"a": cut_boil, "b": cut_boil, "c": boil_cut, "d": cut_boil}
    listed = {
        one.video_id: [step.name for step in one.task.steps]
        for one in read(folder(tmp_path, records, metadata)).annotations
    }
    assert listed == {v: ["Cut", "Boil"] if v in "abc" else ["Boil", "Cut"] for v in "abcd"}


def test_segments_are_verbs_and_nouns_unless_narrated(tmp_path: Path) -> None:
    segments = ('v,x,1,2,[1],"[0, 1]",kitchen', "v,y,3,4,[0],[],kitchen", "w,z,5,6,[0],[],kitchen")
    narrated = ("w,,val,ego,kitchen,5,6,,,Blow.",)
    adapted = read(folder(tmp_path, {}, [about("v")], narrated, segments))
    v, w = adapted.annotations
    assert v.actions == (
        Action(1.0, 2.0, "take bowl and baking soda", "action", None, "take", "bowl"),
        Action(3.0, 4.0, "blow", "action", None, "blow"),
    )
    assert (v.task.steps, v.split) == ((), "train")
    assert [action.text for action in w.actions] == ["Blow."]
    assert (w.split, w.duration_s, w.task.goal) == ("val", 6.0, "Finish the task.")
    assert dict(adapted.rows.dropped) == {"segment of a narrated video": 1}


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (coarse(5, 4), "ends before it starts"),
        (coarse(5, 5) | {"type": 1}, "has no length"),
        (coarse(100, 101), "starts outside of the video"),
        (coarse(-1, 4), "starts outside of the video"),
        (coarse(5, 6, "99"), "unknown class '99'"),
        (coarse(5, 6, "3", "I'm ready to translate!"), "no narration in English"),
    ],
)
def test_irregular_records_are_dropped_and_listed(tmp_path: Path, record: Any, reason: str) -> None:
    adapted = read(folder(tmp_path, {"v": [coarse(1, 2), record]}))
    assert dict(adapted.rows.dropped) == {reason: 1}
    assert any(line.endswith(f"v.json: record 1: dropped, {reason}") for line in adapted.listed)


@pytest.mark.parametrize(
    ("narrated", "segments", "reason"),
    [
        (("v,,val,ego,lab,5,4,,,Go.",), (), "ends before it starts"),
        (("v,,val,ego,lab,5,6,,,",), (), "no narration in English"),
        ((), ("v,x,5,6,[],[1],lab",), "no verb"),
        ((), ("v,x,5,6,[2],[1],lab",), "unknown verb or noun"),
    ],
)
def test_irregular_lines_are_dropped_and_listed(
    tmp_path: Path, narrated: tuple[str, ...], segments: tuple[str, ...], reason: str
) -> None:
    adapted = read(folder(tmp_path, {"v": [coarse(1, 2)]}, None, narrated, segments))
    assert dict(adapted.rows.dropped) == {reason: 1}
    assert any(line.endswith(f".csv:2: dropped, {reason}") for line in adapted.listed)


def test_odd_records_are_kept_and_listed(tmp_path: Path) -> None:
    records = [
        coarse(1, 10, "1", "I'm sorry, there is nothing to be translated."),
        coarse(5, 12, "2", "1.又拿起\n2. Boil it."),
        coarse(20, 120, "", "1. Wait."),
    ]
    adapted = read(folder(tmp_path, {"v": records}))
    told = [(action.text, action.end_s, action.step_id) for action in one(adapted).actions]
    assert told == [("Cut", 10.0, "S2"), ("Boil it.", 12.0, "S1"), ("Wait.", 100.0, None)]
    assert [line.rsplit(": ", 1)[1] for line in adapted.listed] == [
        "1 lines that are no English narration left out",
        "no narration in English, called by its class",
        "1 lines that are no English narration left out",
        "of no class that is a step, kept as an action",
        "cut at the end of the video, 100.0 s instead of 120.0 s",
        "Boil begins at 5.0 s, in Cut",
    ]


@pytest.mark.parametrize(
    ("text", "sentences", "num_left"),
    [
        ("1. Cut it.\n2. Boil \u200bit,", ("Cut it.", "Boil it."), 0),
        ("Cut it.", ("Cut it.",), 0),
        ("1. Cut it.\n\n", ("Cut it.",), 0),
        ("1.又拿起\n\n1. Pick it up!", ("Pick it up!",), 1),
        ("I'm ready to translate. Please provide the sentences.", (), 1),
        ("", (), 0),
    ],
)
def test_sub_steps(text: str, sentences: tuple[str, ...], num_left: int) -> None:
    assert sub_steps(text) == (sentences, num_left)


def test_splits(tmp_path: Path) -> None:
    narrated = ("x,,val,exo,lab,1,2,,,Go.",)
    folder(tmp_path, {"v": [coarse(1, 2)], "w": [coarse(1, 2)]}, narrated=narrated)
    write(tmp_path / BUNDLES.format("ego", "train"), "v.txt\n")
    write(tmp_path / BUNDLES.format("ego", "test"), "v.txt\n")
    adapted = read(tmp_path)
    assert {one.video_id: one.split for one in adapted.annotations} == {
        "v": "test",
        "w": "train",
        "x": "val",
    }
    assert adapted.listed[0].endswith("video v: in the splits test, train, taken for test")
    assert adapted.listed[1].endswith("video w: in no split, taken for train")
    assert adapted.listed[2].endswith("exo video x: task 'unknown' has no known goal")


def test_videos_that_cannot_be_used_are_dropped(tmp_path: Path) -> None:
    records = {"v": [coarse(5, 4)], "w": [coarse(1, 2)]}
    adapted = read(folder(tmp_path, records, [about("v"), about("w", view="sky")]))
    assert str(adapted.account) == "kept 0 of 2; dropped 2 (1 nothing annotated, 1 unknown view)"
    assert str(adapted.rows) == "kept 0 of 0; dropped 0"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (f"{COARSE}/v.json", "{}", "v.json: expected a list, found dict"),
        (f"{COARSE}/v.json", "[\n3 4]", "v.json:2: not JSON"),
        (f"{COARSE}/v.json", "[7]", "v.json: record 0: field 'attribute' is 7, expected str"),
        (
            f"{COARSE}/v.json",
            json.dumps([coarse(float("nan"), 1)]),
            "record 0: field 'start' is nan, expected seconds",
        ),
        (CLASSES, '[{"key": "a", "value": "1"}, {"key": "b", "value": "1"}]', "'1' stands twice"),
        (METADATA, json.dumps([about("v"), about("v")]), "record 1: video v stands twice"),
        (METADATA, json.dumps([about("v", fps=0)]), "2500.0 frames at 0.0 fps are no length"),
        (FINE, HEAD + "\nv,,dev,ego,lab,1,2,,,Go.", ":2: column 'subset' is 'dev', expected"),
        (FINE, HEAD + "\nv,,val,ego,lab,inf,2,,,Go.", ":2: column 'start_sec' is 'inf'"),
        (SEGMENTS.format("test"), SEGMENT_HEAD + "\nv,x,1,2,6,[],lab", "column 'verb' is '6'"),
    ],
)
def test_what_is_not_egoexolearn_is_an_error(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    folder(tmp_path, {"v": [coarse(1, 2)]})
    write(tmp_path / name, text)
    with pytest.raises(DataError) as error:
        read(tmp_path)
    assert str(tmp_path / name) in str(error.value)
    assert message in str(error.value)


def test_absent_parts(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no annotations in"):
        read(tmp_path)
    folder(tmp_path, {"v": [coarse(1, 2)]})
    (tmp_path / METADATA).unlink()
    assert one(read(tmp_path)).duration_s == 2.0
    (tmp_path / CLASSES).unlink()
    with pytest.raises(MissingError, match=r"no file .*semantic_en"):
        read(tmp_path)


JUNK: st.SearchStrategy[Any] = st.sampled_from(
    [None, -5, 1e308, float("nan"), "", "x", [], {}, True, "1", 10**30]
)


@pytest.mark.fuzz
@settings(max_examples=examples(150), deadline=None)
@given(st.data())
def test_spoilt_files_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    records: list[Any] = [coarse(1, 5), coarse(4, 9, "2"), coarse(20, 30, "3")]
    metadata: list[Any] = [about("v")]
    for rows in (records, metadata):
        for row in rows:
            for key in data.draw(st.sets(st.sampled_from(sorted(row)), max_size=1)):
                row[key] = data.draw(JUNK)
                if row[key] is None:
                    del row[key]
    lines = st.lists(st.text("vw,[]0126-. \"'\n\t\u200beinf", max_size=40), max_size=2)
    narrated = ("v,,val,ego,lab,1,2,,,Go.", *data.draw(lines))
    segments = ("v,x,1,2,[1],[1],lab", *data.draw(lines))
    root = tmp_path_factory.mktemp("spoilt")
    folder(root, {"v": data.draw(st.permutations(records))}, metadata, narrated, segments)
    try:
        adapted = read(root)
    except ProspectError:
        return
    for annotation in adapted.annotations:
        label(annotation)
        assert all(0 <= a.start_s < a.end_s for a in annotation.actions)
        assert all(a.end_s <= annotation.duration_s and a.text for a in annotation.actions)


def raw_counts(root: Path) -> Counter[str]:
    """An independent count of the rows, straight from the files."""
    counts: Counter[str] = Counter()
    videos: dict[str, set[str]] = {"coarse": set(), "narrated": set(), "segment": set()}
    for path in (root / COARSE).glob("*.json"):
        records = json.loads(path.read_text())
        videos["coarse"].add(path.stem)
        counts["coarse"] += len(records)
        starts = [record["start"] for record in records]
        counts["unsorted"] += starts != sorted(starts)
        counts["no length"] += sum(record["end"] <= record["start"] for record in records)
    for kind, column, files in (
        ("narrated", "video_uid", [root / FINE]),
        ("segment", "video_id", [root / SEGMENTS.format(s) for s in ("train", "val", "test")]),
    ):
        for path in filter(Path.is_file, files):
            with path.open(newline="") as file:
                for row in csv.DictReader(file):
                    videos[kind].add(row[column])
                    counts[kind] += 1
    counts.update({f"{kind} videos": len(found) for kind, found in videos.items()})
    counts["videos"] = len(set().union(*videos.values()))
    return counts


def test_real_folder_is_read_whole(annotations_dir: Path) -> None:
    root = annotations_dir / "EgoExoLearn"
    if not root.is_dir():
        pytest.skip(f"no folder {root}")
    adapted = read(root)
    raw = raw_counts(root)
    dropped = adapted.rows.dropped
    assert adapted.account.kept + sum(adapted.account.dropped.values()) == raw["videos"]
    kept = [action for annotation in adapted.annotations for action in annotation.actions]
    assert len(kept) == adapted.rows.kept
    if not sum(adapted.account.dropped.values()):  # rows are counted in the videos kept
        rows = raw["coarse"] + raw["narrated"] + raw["segment"]
        assert len(kept) + sum(dropped.values()) == rows
    assert read(root) == adapted
    for annotation in adapted.annotations:
        label(annotation)
    readme = annotations_dir / "README.md"
    if readme.is_file() and "5499 coarse steps" in readme.read_text():
        assert (raw["coarse videos"], raw["coarse"]) == (256, 5499)
        assert (raw["narrated videos"], raw["narrated"]) == (81, 79 + 1771)
        assert raw["segment videos"] == 131
        assert len(adapted.annotations) == 348
        assert dropped["has no length"] == raw["no length"] == 2
        unsorted = sum("not in order of time" in line for line in adapted.listed)
        assert unsorted == raw["unsorted"] == 93


def test_printed_steps_are_told_exactly(annotations_dir: Path, data_dir: Path) -> None:
    root = annotations_dir / "EgoExoLearn"
    printed = data_dir / "proassist-samples" / "generated_dialogs" / "egoexolearn.json"
    if not root.is_dir() or not printed.is_file():
        pytest.skip(f"no {root} or {printed}")
    (record,) = json.loads(printed.read_text())
    by_id = {one.video_id: one for one in read(root).annotations}
    if record["video_uid"] not in by_id:
        pytest.skip(f"video {record['video_uid']} is not in {root}")
    actions = by_id[record["video_uid"]].actions
    told = "\n".join(f"[{a.start_s:.1f}s-{a.end_s:.1f}s] {a.text}" for a in actions)
    assert told == record["parsed_video_anns"]["all_step_descriptions"]
