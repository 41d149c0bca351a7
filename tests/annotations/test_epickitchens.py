"""EPIC-KITCHENS' published files become annotations; every irregular row is handled on purpose."""

import csv
import io
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prospect.annotations.epickitchens import (
    COLUMNS,
    DESCRIPTIONS,
    FILES,
    GOAL,
    INFO,
    WORK,
    goal,
    read,
)
from prospect.annotations.tables import coverage
from prospect.errors import DataError, MissingError, ProspectError
from prospect.types import Action
from tests.fuzz import examples

Cells = list[str]


def row(number: int, start: str, stop: str, text: str = "take cup", video: str = "P01_01") -> Cells:
    verb, _, noun = text.partition(" ")
    times = [f"00:00:{start}", f"00:00:{stop}"]
    return [f"{video}_{number}", "P01", video, *times, text, verb, noun]


def table(header: Cells, rows: list[Cells]) -> str:
    out = io.StringIO()
    csv.writer(out).writerows([header, *rows])
    return out.getvalue()


def folder(root: Path, train: list[Cells], info: str = "P01_01,59.5,60.0,1x1\n") -> Path:
    for file in (FILES["train"], DESCRIPTIONS):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / FILES["train"]).write_text(table(list(COLUMNS), train))
    (root / INFO).write_text("video_id,duration,fps,resolution\n" + info)
    (root / DESCRIPTIONS).write_text(
        'video_id,date,time,description\nP01_01,x,y,"washed cups, made tea"\n'
    )
    return root


def test_one_video_by_hand(tmp_path: Path) -> None:
    rows = [row(0, "08.00", "09.50", "put-down  cup"), row(1, "01.14", "08.5")]
    adapted = read(folder(tmp_path, rows))
    (annotation,) = adapted.annotations
    assert annotation.task.goal == "Wash cups, made tea."
    assert annotation.task.steps == ()
    assert annotation.task_type == "kitchen"
    assert annotation.video_file == "EPIC-KITCHENS/P01/videos/P01_01.MP4"
    assert (annotation.split, annotation.duration_s) == ("train", 59.5)
    assert annotation.actions == (
        Action(1.14, 8.5, "take cup", "action", None, "take", "cup"),
        Action(8.0, 9.5, "put-down cup", "action", None, "put-down", "cup"),
    )
    assert coverage(annotation) == pytest.approx((9.5 - 1.14) / 59.5)
    assert str(adapted.rows) == "kept 2 of 2; dropped 0"
    assert "train.csv:3: begins at 1.14 s, before the row above it; sorted" in adapted.listed[0]
    assert adapted.listed[1] == "P01_01: 'put-down cup' begins at 8.0 s, in 'take cup'"


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (row(1, "05.00", "04.00"), "ends before it starts"),
        (row(1, "05.00", "05.00"), "has no length"),
        (row(1, "59.50", "59.60"), "starts outside of the video"),
        (row(1, "05.00", "06.00", " "), "no narration"),
    ],
)
def test_irregular_rows_are_dropped_and_listed(tmp_path: Path, odd: Cells, reason: str) -> None:
    adapted = read(folder(tmp_path, [row(0, "01.00", "02.00"), odd]))
    assert dict(adapted.rows.dropped) == {reason: 1}
    assert adapted.listed == (f"{tmp_path / FILES['train']}:3: dropped, {reason}",)


def test_rows_are_cut_at_the_end_of_the_video(tmp_path: Path) -> None:
    adapted = read(folder(tmp_path, [row(0, "59.00", "59.90")]))
    assert adapted.annotations[0].actions[0].end_s == 59.5
    assert "cut at the end of the video, 59.5 s instead of 59.9 s" in adapted.listed[0]


def test_videos_of_unknown_length_are_dropped_with_their_rows(tmp_path: Path) -> None:
    rows = [row(0, "01.00", "02.00"), row(0, "01.00", "02.00", video="P02_01")]
    adapted = read(folder(tmp_path, rows))
    assert str(adapted.account) == "kept 1 of 2; dropped 1 (1 not in EPIC_100_video_info.csv)"
    assert str(adapted.rows) == "kept 1 of 1; dropped 0"
    assert "P02_01: dropped with 1 rows" in adapted.listed[0]


def test_a_neutral_goal_without_a_description(tmp_path: Path) -> None:
    root = folder(tmp_path, [row(0, "01.00", "02.00")])
    (root / DESCRIPTIONS).unlink()
    adapted = read(root)
    assert adapted.annotations[0].task.goal == GOAL
    assert "not there, all goals are taken as" in adapted.listed[0]
    assert "P01_01: has no description" in adapted.listed[1]


@pytest.mark.parametrize(
    ("description", "wish"),
    [
        ("washed dishes, wiped sink and baked bread.", "Wash dishes, wiped sink and bake bread."),
        ("prepared rice with onions. put it away", "Prepare rice with onions, put it away."),
        ("preparing omelette, and washing dishes", "Prepare omelette, and wash dishes."),
        ("make chicken and fried rice", "Make chicken and fried rice."),
        ("emptied  the bin", "Empty the bin."),
        ("tea", None),
        ("", None),
    ],
)
def test_goal(description: str, wish: str | None) -> None:
    assert goal(description, WORK) == wish


def test_what_is_not_epic_kitchens_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="neither epic-kitchens-100-annotations/EPIC_100_train"):
        read(tmp_path)
    good = row(0, "01.00", "02.00")
    with pytest.raises(
        DataError, match=r"train\.csv:3: narration 'P01_01_0' stands at .*csv:2 too"
    ):
        read(folder(tmp_path, [good, good]))
    with pytest.raises(DataError, match=r"csv:2: column 'stop_timestamp' is '00:00:x', not like"):
        read(folder(tmp_path, [row(0, "01.00", "x")]))
    with pytest.raises(DataError, match=r"csv:3: 7 cells, the header names 8 columns"):
        read(folder(tmp_path, [good, row(1, "01.00", "02.00")[:-1]]))
    with pytest.raises(DataError, match=r"info\.csv:2: column 'duration' is 'nan', expected"):
        read(folder(tmp_path, [good], "P01_01,nan,60.0,1x1\n"))
    (folder(tmp_path, [good]) / FILES["val"]).write_text(table(list(COLUMNS), [good]))
    with pytest.raises(DataError, match="video P01_01 is in both splits"):
        read(tmp_path)
    (tmp_path / FILES["train"]).write_text("narration_id,video_id\n")
    with pytest.raises(DataError, match=r"train\.csv:1: no column 'participant_id' among"):
        read(tmp_path)


def raw_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_real_folder_is_read_whole(annotations_dir: Path) -> None:
    root = annotations_dir / "epic-kitchens"
    if not any((root / file).is_file() for file in FILES.values()):
        pytest.skip(f"no EPIC-KITCHENS files in {root}")
    adapted = read(root)
    assert adapted == read(root)
    raw = {split: raw_rows(root / file) for split, file in FILES.items() if (root / file).is_file()}
    known = {cells["video_id"] for cells in raw_rows(root / INFO)}
    videos = {split: {cells["video_id"] for cells in rows} for split, rows in raw.items()}
    rows = adapted.rows.kept + sum(adapted.rows.dropped.values())
    assert rows == sum(cells["video_id"] in known for found in raw.values() for cells in found)
    kept = Counter(annotation.split for annotation in adapted.annotations)
    assert kept == {split: len(found & known) for split, found in videos.items()}
    for annotation in adapted.annotations:
        assert 0 <= coverage(annotation) <= 1
        starts = [(a.start_s, a.end_s) for a in annotation.actions]
        assert starts == sorted(starts)
        assert all(0 <= a.start_s < a.end_s <= annotation.duration_s for a in annotation.actions)
    if (annotations_dir / "README.md").is_file():
        assert {split: len(found) for split, found in raw.items()} == {"train": 8270, "val": 6594}
        assert kept == {"train": 80, "val": 104}
        assert str(adapted.rows) == "kept 14864 of 14864; dropped 0"


@pytest.mark.fuzz
@settings(max_examples=examples(150), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_mutated_files_are_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    rows = [row(n, f"{n:02}.00", f"{n + 2:02}.00") for n in range(4)]
    rows = data.draw(st.permutations(rows))
    odd = st.sampled_from(["", "-1", "nan", "00:00:59.9", "99:00:00.0", "é\n", '"', "inf", "P9_9"])
    for _ in range(data.draw(st.integers(1, 3))):
        cells = data.draw(st.sampled_from(rows))
        at = data.draw(st.integers(0, 7))
        if data.draw(st.integers(0, 5)) == 0:
            del cells[at : at + 1]
        elif at < len(cells):
            cells[at] = data.draw(st.one_of(odd, st.text(max_size=5)))
    info = data.draw(st.sampled_from(["P01_01,3.5,60,x\n", "P01_01,59,60,x\n", "P01_01,-1,60,x\n"]))
    root = folder(tmp_path, [])
    text = table(list(COLUMNS), rows)
    (root / FILES["train"]).write_bytes(text.encode("utf-8", errors="surrogateescape"))
    (root / INFO).write_text("video_id,duration,fps,resolution\n" + info)
    try:
        adapted = read(root)
    except ProspectError:
        return
    assert sum(len(annotation.actions) for annotation in adapted.annotations) == adapted.rows.kept
    for annotation in adapted.annotations:
        assert 0 <= coverage(annotation) <= 1
