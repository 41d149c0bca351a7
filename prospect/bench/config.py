"""What a bench measures; free of torch, so that `--help` stays fast."""

from dataclasses import dataclass, field

from prospect.errors import ConfigError
from prospect.model.config import LoraConfig, ModelConfig


def _toy_model() -> ModelConfig:
    """All of SmolLM2-135M, at the context of the toy videos."""
    return ModelConfig(context_len=2048, lora=LoraConfig(dropout=0.0))


@dataclass(frozen=True)
class TrainBench:
    """Training steps to be timed.

    Attributes:
        model: What is trained; frame vectors are random numbers of `feature_dim`, since what they
            say doesn't change the speed.
        num_videos: Toy videos, three dialogues each; their clips are cut to the model's context.
        batch_size: Clips a padded batch of the plain way.
        accumulation: Padded batches an optimizer step; ours packs the same clips in other rows.
        tokens_per_batch: Our rows hold at most so many tokens.
        steps: Optimizer steps that are timed, after one that isn't.
        feature_dim: Width of the frame vectors.
        dtype: Of the frozen weights and the arithmetic: ``auto`` is what the device does natively.
        num_threads: On the CPU; None takes torch's choice.
        seed: Of clips, weights and order.
    """

    model: ModelConfig = field(default_factory=_toy_model)
    num_videos: int = 16
    batch_size: int = 4
    accumulation: int = 2
    tokens_per_batch: int = 3072
    steps: int = 4
    feature_dim: int = 1280
    dtype: str = "auto"
    num_threads: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        wanted = self.batch_size * self.accumulation * (self.steps + 1)
        if 3 * self.num_videos < wanted:
            raise ConfigError(
                f"{self.num_videos} videos give fewer than the {wanted} clips of "
                f"{self.steps} + 1 steps; set num_videos to {-(-wanted // 3)} or more"
            )


@dataclass(frozen=True)
class StreamBench:
    """Streams to be watched.

    Attributes:
        model: What watches; its heads, projector and adapters have learned nothing.
        num_streams: Watched at once; toy dialogues with users who talk some.
        num_plain: Of these, how many the single ways watch, one after the other.
        min_duration_s: Of the toy videos.
        max_chunk: Frames looked at ahead.
        max_draft: Tokens guessed ahead.
        max_new_tokens: Of a sentence, which a model that learned nothing never ends; the mean of
            the scripted toy sentences.
        feature_dim: Width of the frame vectors.
        dtypes: Of weights and arithmetic, one after the other; ``bench long`` takes the first.
        long_s: Length of a stream of ``bench long``, two hours.
        long_runs: Streams of ``bench long`` under every policy, with this seed and the next ones.
        num_threads: On the CPU; None takes torch's choice.
        seed: Of dialogues, weights and frame vectors.
    """

    model: ModelConfig = field(default_factory=_toy_model)
    num_streams: int = 16
    num_plain: int = 2
    min_duration_s: float = 300.0
    max_chunk: int = 32
    max_draft: int = 8
    max_new_tokens: int = 12
    feature_dim: int = 1280
    dtypes: tuple[str, ...] = ("bfloat16", "float32")
    long_s: float = 7200.0
    long_runs: int = 3
    num_threads: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.long_runs < 1:
            raise ConfigError(f"long_runs is {self.long_runs}; it must be at least 1")
