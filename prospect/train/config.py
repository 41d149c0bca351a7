"""How a model is trained; free of torch, so that `--help` stays fast."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from prospect.errors import ConfigError
from prospect.model.config import DecisionLoss, LossWeights
from prospect.samples.config import NegativeRate, PermuteSteps
from prospect.types import ClipKind

Tracker = Literal["trackio", "wandb", "tensorboard"]

EVAL_METRICS: Mapping[str, bool] = {
    "loss": False,
    **dict.fromkeys(("speak_gen", "state_gen", "speak_bin", "update_bin"), False),
    **dict.fromkeys(("speak_perplexity", "summary_perplexity", "state_perplexity"), False),
    "transition_exact": True,
    **{
        f"{decision}_{name}": higher
        for decision in ("speak", "update")
        for name, higher in {
            "precision": True,
            "recall": True,
            "f1": True,
            "average_precision": True,
            "calibration_error": False,
        }.items()
    },
}
"""What validation measures, see `prospect.train.validation` -> whether more is better."""


@dataclass(frozen=True)
class OptimConfig:
    """Optimisation.

    Attributes:
        lr: Of the language model's weights that learn, adapters or all.
        new_lr: Of the projector and the decision heads, which start from nothing.
        weight_decay: AdamW's, on matrices.
        epochs: Passes over the clips.
        batch_size: Clips a forward pass; ``auto`` takes what fits `TrainConfig.memory_target`.
        accumulation: Forward passes an optimizer step, if one process makes them all.
        global_batch: Clips an optimizer step, over all processes; None is ``batch_size *
            accumulation``. More processes share the same clips, so that a run learns the same.
        warmup_share: Of all steps, linear; cosine decay follows.
        warmup_steps: The same as a number of steps, in place of the share.
        max_grad_norm: Gradients are clipped to this norm.
    """

    lr: float = 5e-4
    new_lr: float = 2e-3
    weight_decay: float = 0.01
    epochs: float = 4.0
    batch_size: int | Literal["auto"] = 4
    accumulation: int = 1
    global_batch: int | None = None
    warmup_share: float = 0.05
    warmup_steps: int | None = None
    max_grad_norm: float = 1.0

    def __post_init__(self) -> None:
        if self.global_batch is not None and self.accumulation != 1:
            raise ConfigError(
                f"global_batch ({self.global_batch}) and accumulation ({self.accumulation}) are "
                "both given; accumulation follows from the global batch, leave it out"
            )
        sizes = {"accumulation": self.accumulation, "global_batch": self.global_batch}
        for name, size in {**sizes, "batch_size": self.batch_size}.items():
            if isinstance(size, int) and size < 1:
                raise ConfigError(f"{name} is {size}, must be at least 1")


@dataclass(frozen=True)
class SourceConfig:
    """Clips that are mixed in with one weight.

    Attributes:
        data: A data folder, as given to `prospect train --data` or its last part; None takes all.
        kinds: Only clips of these kinds; none takes all kinds.
        weight: Copies of each clip an epoch; of 0.5, half of the clips are shown, others each
            epoch (ProAssist's repeats).
    """

    data: str | None = None
    kinds: tuple[ClipKind, ...] = ()
    weight: float = 1.0


@dataclass(frozen=True)
class AlignConfig:
    """Projector alignment before training, see `prospect.train.align`.

    Attributes:
        steps: Batches of 256 frames; 0 leaves it out.
        kind: ``cosine`` turns a frame towards the mean of the words of what is handled,
            ``contrast`` towards their sum and away from all other texts of the training clips.
        lr: Of the projector, in these steps alone; with ``contrast`` it falls to 0 by a cosine.
    """

    steps: int = 0
    kind: Literal["cosine", "contrast"] = "cosine"
    lr: float = 1e-3

    def __post_init__(self) -> None:
        if self.steps < 0 or self.lr <= 0:
            raise ConfigError(
                f"align: steps ({self.steps}) must be at least 0, lr ({self.lr}) above 0"
            )


@dataclass(frozen=True)
class TrainConfig:
    """A training run.

    Attributes:
        optim: Optimisation.
        align: Projector alignment before the first step.
        losses: Weights of the four losses.
        decision_loss: How the frames of a decision become one loss.
        negative_rate: rho in [0, 1], share of silent frames that count, or its schedule.
        permute_steps: What is drawn anew each epoch of list order and step ids.
        slips: Rate in [0, 0.5] at which transitions of a training clip are told too early, of
            another step or not at all, so that the model learns to go on from its own slips
            (`prospect.samples.slips`); for models that choose their transitions.
        sources: Mixture by name, each logged as ``loss/<name>``; a clip belongs to the first one
            it fits, and one that fits none is not learned. Empty: every clip once an epoch.
        packing: Put clips behind each other in rows of ``tokens_per_batch`` instead of padding
            ``batch_size`` of them to one length.
        tokens_per_batch: Tokens of a packed row at most; a longer clip has a row of its own.
        memory_target: Share of the GPU's memory that ``batch_size: auto`` fills; half of it of a
            computer's free memory where there is no GPU.
        adapter_input: PEFT casts what goes into adapters to ``float32`` first; ``native`` leaves it
            in the arithmetic's format, which they compute in anyway: faster on a CPU, and
            far less memory, the same up to rounding.
        activation_checkpointing: Compute activations again in the backward pass: about a third
            slower, far less memory.
        compile: Compile the language model; pays off in long runs on a GPU.
        log_steps, eval_steps, save_steps: Optimizer steps between; save_steps is a multiple of
            log_steps, so that a resumed run logs the same averages.
        keep_checkpoints: How many are kept, the latest ones.
        metric: Of `EVAL_METRICS`; the weights with the best one are kept in ``best``.
        patience: Stop after so many validations without a better one; None never does. What
            stops early is finished with the best weights, anything else with the last.
        report_to: Where curves also go.
        data_workers: Processes that prepare batches ahead; 0 prepares them between steps.
        sharding: ``fsdp2`` shares the frozen weights out over the processes
            (`prospect.train.sharding`), for what doesn't fit one GPU; or DeepSpeed's JSON.
        seed: Of all draws.
        dtype: Of the frozen weights and the arithmetic: ``auto`` is what the device does natively.
    """

    optim: OptimConfig = field(default_factory=OptimConfig)
    align: AlignConfig = field(default_factory=AlignConfig)
    losses: LossWeights = field(default_factory=LossWeights)
    decision_loss: DecisionLoss = field(default_factory=DecisionLoss)
    negative_rate: float | NegativeRate = 0.5
    permute_steps: PermuteSteps = "both"
    slips: float = 0.0
    sources: dict[str, SourceConfig] = field(default_factory=dict)
    packing: bool = False
    tokens_per_batch: int = 4096
    memory_target: float = 0.9
    adapter_input: Literal["float32", "native"] = "float32"
    activation_checkpointing: bool = False
    compile: bool = False
    log_steps: int = 5
    eval_steps: int = 50
    save_steps: int = 50
    keep_checkpoints: int = 5
    metric: str = "loss"
    patience: int | None = None
    report_to: tuple[Tracker, ...] = ()
    data_workers: int = 0
    sharding: Literal["fsdp2"] | Path | None = None
    seed: int = 0
    dtype: str = "auto"

    def __post_init__(self) -> None:
        if self.save_steps % self.log_steps:
            raise ConfigError(
                f"save_steps ({self.save_steps}) must be a multiple of log_steps "
                f"({self.log_steps}), or a resumed run logs other averages"
            )
        for name, share in {
            "negative_rate": self.negative_rate,
            "memory_target": self.memory_target,
        }.items():
            if isinstance(share, float | int) and not 0 <= share <= 1:
                raise ConfigError(f"{name} is {share}, must be in [0, 1]")
        if not 0 <= self.slips <= 0.5:
            raise ConfigError(f"slips is {self.slips}, must be in [0, 0.5]")
        if self.metric not in EVAL_METRICS:
            raise ConfigError(
                f"metric is {self.metric!r}; validation measures {', '.join(EVAL_METRICS)}"
            )
        if self.keep_checkpoints < 1:
            raise ConfigError(f"keep_checkpoints is {self.keep_checkpoints}, must be at least 1")
        for name, source in self.sources.items():
            if source.weight < 0:
                raise ConfigError(f"the weight of source {name} is {source.weight}, below 0")
