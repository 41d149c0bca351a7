"""Hugging Face's Trainer with our losses, our batches, our checkpoints and our log.

Overridden is only what four losses over a global batch, batches that are the same for any number
of processes, complete checkpoints and `metrics.jsonl` need; the loop, devices, precision, schedules
and resuming are the library's.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainingArguments

from prospect.files import write_manifest
from prospect.model.checkpoint import load_weights, save_weights
from prospect.model.losses import Batch, Losses
from prospect.samples.dataset import DrawnDataset, micro_batches
from prospect.samples.plan import GlobalBatches, Source
from prospect.train.config import TrainConfig
from prospect.train.fit import Sizes, peak_bytes
from prospect.train.log import LOG, append_log
from prospect.train.objective import Objective, denominators
from prospect.train.progress import Show
from prospect.train.saving import drop_old, make_room
from prospect.train.setup import optimizer_of, schedule_of
from prospect.train.sharding import evened
from prospect.train.validation import Validation
from prospect.train.watch import Watch

MicroBatches = list[dict[str, Tensor]]
_TOKENS, _LABELLED, _FRAMES, _WAITED_S = range(4)


@dataclass(frozen=True, slots=True)
class Job:
    """What a run needs besides the library's arguments.

    Attributes:
        objective: Model and losses: what is wrapped.
        dataset: Draws -> samples.
        sources: Of the mixture; where there are several, each is logged.
        clip_frames: Frames of each clip, to share the work out evenly.
        sizes: Of batches.
        pad_id: Fills padded batches.
        config: Settings.
        watch: Validates.
        show: Shows each step.
        out: The run folder.
    """

    objective: Objective
    dataset: DrawnDataset
    sources: tuple[Source, ...]
    clip_frames: Sequence[int]
    sizes: Sizes
    pad_id: int
    config: TrainConfig
    watch: Watch
    show: Show
    out: Path


class FourLossTrainer(Trainer):
    """The trainer. One item of its data loader is all that this process adds to one step.

    Args:
        job: What to train.
        arguments: The library's; accumulation is ours, theirs is 1.
    """

    # our losses are already divided by the whole global batch's counts
    loss_is_scaled_for_ga = True

    def __init__(self, job: Job, arguments: TrainingArguments) -> None:
        super().__init__(
            model=job.objective,
            args=arguments,
            train_dataset=job.dataset,
            eval_dataset=job.watch.dataset,
        )
        self.remove_callback(PrinterCallback)
        self.job = job
        self._reset()

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Ours; given to the constructor instead, DeepSpeed would replace it by the library's."""
        if self.optimizer is None:
            self.optimizer = optimizer_of(self.job.objective.network, self.job.config.optim)
        return self.optimizer

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> torch.optim.lr_scheduler.LRScheduler:
        """Ours, likewise."""
        if self.lr_scheduler is None:
            self.lr_scheduler = schedule_of(
                optimizer or self.create_optimizer(), self.job.config.optim, num_training_steps
            )
        return self.lr_scheduler

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Batches that are already this process's own, so accelerate has nothing to deal out."""
        job = self.job
        batches = GlobalBatches(
            job.sources,
            job.clip_frames,
            job.sizes.global_batch,
            self.args.seed,
            self.args.process_index,
            self.args.world_size,
            lambda: self.state.global_step,
        )
        collate = partial(
            micro_batches,
            pad_id=job.pad_id,
            batch_size=job.sizes.batch_size,
            tokens_per_batch=job.sizes.tokens_per_batch,
            with_sources=job.objective.num_sources > 0,
        )
        return DataLoader(
            job.dataset,
            batch_sampler=batches,
            collate_fn=collate,
            num_workers=job.config.data_workers,
            pin_memory=self.args.device.type == "cuda",
        )

    def get_batch_samples(
        self, epoch_iterator: Iterator[MicroBatches], num_batches: int, device: torch.device
    ) -> tuple[list[MicroBatches], Tensor]:
        """Also counts the denominators over the global batch, before any backward pass."""
        started = time.perf_counter()
        samples = next(epoch_iterator)
        self._seen[_WAITED_S] += time.perf_counter() - started
        counted = [
            denominators(Batch(**sample), self.job.objective.num_sources) for sample in samples
        ]
        total = torch.stack(counted).sum(0).to(device)
        gathered: Tensor = self.accelerator.gather(total[None]).sum(0)
        self._counted += (gathered.sum(1) > 0).cpu()
        for sample in samples:
            self._seen[_TOKENS] += sample["ids"].numel()
            self._seen[_LABELLED] += int((sample["targets"] > 0).sum())
            self._seen[_FRAMES] += len(sample["labels"])
        if self.job.config.sharding == "fsdp2":
            mine = torch.tensor([len(samples)], device=device)
            samples = evened(samples, int(self.accelerator.gather(mine).max()))
        return [samples], gathered

    def training_step(
        self,
        model: nn.Module,
        inputs: Any,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """Forward and backward of `MicroBatches`; gradients are summed over processes once."""
        total = torch.zeros((), device=self.args.device)
        for number, batch in enumerate(inputs, start=1):
            last = number == len(inputs)
            # what DeepSpeed asks to know whether this backward pass is the step's last
            self.accelerator.gradient_state._set_sync_gradients(last)
            with nullcontext() if last else self.accelerator.no_sync(model):
                total += super().training_step(model, batch, num_items_in_batch)
        self.job.show(self.state.global_step + 1, {})
        return total

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """This batch's share of the weighted sum, times the processes that will be averaged."""
        shares = model(Batch(**inputs), num_items_in_batch)
        self._shares += shares.detach().cpu()
        total: Tensor = Losses(*shares[0]).total(self.job.config.losses)
        processes: int = self.accelerator.num_processes
        return total * processes

    def evaluate(
        self,
        eval_dataset: Any = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Called by the library every ``eval_steps``."""
        return self.validate().metrics

    def validate(self) -> Validation:
        """Teacher-forced validation, logged; keeps the best weights, may end the run."""
        found = self.job.watch.measure()
        self.log({f"eval_{name}": value for name, value in found.metrics.items()})
        self.accelerator.wait_for_everyone()
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, found.metrics
        )
        if self.job.watch.is_over(found, self.state.global_step):
            self.control.should_training_stop = True
        return found

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add what was measured since the last line; write the line."""
        if "loss" in logs:
            logs |= self._measured()
            logs["lr"] = logs.pop("learning_rate")
        super().log(logs, start_time)
        if self.is_world_process_zero():
            row = {"step": self.state.global_step, **self.state.log_history[-1]}
            append_log(self.job.out / LOG, row)
        self.job.show(self.state.global_step, logs)

    def _measured(self) -> dict[str, float]:
        """Losses of all processes, speed, memory and shares since the last call."""
        shares = self.accelerator.reduce(self._shares.to(self.args.device), "sum").cpu()
        seconds = time.perf_counter() - self._since
        seen = torch.tensor([*self._seen, peak_bytes(self.args.device)], dtype=torch.float64)
        processes = self.accelerator.gather(seen[None].to(self.args.device)).cpu()
        tokens, labelled, frames, waited_s, _ = processes.sum(0).tolist()
        means = shares / self._counted.clamp(min=1)[:, None]
        means[0] = shares[0] / self.args.logging_steps
        found = dict(zip(Losses._fields, means[0].tolist(), strict=True))
        for source, row, steps in zip(self.job.sources, means[1:], self._counted[1:], strict=False):
            if steps:
                loss: Tensor = Losses(*row).total(self.job.config.losses)
                found[f"loss/{source.name}"] = loss.item()
        found |= {
            "tokens_per_s": tokens / seconds,
            "frames_per_s": frames / seconds,
            "labelled_share": labelled / tokens,
            "data_share": waited_s / len(processes) / seconds,
            "memory_gb": processes[:, -1].max().item() / 1e9,
            "rho": self.job.watch.rho(self.state.global_step),
        }
        self._reset()
        return found

    def _reset(self) -> None:
        rows = 1 + self.job.objective.num_sources
        self._shares = torch.zeros(rows, len(Losses._fields))
        self._counted = torch.zeros(rows, dtype=torch.long)
        self._seen = [0.0, 0.0, 0.0, 0.0]
        self._since = time.perf_counter()

    def _save(
        self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None
    ) -> None:
        folder = Path(output_dir or self.job.out)
        folder.mkdir(parents=True, exist_ok=True)
        save_weights(self.job.objective.network, folder)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        learned = self.job.objective.network.trainable_state().values()
        # weights, and two moments of AdamW in fp32 beside them
        make_room(self.job.out, sum(weight.numel() for weight in learned) * 12)
        self.accelerator.wait_for_everyone()
        super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()
        if self.is_world_process_zero():
            write_manifest(self.job.out / f"checkpoint-{self.state.global_step}")
            drop_old(self.job.out, self.job.config.keep_checkpoints)

    def _load_from_checkpoint(
        self, resume_from_checkpoint: str, model: nn.Module | None = None
    ) -> None:
        load_weights(self.job.objective.network, Path(resume_from_checkpoint))
