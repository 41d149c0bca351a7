"""WTaG's published files become annotations; every irregular row is dealt with on purpose."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prospect.annotations.wtag import SPEECH, STEPS, TIMING, read
from prospect.dialogues import label
from prospect.errors import DataError, MissingError, ProspectError
from prospect.types import Action, Annotation, Step, Task, Turn
from tests.fuzz import examples

INSTRUCTOR, USER = SPEECH
TEA = "Tea\n\nSteps\n1. Heat the\nwater.\n2. Put leaves into a cup.\n3. Stir.\n"
EGG = "Egg\n\nSteps\n1. Heat a pan.\n2. Break the egg.\n"
ROWS = ("0 20 Start", "20 40 Put leaves", "45 60 Heating water", "60 70 Done")


def ticks(line: str) -> str:
    """ "20 40 Put leaves" in seconds -> a line of a published file; the video starts at 7 s."""
    start, end, *rest = line.split(" ", 2)
    times = (round((float(time) + 7) * 10_000_000) for time in (start, end))
    return "\t".join([*map(str, times), *rest])


def write(path: Path, lines: tuple[str, ...]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def folder(
    root: Path,
    rows: tuple[str, ...] = ROWS,
    instructor: tuple[str, ...] = (),
    user: tuple[str, ...] = (),
    name: str = "T1",
) -> Path:
    write(root / name / TIMING, ("70000000", "870000000"))
    write(root / name / STEPS, tuple(map(ticks, rows)))
    write(root / name / INSTRUCTOR, tuple(map(ticks, instructor)))
    write(root / name / USER, tuple(map(ticks, user)))
    write(root / "assets" / "recipe_tea.txt", (TEA,))
    write(root / "assets" / "recipe_egg.txt", (EGG,))
    return root


def test_one_video_by_hand(tmp_path: Path) -> None:
    instructor = (
        "30 33 Put in the leaves.\tInstruction\tcurrent step",
        "48 50 Yes.\tAnswer",
        "61 61 Well done",
    )
    adapted = read(folder(tmp_path, instructor=instructor, user=("46 47.5 Is it\thot?",)))
    assert adapted.annotations == (
        Annotation(
            video_id="T1",
            dataset="wtag",
            split="train",
            # the order of the recipe, not of the video
            task=Task("Make tea.", (Step("S1", "Heating water"), Step("S2", "Put leaves"))),
            task_type="tea",
            duration_s=80.0,
            actions=(
                Action(0.0, 20.0, "Start", "action"),
                Action(20.0, 40.0, "Put leaves", "step", "S2"),
                Action(45.0, 60.0, "Heating water", "step", "S1"),
                Action(60.0, 70.0, "Done", "action"),
            ),
            conversation=(
                Turn("assistant", 30.0, "Put in the leaves.", "initiative|instruction"),
                # known when it ends, and answered
                Turn("user", 47.5, "Is it"),
                Turn("assistant", 48.0, "Yes.", "responsive|info_sharing"),
                Turn("assistant", 61.0, "Well done"),
            ),
            video_file="T1/Video/Video.mpeg",
            start_s=20.0,
        ),
    )
    assert str(adapted.account) == "kept 1 of 1; dropped 0"
    assert str(adapted.rows) == "kept 8 of 8; dropped 0"
    assert adapted.listed == ()


@pytest.mark.parametrize(
    ("rows", "said", "reason"),
    [
        (("9 8 Stir",), (), "ends before it starts"),
        (("9 9 Stir",), (), "has no length"),
        (("-1 3 Stir",), (), "starts outside of the video"),
        (("9 10",), (), "no step name"),
        ((), ("30 31",), "no text"),
        ((), ("31 30 Hm.",), "ends before it starts"),
        ((), ("79 81 Hm.",), "speech outside of the video"),
        ((), ("19 21 Hm.",), "speech before the task begins"),
    ],
)
def test_irregular_rows_are_dropped_and_listed(
    tmp_path: Path, rows: tuple[str, ...], said: tuple[str, ...], reason: str
) -> None:
    adapted = read(folder(tmp_path, (*ROWS, *rows), said))
    assert dict(adapted.rows.dropped) == {reason: 1}
    (line,) = adapted.listed
    file, number = (STEPS, 5) if rows else (INSTRUCTOR, 1)
    assert line == f"{tmp_path / 'T1' / file}:{number}: dropped, {reason}"


def test_odd_rows_are_kept_and_listed(tmp_path: Path) -> None:
    adapted = read(folder(tmp_path, (*ROWS, "65 90 Stir")))
    assert adapted.rows.kept == 5
    assert [line.rsplit(": ", 1)[1] for line in adapted.listed] == [
        "cut at the end of the video, 80.0 s, not 90.0 s",
        "'Stir' begins at 65.0 s, in 'Done'",
    ]


def test_steps_without_a_recipe_are_in_the_order_of_other_videos(tmp_path: Path) -> None:
    folder(tmp_path, ("1 2 Sit", "3 4 Nap"), name="T5")
    folder(tmp_path, ("1 2 Nap", "3 4 Sit", "5 6 Go"), name="T6")
    adapted = read(tmp_path)
    listed = [[step.name for step in one.task.steps] for one in adapted.annotations]
    assert listed == [["Nap", "Sit"], ["Sit", "Nap", "Go"]]
    assert {one.task.goal for one in adapted.annotations} == {"Follow the recipe."}
    assert {one.split for one in adapted.annotations} == {"val"}
    assert adapted.listed[0].endswith("T5: follows none of the recipes more than the others")


def test_videos_that_cannot_be_used_are_dropped(tmp_path: Path) -> None:
    folder(tmp_path, ("0 20 Start",))
    (tmp_path / "T2").mkdir()
    adapted = read(tmp_path)
    assert str(adapted.account) == "kept 0 of 2; dropped 2 (1 no step file, 1 no steps)"


def test_absent_parts(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no video in"):
        read(tmp_path)
    folder(tmp_path)
    for path in (tmp_path / "assets").iterdir():
        path.unlink()
    (tmp_path / "T1" / USER).unlink()
    adapted = read(tmp_path)
    assert adapted.annotations[0].task_type == "unknown"
    assert adapted.listed[0].endswith("no recipes in assets, tasks unknown")
    assert adapted.listed[2].endswith(f"no file {USER}, nothing said by the user")
    (tmp_path / "T1" / TIMING).unlink()
    with pytest.raises(MissingError, match=r"no file .*VideoMpegTiming"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("name", "lines", "message"),
    [
        (f"T1/{STEPS}", ("1\t2\tGo", "1.5\t2\tGo"), ":2: '1.5' is no time in ticks"),
        (f"T1/{STEPS}", ("1",), ":1: 1 columns, expected start, end and text"),
        (f"T1/{TIMING}", ("5",), "expected two lines"),
        (f"T1/{TIMING}", ("5", "5"), "expected two lines"),
        ("assets/recipe_tea.txt", ("Tea",), "no numbered steps below a line 'Steps'"),
    ],
)
def test_what_is_not_wtag_is_an_error(
    tmp_path: Path, name: str, lines: tuple[str, ...], message: str
) -> None:
    write(folder(tmp_path) / name, lines)
    with pytest.raises(DataError) as error:
        read(tmp_path)
    assert str(error.value).startswith(str(tmp_path / name))
    assert message in str(error.value)


LINE = st.one_of(
    st.text("0159-. \tax\u0661\"'", max_size=20),
    st.tuples(st.integers(-9, 10**9), st.integers(-9, 10**9), st.sampled_from(["Go", "", "Done"]))
    .map(lambda cells: "\t".join(map(str, cells))),
)  # fmt: skip


@pytest.mark.fuzz
@settings(max_examples=examples(150), deadline=None)
@given(st.data())
def test_spoilt_files_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    root = folder(tmp_path_factory.mktemp("spoilt"))
    file = data.draw(st.sampled_from([STEPS, TIMING, INSTRUCTOR, USER]))
    write(root / "T1" / file, tuple(data.draw(st.lists(LINE, max_size=4))))
    try:
        adapted = read(root)
    except ProspectError:
        return
    for annotation in adapted.annotations:
        label(annotation)
        assert all(0 <= a.start_s < a.end_s <= annotation.duration_s for a in annotation.actions)
        times = [turn.time_s for turn in annotation.conversation]
        assert times == sorted(times)
        assert all(annotation.start_s <= time <= annotation.duration_s for time in times)


def num_lines(path: Path) -> int:
    return sum(bool(line.strip()) for line in path.read_text().splitlines())


def test_real_folder_is_read_whole(annotations_dir: Path) -> None:
    root = annotations_dir / "WTaG"
    if not root.is_dir():
        pytest.skip(f"no folder {root}")
    adapted = read(root)
    assert read(root) == adapted
    kept = raw = 0
    for annotation in adapted.annotations:
        label(annotation)
        kept += len(annotation.actions) + len(annotation.conversation)
        raw += sum(num_lines(root / annotation.video_id / name) for name in (STEPS, *SPEECH))
    dropped = sum(adapted.rows.dropped.values())
    assert (kept, kept + dropped) == (adapted.rows.kept, raw)
    readme = annotations_dir / "README.md"
    if readme.is_file() and "| `WTaG/` | 1 (`T1`)" in readme.read_text():
        (t1,) = adapted.annotations
        roles = [turn.role for turn in t1.conversation]
        assert (len(t1.actions), roles.count("assistant"), roles.count("user")) == (14, 18, 3)
        assert (t1.task_type, t1.task.goal, t1.duration_s) == (
            "pinwheel",
            "Make pinwheels.",
            321.492992,
        )
        assert [step.name for step in t1.task.steps][-3:] == [
            "Slice roll",
            "Repeat",
            "Display pinwheel",
        ]


def test_printed_times_and_texts_are_told_exactly(annotations_dir: Path, data_dir: Path) -> None:
    root = annotations_dir / "WTaG"
    printed = data_dir / "proassist-samples" / "generated_dialogs" / "wtag.json"
    if not (root / "T1").is_dir() or not printed.is_file():
        pytest.skip(f"no {root / 'T1'} or {printed}")
    (record,) = json.loads(printed.read_text())
    (t1,) = (one for one in read(root).annotations if one.video_id == "T1")
    lines = [(a.start_s, f"[{a.start_s:.1f}s-{a.end_s:.1f}s] {a.text}") for a in t1.actions[1:]]
    lines += [(t.time_s, f'- [{t.time_s:.1f}s] {t.role}: "{t.text}"') for t in t1.conversation]
    told = [f"- [{t1.start_s / 2:.1f}s] start", *(line for _, line in sorted(lines))]
    assert told == record["parsed_video_anns"]["all_step_descriptions"].strip().split("\n")
