"""What a run shows to whoever watches: a bar in a terminal, else a line each time it logs."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Show = Callable[[int, Mapping[str, float]], None]
"""(optimizer steps done, row of the log or nothing new) -> shown."""

_SHOWN = {
    "loss": "loss {:.3f}",
    "speak_gen": "speech {:.2f}",
    "state_gen": "state {:.2f}",
    "speak_bin": "speak? {:.3f}",
    "update_bin": "update? {:.3f}",
    "tokens_per_s": "{:,.0f} tok/s",
    "frames_per_s": "{:,.0f} frames/s",
    "labelled_share": "{:.0%} labelled",
    "memory_gb": "{:.1f} GB",
    "eval_loss": "validation loss {:.3f}",
    "eval_speak_f1": "speak F1 {:.2f}",
    "eval_update_f1": "update F1 {:.2f}",
    "eval_transition_exact": "transitions {:.0%} exact",
}


def line(row: Mapping[str, float]) -> str:
    """A row of the log, as short as it goes."""
    return "  ".join(text.format(row[name]) for name, text in _SHOWN.items() if name in row)


@contextmanager
def shown(console: Console, total_steps: int) -> Iterator[Show]:
    """Show a run while the context lasts.

    Args:
        console: Where to.
        total_steps: Of the whole run.
    """
    if not console.is_terminal:
        yield lambda step, row: _print(console, step, total_steps, row)
        return
    columns = (BarColumn(20), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    text = TextColumn("{task.fields[numbers]}")
    with Progress(TextColumn("train"), *columns, text, console=console) as bar:
        task = bar.add_task("train", total=total_steps, numbers="")

        def show(step: int, row: Mapping[str, float]) -> None:
            bar.update(task, completed=step)
            if "loss" in row:
                bar.update(task, numbers=line(row))
            elif "eval_loss" in row:
                console.print(f"step {step}: {line(row)}")

        yield show


def _print(console: Console, step: int, total_steps: int, row: Mapping[str, float]) -> None:
    if text := line(row):
        console.print(f"step {step}/{total_steps}: {text}", soft_wrap=True, highlight=False)
