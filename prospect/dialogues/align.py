"""Timed blocks and the steps of a task -> which step each block belongs to, if any.

In: blocks that say in words what is done, and a `Task` whose steps came from elsewhere: another
annotator, a model, the dataset's own list. Out: a step for every block, so that `label` can make
transitions. Deterministic, no service. Steps may be left out, come back, overlap in time; a block
may belong to no step.

Two parts: how well blocks fit steps (`prospect.dialogues.align_scores`), and the best walk over
the steps. `docs/results/labels.md` measures both against people's own labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from prospect.annotations.visits import owned
from prospect.dialogues.align_scores import Floats, log_probs, similarity
from prospect.embeddings import Embed
from prospect.errors import ConfigError
from prospect.types import Action, Annotation, Task


@dataclass(frozen=True)
class AlignConfig:
    """What speaks for a step; all chosen on Goal-Step train (`docs/results/labels.md`).

    Attributes:
        temperature: Similarity that is worth one nat, > 0.
        word_weight: Weight of shared words beside that of the embeddings' cosine.
        balance: From 0, names of steps are taken as they are, to 1, all steps are expected equally
            often, which takes from a general name what it gets for being general.
        none_similarity: A block that is less similar than this to all steps belongs to none.
        visit_bonus: Nats for visiting a step at all: one that is listed was probably done.
        next_cost, skip_cost, back_cost: Nats for leaving a step for the one listed next (or for
            none), for one listed later, for one listed earlier; staying costs nothing.
    """

    temperature: float = 0.1
    word_weight: float = 0.2
    balance: float = 0.9
    none_similarity: float = 0.3
    visit_bonus: float = 1.0
    next_cost: float = 0.2
    skip_cost: float = 0.25
    back_cost: float = 0.3

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ConfigError(f"temperature is {self.temperature}; it must be above 0")
        if not 0 <= self.balance <= 1:
            raise ConfigError(f"balance is {self.balance}; it must be from 0 to 1")


DEFAULT = AlignConfig()


def align(
    blocks: Sequence[Action], task: Task, embed: Embed, settings: AlignConfig = DEFAULT
) -> tuple[str | None, ...]:
    """The step that each block belongs to, by its text and its neighbours.

    Takes time and memory of the order of blocks * steps^2 at most.

    Args:
        blocks: Of one video, in any order; they may overlap and their ``step_id`` isn't looked at.
        task: Its steps in the order in which they are usually done, as far as known.
        embed: Texts -> unit vectors.

    Returns:
        A step_id for each block in the order given, None for one that belongs to no step; all
        None if the task has no steps.
    """
    if not blocks or not task.steps:
        return (None,) * len(blocks)
    by_time = sorted(range(len(blocks)), key=lambda n: (blocks[n].start_s, blocks[n].end_s, n))
    names = [step.name for step in task.steps]
    alike = similarity([blocks[n].text for n in by_time], names, embed, settings.word_weight)
    scores = log_probs(alike, settings.none_similarity, settings.temperature, settings.balance)
    path = best_path(with_visits(scores, settings.visit_bonus), costs(len(names), settings))
    step_ids = [*(step.id for step in task.steps), None]
    found = dict(zip(by_time, path, strict=True))
    return tuple(step_ids[found[n]] for n in range(len(blocks)))


def aligned(
    annotation: Annotation, task: Task, embed: Embed, settings: AlignConfig = DEFAULT
) -> Annotation:
    """The annotation with another task, its blocks as visits to the steps they belong to.

    Blocks are the ``step`` actions or, where there are none, the ``action``s. A block that belongs
    to no step becomes an ``action``. Whatever is no visit belongs to the step of the visit that
    holds most of it, if any.
    """
    kind = "step" if any(action.kind == "step" for action in annotation.actions) else "action"
    blocks = [action for action in annotation.actions if action.kind == kind]
    found = iter(align(blocks, task, embed, settings))
    actions = [
        _placed(action, next(found)) if action.kind == kind else replace(action, step_id=None)
        for action in annotation.actions
    ]
    visits = [action for action in actions if action.kind == "step"]
    actions = [action if action.kind == "step" else owned(action, visits) for action in actions]
    return replace(annotation, task=task, actions=tuple(actions))


def _placed(block: Action, step_id: str | None) -> Action:
    return replace(block, kind="action" if step_id is None else "step", step_id=step_id)


def with_visits(scores: Floats, bonus: float) -> Floats:
    """Raise the scores (N, M + 1) by ``bonus`` where a block stands for a step's only sure visit.

    Of the ways to give steps a block each, one that loses the least against every block's own best
    choice; a step for which that loses more than the bonus gets no block.
    """
    gain = np.maximum(bonus - (scores.max(axis=1, keepdims=True) - scores[:, :-1]), 0.0)
    block, step = linear_sum_assignment(gain, maximize=True)
    raised = scores.copy()
    worth = gain[block, step] > 0
    raised[block[worth], step[worth]] += bonus
    return raised


def costs(num_steps: int, settings: AlignConfig) -> Floats:
    """What it costs to go from each step (row) to each other, "none" last: (M + 1, M + 1)."""
    place = np.arange(num_steps)
    ahead = place[None, :] - place[:, None]
    moves = [settings.next_cost, settings.skip_cost, settings.back_cost]
    found = np.zeros((num_steps + 1, num_steps + 1))
    found[:-1, :-1] = np.select([ahead == 1, ahead > 1, ahead < 0], moves, 0.0)
    found[:-1, -1] = settings.next_cost
    return found


def best_path(scores: Floats, move_costs: Floats) -> list[int]:
    """The walk with the greatest sum of scores less the costs of its moves (Viterbi).

    Args:
        scores: (N, K), N >= 1.
        move_costs: (K, K), from row to column.

    Returns:
        A column for every row of ``scores``; of equal walks the one whose last columns are lowest.
    """
    total = scores[0]
    came_from = []
    for row in scores[1:]:
        reach = total[:, None] - move_costs
        came_from.append(reach.argmax(axis=0))
        total = reach.max(axis=0) + row
    path = [int(total.argmax())]
    for back in reversed(came_from):
        path.append(int(back[path[-1]]))
    return path[::-1]
