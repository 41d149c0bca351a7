"""What a model decides by, fitted on validation videos and stored in its checkpoint.

Probabilities of true histories are fitted in one pass (`store_fitted`). They know nothing of
declining, and so ask for more certainty than is needed where a model may decline: streams of the
same videos, one for each threshold that is tried, tell what it comes to (`store_chosen`). Nothing
is said meanwhile, which is twice as fast.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from prospect.errors import DataError
from prospect.files import read_json, write_records
from prospect.stages.score import score_records
from prospect.stages.shared import say
from prospect.types import Prediction, Split

if TYPE_CHECKING:
    from prospect.model.config import Thresholds

UPDATE = (0.95, 0.9, 0.8, 0.7, 0.5, 0.3, 0.1)
DECLINE = (0.5, 0.2, 0.1, 0.05, 0.02)
_FIRST = 0.2  # while thresholds of the update are tried


def store_fitted(checkpoint: Path, made: Sequence[Prediction], split: Split | None) -> None:
    """Fit the rules of both decisions to teacher-forced predictions, and store them."""
    # the checkpoint module imports torch
    from prospect.model.checkpoint import checkpoint_thresholds, store_thresholds
    from prospect.model.fitting import fit_thresholds

    rho = checkpoint_thresholds(checkpoint).negative_rate
    thresholds, fits = fit_thresholds(made, split or "all", rho)
    store_thresholds(checkpoint, thresholds)
    for decision, found in fits.items():
        rule = found.rule
        rearm = "" if rule.rearm is None else f", re-armed at {rule.rearm:g} of it"
        say(
            f"{decision} above {rule.threshold:g}, at least {rule.min_gap_s:g} s apart{rearm}: F1 "
            f"{found.f1:.3f}; threshold alone {found.plain_f1:.3f}, a clock {found.clock_f1:.3f}"
        )
    say(f"{checkpoint}: decides by these rules now, fitted on {thresholds.split}")


def store_chosen(
    checkpoint: Path,
    out: Path,
    split: Split | None,
    watch: "Callable[[Thresholds, Path], list[Prediction]]",
) -> None:
    """Choose the threshold of the update, then that of declining, and store them.

    Chosen is the highest sum of typed transition F1 @5 s and joint goal accuracy. All are tried: a
    model whose probabilities are low does nothing by the first ones. All else that the checkpoint
    decides by stays, for a model that writes its transitions (`ModelConfig.write`) declining too.

    Args:
        checkpoint: Folder of a finished model.
        out: JSONL of the streams of what was chosen, written last; those that were tried stand
            beside it, with their scores.
        split: Whose streams they are, for the record.
        watch: Streams the validation videos, silently, by given thresholds into a file.

    Raises:
        DataError: no transition is due in these videos.
    """
    from prospect.model.checkpoint import checkpoint_model, checkpoint_thresholds, store_thresholds

    fitted = checkpoint_thresholds(checkpoint)
    chooses = checkpoint_model(checkpoint).write != "generate"
    streamed: dict[Thresholds, list[Prediction]] = {}

    def worth(tried: "Thresholds") -> float:
        name = f"{out.stem}.update-{tried.update:g}-decline-{tried.decline:g}.jsonl"
        streamed[tried] = made = watch(tried, out.with_name(name))
        if not any(event.transitions for one in made for event in one.references):
            raise DataError(
                f"{out.with_name(name)}: no transition is due in these {len(made)} streams, so no "
                "threshold of updates can be chosen; give videos whose states are told"
            )
        scored = out.with_name(name).with_suffix(".json")
        score_records(made, scored)
        scores = read_json(scored)
        f1, accuracy = scores["transition_f1_5s"], scores["joint_goal_accuracy"]
        say(f"update {tried.update:g}, decline {tried.decline:g}: {f1:.3f} + {accuracy:.3f}")
        found: float = f1 + accuracy
        return found

    first = replace(fitted, decline=_FIRST) if chooses else fitted
    best = max((replace(first, update=x) for x in UPDATE), key=worth)
    if chooses:
        best = max((replace(best, decline=x) for x in DECLINE), key=worth)
    store_thresholds(checkpoint, replace(best, split=split or "all"))
    write_records(out, streamed[best])
    say(f"{checkpoint}: updates above {best.update:g}, declines above {best.decline:g}")
