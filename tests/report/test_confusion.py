"""Matrices of hand-made streams."""

from collections.abc import Callable
from dataclasses import replace

from prospect.report.confusion import MAX_TASKS, Confused, confusion
from prospect.report.outcomes import transition_outcomes
from prospect.types import Event, Move, Prediction, Step, Task, Transition

Make = Callable[..., Prediction]


def stream(make: Make, goal: str, due: str, did: str) -> Prediction:
    """``"1s 2c"``: S1 starts at frame 0, S2 completes at frame 100, and so on; ``-`` is nothing."""
    moves: dict[str, Move] = {"s": "start", "c": "complete"}

    def events(text: str) -> tuple[Event, ...]:
        return tuple(
            Event(100 * place, (Transition(f"S{word[0]}", moves[word[1]]),))
            for place, word in enumerate(text.split())
            if word != "-"
        )

    task = Task(goal, (Step("S1", "Cut."), Step("S2", "Fry.")))
    made = make(0, steps=2, duration_s=600.0)
    return replace(made, task=task, references=events(due), events=events(did))


def test_by_hand(make_prediction: Make) -> None:
    made = [
        stream(make_prediction, "Cook", "1s 1c 2s -", "2s 1c - 2c"),
        stream(make_prediction, "Cook", "1s", "2s"),
    ]
    found = confusion((one, transition_outcomes(one)) for one in made)
    assert found.pairs == (Confused("Cut.", "Fry.", 2, 3),)
    (task,) = found.tasks
    assert (task.title, task.names) == ("Cook", ("Cut.", "Fry."))
    assert [[square.count for square in row] for row in task.rows] == [[1, 2, 0], [0, 0, 1], [0, 1]]
    assert [square.css for square in task.rows[0]] == ["right", "wrong", ""]
    assert task.rows[0][1].share == 0.67
    assert task.rows[1][2].hint == "Fry.: 1 of 1 missed"
    assert found.moves is not None
    assert found.moves.names == ("start", "complete")
    assert [[square.count for square in row] for row in found.moves.rows] == [
        [2, 0, 1],
        [0, 1, 0],
        [0, 1],
    ]


def test_the_worst_tasks_come_first(make_prediction: Make) -> None:
    made = [stream(make_prediction, f"Task {n}", "1s", "1s") for n in range(MAX_TASKS + 2)]
    made.append(stream(make_prediction, "Task 9", "1s", "2s"))
    found = confusion((one, transition_outcomes(one)) for one in made)
    assert found.tasks[0].title == "Task 9"
    assert (len(found.tasks), found.others) == (MAX_TASKS, 3)


def test_nothing_to_confuse(make_prediction: Make) -> None:
    made = stream(make_prediction, "Cook", "", "")
    found = confusion([(made, transition_outcomes(made))])
    assert (found.pairs, found.moves, found.tasks) == ((), None, ())
