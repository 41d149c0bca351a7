"""What a language model reads of a video, character for character as ProAssist prints it."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prospect.annotations import assembly101, ego4d, egoexolearn, epickitchens, holoassist, wtag
from prospect.annotations.adapted import Source
from prospect.annotations.describe import describe
from prospect.types import Action, Annotation, Task, Turn


def annotation(dataset: str, actions: list[Action], turns: tuple[Turn, ...] = ()) -> Annotation:
    task = Task("Make tea.", ())
    return Annotation("v", dataset, "train", task, "tea", 99.0, tuple(actions), turns, None, 10.0)


def test_plain_lines_by_hand() -> None:
    actions = [
        Action(1.04, 2.06, "attach body", "step", "S1"),
        Action(1.5, 1.6, "pick up body", "action", "S1"),
        Action(3.0, 4.0, "detach body", "step", "S1", mistake="wrong order"),
        Action(3.9, 5.0, "pick up cabin", "action", "S2"),
        Action(4.0, 5.0, "idle", "pause"),
        Action(5.0, 6.0, "attach body", "step", "S1", corrects="detach body"),
        Action(5.5, 6.5, "drop it", "action", "S1", mistake="clumsy"),
    ]
    turns = (Turn("user", 0.5, "Hello?"), Turn("assistant", 5.75, "No."))
    assert describe(annotation("assembly101", actions, turns)).split("\n") == [
        "[1.0s-2.1s] attach body",
        " - [1.5s] pick up body",
        "[3.0s-4.0s] detach body (mistake: wrong order)",
        "[3.9s-5.0s] pick up cabin",
        '[5.0s-6.0s] attach body (correction of "detach body")',
        " - [5.5s] drop it (mistake: clumsy)",
        ' - [5.8s] assistant: "No."',
    ]
    assert describe(annotation("assembly101", [])) == ""


def test_the_styles_of_datasets() -> None:
    actions = [
        Action(1.0, 9.0, "The student opens it.", "step", "S1"),
        Action(
            2.0, 3.0, "Press wrong button", "action", "S1", "press", mistake="The student errs."
        ),
        Action(4.0, 5.0, "Press wrong button", "action", "S1", "press"),
        Action(5.0, 6.0, "hold box", "action", "S1", "hold"),
        Action(9.5, 9.9, "grab hex_key", "action", None, "grab"),
        Action(9.95, 10.0, "Sit", "step", "S2"),
    ]
    heard = replace(
        annotation("holoassist", actions, (Turn("user", 2.0, "What?"),)),
        spoken=(Turn("user", 1.5, " What?"),),
        summary="The student sits.",
    )
    assert describe(heard).split("\n") == [
        "[1.0s-9.0s] The user opens it.",
        ' - [1.5s] user: " What?"',
        " - [2.0s-3.0s] Press button (ERROR: The user errs.)",
        " - [9.5s-9.9s] grab hex key",
        "[9.9s-10.0s] Sit",
        "Summary: The user sits.",
    ]
    assert describe(annotation("ego4d", actions)).split("\n") == [
        "[2.0s-9.0s] the student opens it.",
        " - [2.0s] press wrong button (mistake: the student errs.)",
        " - [5.0s] hold box",
        "[9.9s-10.0s] sit",
    ]
    lead = [Action(0.0, 9.0, "Start", "action"), Action(12.0, 13.0, "Pour", "step", "S1")]
    said = (Turn("user", 12.5, "So?"),)
    assert describe(annotation("wtag", lead, said)).split("\n") == [
        "- [4.5s] start",
        "[12.0s-13.0s] Pour",
        '- [12.5s] user: "So?"',
    ]


def printed(data_dir: Path, dataset: str) -> dict[str, Any]:
    path = data_dir / "proassist-samples" / "generated_dialogs" / f"{dataset}.json"
    if not path.is_file():
        pytest.skip(f"no file {path}")
    record: dict[str, Any] = json.loads(path.read_text())[0]["parsed_video_anns"]
    return record


def one(source: Source, annotations_dir: Path, video_id: str) -> Annotation:
    """The annotation of a real video; ProAssist's id may have the camera behind ours."""
    root = annotations_dir / source.folder
    if not root.is_dir():
        pytest.skip(f"no folder {root}")
    found = [a for a in source.read(root).annotations if video_id.startswith(a.video_id)]
    if not found:
        pytest.skip(f"no {video_id} in {root}")
    return found[0]


@pytest.mark.parametrize(
    ("dataset", "source"),
    [
        ("assembly101", assembly101.SOURCE),
        ("egoexolearn", egoexolearn.SOURCE),
        ("epickitchens", epickitchens.SOURCE),
        ("holoassist", holoassist.SOURCE),
        ("wtag", wtag.SOURCE),
    ],
)
def test_descriptions_equal_proassists_records(
    data_dir: Path, annotations_dir: Path, dataset: str, source: Source
) -> None:
    record = printed(data_dir, dataset)
    ours = describe(one(source, annotations_dir, record["video_uid"]))
    assert ours == record["all_step_descriptions"].rstrip("\n")


@pytest.mark.parametrize(
    ("file", "source", "video_id"),
    [
        ("assembly101_9026-b04b.txt", assembly101.SOURCE, ""),
        ("epickitchens_P01_01.txt", epickitchens.SOURCE, "P01_01"),
        ("holoassist_gopro.txt", holoassist.SOURCE, "R0027-12-GoPro"),
    ],
)
def test_descriptions_equal_the_printed_files(
    data_dir: Path, annotations_dir: Path, file: str, source: Source, video_id: str
) -> None:
    path = data_dir / "proassist-samples" / "parsed_annotations" / file
    if not path.is_file():
        pytest.skip(f"no file {path}")
    header = re.match(r"\d+ video: (.*)\n", text := path.read_text())
    if header is not None:
        video_id, text = header[1], text[header.end() :]
    lines = describe(one(source, annotations_dir, video_id)).split("\n")
    theirs = text.split("\n")
    assert lines == theirs[: len(lines)]
    # behind the description the notebook prints numbers of its own
    assert not re.search("[a-z]", "".join(theirs[len(lines) :]))


def test_ego4ds_record_but_for_its_brackets(data_dir: Path, tmp_path: Path) -> None:
    """An older form, without brackets and without optional segments."""
    record = printed(data_dir, "ego4d")

    def needed(segments: list[Any]) -> list[Any]:
        return [
            segment | {"segments": needed(segment.get("segments", []))}
            for segment in segments
            if segment["is_relevant"] != "optional"
        ]

    video = record["original_ann"] | {"segments": needed(record["original_ann"]["segments"])}
    path = tmp_path / ego4d.FILES["val"]
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"videos": [video]}))
    ours = describe(ego4d.read(tmp_path).annotations[0])
    ours = re.sub(r"^ - \[(.*?)\]", r" - \1:", ours, flags=re.MULTILINE)
    ours = re.sub(r"^\[(.*?)\]", r"\1", ours, flags=re.MULTILINE)
    assert ours == record["all_step_descriptions"].rstrip("\n")
