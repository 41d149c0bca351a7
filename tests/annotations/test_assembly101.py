"""Assembly101's files become annotations; parity with what ProAssist's parser printed."""

import csv
import json
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prospect.annotations.adapted import Adapted
from prospect.annotations.assembly101 import COARSE, FINE, MISTAKES, SPLITS, read
from prospect.dialogues import label
from prospect.errors import DataError, MissingError, ProspectError
from prospect.types import Action, Annotation, Step
from tests.fuzz import examples

PRINTED = "nusar-2021_action_both_9026-b04b_9026_user_id_2021-02-03_163855"
ONE, TWO, THREE = (f"nusar-2021_action_both_90{n}-b04b_90{n}_user_id_x" for n in (11, 12, 13))
REOPEN = ("start", "complete", "reopen")
FINE_HEADER = "id,video,start_frame,end_frame,action_cls,verb_cls,noun_cls"


def put(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def split_files(root: Path, **members: str) -> None:
    """Six split files; ``members`` are lines by name of the file."""
    for kind in ("assembly", "disassembly"):
        for split in ("train", "val", "test"):
            name = f"{split}_coarse_{kind}"
            put(root / SPLITS / f"{name}.txt", *members.get(name, "").splitlines())


def mistakes(root: Path, sequence: str, *rows: str) -> None:
    put(root / MISTAKES / f"{sequence}.csv", *rows)


def coarse(root: Path, name: str, *rows: str) -> None:
    put(root / COARSE / f"{name}.txt", *(row.replace(",", "\t") for row in rows))


def small_tree(root: Path) -> Path:
    """Three recordings of one toy: mistakes alone, coarse and mistakes, coarse of both tasks."""
    mistakes(
        root, ONE, "300,600,attach,cabin,chassis,correct,", "600,900,attach,wheel,chassis,correct,"
    )
    mistakes(
        root,
        TWO,
        "300,600,attach,wheel,chassis,mistake,worng order",
        "600,690,detach,chassis,wheel,correction,",
        "690,900,attach,cabin,chassis,correct",
        "900,960,attach,wheel,cabin,mistake,wrong position",
    )
    coarse(
        root,
        f"assembly_{TWO}",
        "000300,000630,attach wheel",
        "000630,000690,detach chassis",
        "000690,000900,attach cabin",
        "000900,000960,attach wheel",
        "000960,000990,attempt to screw cabin",
        "000990,001200,attach wheel",
    )
    coarse(root, f"disassembly_{TWO}", "30,90,detach wheel", "90,150,detach cabin")
    coarse(root, f"disassembly_{THREE}", "30,60,unscrew cabin", "60,90,screw cabin")
    put(
        root / FINE / "train.csv",
        FINE_HEADER,
        f"0,{TWO}/HMC_1.mp4,700,720,pick up cabin,pick up,cabin",
        f"0,{TWO}/HMC_2.mp4,700,720,pick up cabin,pick up,cabin",
        f"0,{TWO}/HMC_2.mp4,160,170,look,look,",
        f"0,{TWO}/HMC_2.mp4,40,50,grab wheel,grab,wheel",
        f"0,{TWO}/C10_rgb.mp4,700,720,pick up cabin,pick up,cabin",
    )
    split_files(
        root,
        train_coarse_assembly=f"assembly_{ONE}.txt\t\t-\tb04b\t-\nassembly_{TWO}.txt\t\t-",
        val_coarse_disassembly=f"disassembly_{TWO}.txt\t\tshared\tb04b\tsuv\n"
        f"disassembly_{THREE}.txt\t\t-",
    )
    return root


def of(adapted: Adapted, video_id: str) -> Annotation:
    (found,) = [one for one in adapted.annotations if one.video_id == video_id]
    return found


def test_small_tree_by_hand(tmp_path: Path) -> None:
    adapted = read(small_tree(tmp_path))
    assert str(adapted.account) == "kept 4 of 4; dropped 0"
    # 2 + 4 mistake rows, 6 + 2 + 2 coarse ones, 5 fine ones
    assert str(adapted.rows) == (
        "kept 18 of 21; dropped 3 (2 fine row of another camera, 1 fine row outside of the task)"
    )
    one = of(adapted, f"assembly_{TWO}")
    assert (one.task.goal, one.task_type, one.split) == (
        "assemble toy suv",
        "assemble b04b",
        "train",
    )
    assert (one.start_s, one.duration_s) == (8.0, 40.0)
    assert one.video_file == f"{TWO}/HMC_2.mp4"
    # listed as in the other recording of this toy, not as done here
    assert one.task.steps == (
        Step("S1", "attach cabin to chassis"),
        Step("S2", "attach wheel to chassis"),
    )
    spans = [(a.start_s, a.end_s, a.kind, a.step_id, a.text) for a in one.actions]
    assert spans == [
        (10.0, 21.0, "step", "S2", "attach wheel to chassis"),
        (21.0, 23.0, "step", "S2", "detach chassis from wheel"),
        (23.0, 30.0, "step", "S1", "attach cabin to chassis"),
        (700 / 30, 24.0, "action", "S1", "pick up cabin"),
        # never right in any recording of the toy: no step, but about the only one with a wheel
        (30.0, 32.0, "action", "S2", "attach wheel to cabin"),
        (32.0, 33.0, "action", None, "attempt to screw cabin"),
        (33.0, 40.0, "step", "S2", "attach wheel"),
    ]
    assert [a.mistake for a in one.actions if a.mistake] == ["wrong order", "wrong position"]
    assert [a.corrects for a in one.actions if a.corrects] == ["attach wheel to chassis"]
    moves = [
        (t.time_s, t.transition.step_id, t.transition.move) for t in label(one, REOPEN).transitions
    ]
    assert moves == [
        (10.0, "S2", "start"),
        (23.0, "S1", "start"),  # S2 is off again, and stays in progress
        (30.0, "S1", "complete"),
        (40.0, "S2", "complete"),
    ]


def test_taking_apart_is_a_task_of_its_own(tmp_path: Path) -> None:
    adapted = read(small_tree(tmp_path))
    one = of(adapted, f"disassembly_{THREE}")
    assert (one.task.goal, one.task_type, one.split) == (
        "disassemble toy suv",
        "disassemble b04b",
        "val",
    )
    assert [(a.kind, a.step_id, a.text) for a in one.actions] == [
        ("step", "S1", "unscrew cabin"),
        ("step", "S1", "screw cabin"),  # undoes it
    ]
    assert one.start_s == 0.0
    two = of(adapted, f"disassembly_{TWO}")
    assert [a.text for a in two.actions if a.kind == "action"] == ["grab wheel"]


def test_a_part_is_not_undone_before_it_is_joined(tmp_path: Path) -> None:
    mistakes(
        tmp_path,
        ONE,
        "0,30,detach,a,b,mistake,shouldn't have happened",
        "30,60,attach,a,b,correct,",
    )
    (one,) = read(tmp_path).annotations
    assert [(a.kind, a.step_id) for a in one.actions] == [("action", "S1"), ("step", "S1")]


@pytest.mark.parametrize(
    ("rows", "corrects"),
    [
        (["0,30,attach,c,b,mistake,wrong order"], "attach c to b"),  # the last mistake of all
        (["0,30,attach,a,b,correct,", "30,60,attach,c,b,mistake,x"], "attach a to b"),
        (["0,30,attach,b,a,mistake,wrong order", "30,60,attach,a,b,correct,"], "attach b to a"),
        ([], None),
    ],
)
def test_what_a_correction_puts_right(tmp_path: Path, rows: list[str], corrects: str) -> None:
    mistakes(tmp_path, ONE, *rows, "90,99,detach,a,b,correction,", "99,120,attach,a,b,correct,")
    (one,) = read(tmp_path).annotations
    assert [a.corrects for a in one.actions if a.text == "detach a from b"] == [corrects]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("60,60,attach,a,b,correct,", "has no length"),
        ("60,50,attach,a,b,correct,", "ends before it starts"),
        ("-5,50,attach,a,b,correct,", "starts outside of the video"),
        ("50,60,interior,a,b,correct,", "unknown verb 'interior'"),
        ("50,60,attach,a,b,wrong,", "unknown label 'wrong'"),
        ("50,60,attach,,b,correct,", "no part"),
    ],
)
def test_irregular_rows_are_dropped_and_listed(tmp_path: Path, row: str, reason: str) -> None:
    mistakes(tmp_path, ONE, "0,30,attach,a,b,correct,", row)
    adapted = read(tmp_path)
    assert dict(adapted.rows.dropped) == {reason: 1}
    assert f"{tmp_path / MISTAKES / ONE}.csv:2: dropped, {reason}" in adapted.listed


@pytest.mark.parametrize(
    ("row", "note"),
    [
        ("50,60,attach,a,b,correct", "six columns, taken as without remark"),
        ("50,60,position,a,b,correct,", "verb 'position', neither attach nor detach"),
        ("50,60,attach,a,b,mistake,odd", "unknown remark 'odd', kept as it is"),
        ("50,60,attach,a,b,mistake,", "a mistake without remark"),
        ("50,60,attach,a,b,correct,odd", "correct with the remark 'odd', which is not used"),
        ("20,60,attach,a,b,correct,", "begins at 0.67 s, in 'attach a to b'"),
        ("-0,3,attach,a,b,correct,", "begins at 0.00 s, in"),
    ],
)
def test_odd_rows_are_kept_and_listed(tmp_path: Path, row: str, note: str) -> None:
    mistakes(tmp_path, ONE, "0,30,attach,a,b,correct,", row)
    adapted = read(tmp_path)
    assert (adapted.rows.kept, dict(adapted.rows.dropped)) == (2, {})
    assert any(
        line.startswith(f"{tmp_path / MISTAKES / ONE}.csv") and note in line
        for line in adapted.listed
    )


def test_unsorted_rows_are_sorted_and_listed(tmp_path: Path) -> None:
    mistakes(tmp_path, ONE, "90,120,attach,a,b,correct,", "0,30,attach,c,b,correct,")
    adapted = read(tmp_path)
    assert [a.start_s for a in adapted.annotations[0].actions] == [0.0, 3.0]
    assert any("2: begins before the row above it; sorted" in line for line in adapted.listed)


def test_what_is_not_kept_as_a_video(tmp_path: Path) -> None:
    mistakes(tmp_path, ONE, "0,30,attach,a,b,correct,")
    mistakes(tmp_path, TWO, "0,30,attach,a,b,correct,")
    coarse(tmp_path, f"disassembly_{ONE}", "0,30,inspect toy")
    put(tmp_path / FINE / "train.csv", FINE_HEADER, "0,other/HMC_1.mp4,1,2,x,x,x")
    split_files(
        tmp_path,
        test_coarse_assembly=f"assembly_{ONE}.txt\t\t-",
        test_coarse_disassembly=f"disassembly_{ONE}.txt\t\t-",
    )
    adapted = read(tmp_path)
    assert str(adapted.account) == "kept 1 of 3; dropped 2 (1 in no split, 1 no steps)"
    assert adapted.annotations[0].split == "test"
    assert "other: has fine actions alone; they are not used" in adapted.listed


def test_a_tree_without_splits_is_train(tmp_path: Path) -> None:
    mistakes(tmp_path, "odd name", "0,30,attach,a,b,correct,")
    adapted = read(tmp_path)
    assert [(a.split, a.task_type) for a in adapted.annotations] == [("train", "assemble")]
    assert "everything is taken as train" in adapted.listed[0]


def test_errors_name_file_and_line(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="give the folder above them"):
        read(tmp_path)
    mistakes(tmp_path, ONE, "0,30,attach,a,b,correct,", "0,30,attach,a,b")
    with pytest.raises(DataError, match=r"\.csv:2: 5 cells, expected 6 or 7"):
        read(tmp_path)
    mistakes(tmp_path, ONE, "0,x,attach,a,b,correct,")
    with pytest.raises(DataError, match=r"\.csv:1: column 'end_frame' is 'x'"):
        read(tmp_path)
    mistakes(tmp_path, ONE, "0,30,attach,a,b,correct,")
    coarse(tmp_path, f"assembly_{ONE}", "0,30")
    with pytest.raises(DataError, match=r"\.txt:1: 2 cells, expected start, end, action"):
        read(tmp_path)
    coarse(tmp_path, f"assembly_{ONE}", "0,30,attach a")
    name = f"assembly_{ONE}.txt\t\t-"
    split_files(tmp_path, train_coarse_assembly=name, test_coarse_assembly=name)
    with pytest.raises(DataError, match=r"test_coarse_assembly\.txt:1: .* is in train too"):
        read(tmp_path)
    coarse(tmp_path, "other_x", "0,30,attach a")
    split_files(tmp_path)
    with pytest.raises(DataError, match="not named assembly_<sequence> or disassembly_"):
        read(tmp_path)


CELLS = st.one_of(
    st.sampled_from(["", "-1", "1e9", "nan", "detach", "attach wheel", "mistake", "wrong order"]),
    st.text(max_size=6),
)


@pytest.mark.fuzz
@settings(max_examples=examples(60), deadline=None)
@given(st.data())
def test_a_damaged_tree_is_told_or_counted(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = small_tree(Path(folder))
        for _ in range(data.draw(st.integers(1, 3))):
            path = data.draw(st.sampled_from(sorted(p for p in root.rglob("*.*") if p.is_file())))
            lines = path.read_text().split("\n")
            at = data.draw(st.integers(0, len(lines) - 1))
            between = "\t" if path.suffix == ".txt" else ","
            cells = lines[at].split(between)
            cells[data.draw(st.integers(0, len(cells) - 1))] = data.draw(CELLS)
            lines[at] = data.draw(st.sampled_from([between.join(cells), "", lines[at - 1]]))
            path.write_text("\n".join(lines))
        adapted = read_or_told(root)
        for annotation in adapted.annotations if adapted else ():
            label(annotation, REOPEN)
        assert adapted is None or len(adapted.annotations) == adapted.account.kept


def read_or_told(root: Path) -> Adapted | None:
    """What can be read, or None if a clear error says why not."""
    try:
        return read(root)
    except ProspectError:
        return None


def tree(annotations_dir: Path, name: str) -> Path:
    root = annotations_dir / name
    if not root.is_dir():
        pytest.skip(f"no folder {root}")
    return root


def raw_rows(root: Path) -> int:
    """An independent count of all rows."""
    files = [*(root / MISTAKES).glob("*.csv"), *(root / COARSE).glob("*.txt")]
    rows = sum(bool(line.strip()) for file in files for line in file.read_text().splitlines())
    for file in (root / FINE).glob("*.csv"):
        with file.open(newline="") as handle:
            rows += sum(1 for _ in csv.DictReader(handle))
    return rows


@pytest.mark.parametrize("name", ["assembly101", "assembly101-derived"])
def test_real_folder_is_read_whole(annotations_dir: Path, name: str) -> None:
    root = tree(annotations_dir, name)
    adapted = read(root)
    assert adapted == read(root)
    if not any(adapted.account.dropped.values()):
        assert adapted.rows.kept + sum(adapted.rows.dropped.values()) == raw_rows(root)
    for annotation in adapted.annotations:
        assert label(annotation, REOPEN).transitions
        assert list(annotation.actions) == sorted(
            annotation.actions, key=lambda action: (action.start_s, action.end_s)
        )
    readme = annotations_dir / "README.md"
    if readme.is_file() and "3295 rows" in readme.read_text():
        assert len(adapted.annotations) == 268
        counts = dict(adapted.rows.dropped)
        assert (counts.pop("has no length"), counts.pop("unknown verb 'interior'")) == (1, 1)
        assert counts == ({"fine row outside of the task": 23} if name == "assembly101" else {})


def test_mistakes_and_corrections_equal_the_raw_labels(annotations_dir: Path) -> None:
    root = tree(annotations_dir, "assembly101")
    adapted = read(root)
    raw: Counter[str] = Counter()
    for file in (root / MISTAKES).glob("*.csv"):
        raw.update(line.split(",")[5] for line in file.read_text().splitlines() if line.strip())
    actions = [action for one in adapted.annotations for action in one.actions]
    assert sum(action.mistake is not None for action in actions) <= raw["mistake"]
    assert sum(action.corrects is not None for action in actions) <= raw["correction"]
    readme = annotations_dir / "README.md"
    if readme.is_file() and "3295 rows" in readme.read_text():
        assert raw == {"correct": 2407, "mistake": 605, "correction": 283}
        assert sum(action.mistake is not None for action in actions) == 605
        # one is without length, of one the verb is unknown
        assert sum(action.corrects is not None for action in actions) == 281
        remarks = {action.mistake for action in actions if action.mistake}
        assert remarks == {
            "wrong position",
            "wrong order",
            "shouldn't have happened",
            "previous one is a mistake",
        }


def printed(action: Action) -> str:
    """ProAssist's form of a row."""
    end = f" (mistake: {action.mistake})" if action.mistake else ""
    end = f' (correction of "{action.corrects}")' if action.corrects else end
    return f"[{action.start_s:.1f}s-{action.end_s:.1f}s] {action.text}{end}"


def test_parity_with_the_printed_sample(annotations_dir: Path, data_dir: Path) -> None:
    root = tree(annotations_dir, "assembly101")
    text = data_dir / "proassist-samples/parsed_annotations/assembly101_9026-b04b.txt"
    record = data_dir / "proassist-samples/generated_dialogs/assembly101.json"
    file = root / COARSE / f"assembly_{PRINTED}.txt"
    for path in (text, record, file):
        if not path.is_file():
            pytest.skip(f"no file {path}")
    one = of(read(root), f"assembly_{PRINTED}")
    assert [printed(action) for action in one.actions] == text.read_text().strip().split("\n")[1:]
    theirs = json.loads(record.read_text())[0]["parsed_video_anns"]
    original = theirs["original_ann"]
    assert one.start_s == theirs["video_start_time"]
    assert one.task.goal == original["task"]
    assert one.video_id == original["task_id"]
    assert one.split == original["split"]
    assert [(a.start_s, a.end_s, a.text) for a in one.actions] == [
        (step["start"], step["end"], step["narration"]) for step in original["steps"]
    ]
