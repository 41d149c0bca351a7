"""Validation during training: by all processes; the best weights are kept, or the run ends."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import TrainingArguments

from prospect.model.checkpoint import Checkpoint, save_checkpoint
from prospect.model.config import ModelConfig
from prospect.samples.dataset import ClipDataset
from prospect.samples.sequence import Renderer
from prospect.train.config import TrainConfig
from prospect.train.log import LOG, read_log
from prospect.train.objective import Objective
from prospect.train.processes import gathered
from prospect.train.saving import BEST, stale
from prospect.train.validation import Validation, observe, summarize


@dataclass(frozen=True)
class Watch:
    """What validates a run.

    Attributes:
        objective, renderer: The model.
        dataset: Validation clips as they are.
        model, config: Settings.
        rho: Optimizer steps done -> the share of silent frames that count.
        fps: Of the clips.
        about: For the checkpoints.
        arguments: Tell this process's part of the clips.
        out: The run folder.
    """

    objective: Objective
    renderer: Renderer
    dataset: ClipDataset
    model: ModelConfig
    config: TrainConfig
    rho: Callable[[int], float]
    fps: float
    about: dict[str, Any]
    arguments: TrainingArguments
    out: Path

    def measure(self) -> Validation:
        """Validate all clips, each by one process; every process gets the result."""
        total, processes = len(self.dataset), self.arguments.world_size
        # the first clips again, so that every process makes as many passes as sharding needs
        even = range(self.arguments.process_index, -(-total // processes) * processes, processes)
        mine = [at % total for at in even]
        observed = observe(self.objective, self.dataset, self.renderer, mine, self.arguments.device)
        once = {one.index: one for one in gathered(observed)}
        return summarize(self.objective, list(once.values()), self.dataset.clips)

    def save(self, found: Validation, step: int, folder: Path) -> None:
        """Write the model as it is, with the thresholds found; one process does."""
        if self.arguments.process_index > 0:
            return
        thresholds = found.thresholds(self.rho(step))
        checkpoint = Checkpoint(
            self.objective.network,
            self.renderer,
            self.model,
            thresholds,
            self.fps,
            {"steps": step, **self.about},
        )
        unfinished = folder.with_name(f".{folder.name}")
        shutil.rmtree(unfinished, ignore_errors=True)
        save_checkpoint(checkpoint, unfinished)
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)

    def is_over(self, found: Validation, step: int) -> bool:
        """Keep the weights if this validation, the log's last, is the best; whether to stop now."""
        worse = stale(read_log(self.out / LOG), self.config.metric)
        if worse == 0:
            self.save(found, step, self.out / BEST)
        return self.config.patience is not None and worse >= self.config.patience
