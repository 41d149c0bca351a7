"""The little English that speaks of steps and mistakes."""

import pytest

from prospect.dialogues.english import brief, count, enumerated, imperative, past, to_user


@pytest.mark.parametrize(
    ("name", "request_", "done"),
    [
        ("The student grabs the GoPro.", "grab the GoPro", "grabbed the GoPro"),
        ("The student turns on their GoPro.", "turn on your GoPro", "turned on your GoPro"),
        ("The students attaches the shift_arm.", "attach the shift arm", "attached the shift arm"),
        ("He presses a button and takes it.", "press a button and take it",
         "pressed a button and took it"),
        ("The student then carries the box.", "carry the box", "carried the box"),
        ("Attach the wheels to the chassis.", "attach the wheels to the chassis",
         "attached the wheels to the chassis"),
        ("Unplug the lamp and put it down.", "unplug the lamp and put it down",
         "unplugged the lamp and put it down"),
        ("The student uses bolts and washers on the table.", "use bolts and washers on the table",
         "used bolts and washers on the table"),
        ("Open the lid.", "open the lid", "opened the lid"),
        ("Screw the lamp.", "screw the lamp", "screwed the lamp"),
        ("Slide it.", "slide it", "slid it"),
        ("drink from glass", "drink from glass", "drank from glass"),
        ("Then, took another piece.", "take another piece", "took another piece"),
        ("The left hand takes out a bowl.", "take out a bowl", "took out a bowl"),
        ("Using both hands, fold it.", "using both hands, fold it",
         "did this: using both hands, fold it"),
        ("Saw the board.", "saw the board", "sawed the board"),
    ],
)  # fmt: skip
def test_requests_and_what_was_done(name: str, request_: str, done: str) -> None:
    assert imperative(name) == request_
    assert past(request_) == done


@pytest.mark.parametrize(
    ("remark", "told"),
    [
        ("The student drops the screw  accidentally.", "you dropped the screw accidentally"),
        ("The student should slide the ratchet_adjuster.", "you should slide the ratchet adjuster"),
        ("The student doesn't open it.", "you don't open it"),
        ("The student only grabs the grid.", "you only grabbed the grid"),
        ("shouldn't have happened", "that shouldn't have happened"),
        ("preparation error: use mug instead of cup", "use mug instead of cup"),
        ("timing error: 20 secs", "timing error: 20 secs"),
        ("picked up the bolt instead of the nut", "you picked up the bolt instead of the nut"),
        ("Wrong place.", "wrong place"),
        ("It is late, the student did it.", "it is late, you did it"),
    ],
)
def test_remarks_are_told_to_the_user(remark: str, told: str) -> None:
    assert to_user(remark) == told


def test_brief_cuts_at_clauses_only() -> None:
    long = "remove the bolts, lift the head and put it on the table"
    assert brief(long, 20) == long
    assert brief(long, 9) == "remove the bolts, lift the head"
    assert brief(long, 5) == "remove the bolts"
    assert brief(long, 2) == long


def test_lists_and_counts() -> None:
    assert enumerated([]) == ""
    assert enumerated(["a"]) == "a"
    assert enumerated(["a", "b", "c"]) == "a, b and c"
    assert count(1, "step") == "one step"
    assert count(3, "step") == "3 steps"
