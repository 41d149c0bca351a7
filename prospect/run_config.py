"""What a whole run is made of: the options of ``prospect run``, as records.

In: a YAML file. Out: a `RunConfig` for `prospect.run.run`.

    prospect run --config presets/demo.yaml --print_config
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from prospect.dialogues.llm import LLMSettings
from prospect.dialogues.quality import Rules
from prospect.errors import ConfigError
from prospect.model.config import ModelConfig
from prospect.stages import ToySplit
from prospect.stream.config import StreamConfig, check_swept
from prospect.train.config import TrainConfig
from prospect.types import Split, UserType


@dataclass(frozen=True)
class ToyData:
    """Toy videos to make.

    Attributes:
        without_videos: Draw none: for baselines, which learn from what was done and said alone.
    """

    split: ToySplit
    num_videos: int
    seed: int = 0
    without_videos: bool = False


@dataclass(frozen=True)
class AnnotatedData:
    """A dataset's annotations; videos are in the data folder, or drawn from the annotations.

    Attributes:
        dataset: Name of an adapter.
        root: Of its files, or of a tree of datasets; ``bundled`` takes those of the package.
        writer: Of the dialogues.
        llm: Whom the writer ``llm`` asks.
        splits: ``given``, ``by_video`` or ``by_task``, see `prospect annotate`.
        num_videos: Split -> at most so many of its videos; None takes all.
        draw: Draw the videos, for data whose videos are not at hand.
        without_videos: Cut clips by the annotated durations; nothing can be learned from them
            before the videos are there.
    """

    dataset: str
    root: Path
    writer: str = "scripted"
    llm: LLMSettings | None = None
    splits: str = "given"
    num_videos: dict[Split, int] | None = None
    draw: bool = False
    without_videos: bool = False


@dataclass(frozen=True)
class ImportedData:
    """Existing files: ``kind`` is one of `prospect.exchange.IMPORTS`."""

    kind: str
    path: Path
    frames_root: Path
    drop_invalid: bool = False


@dataclass(frozen=True)
class DataConfig:
    """Where one data folder comes from; exactly one source is given."""

    toy: ToyData | None = None
    annotated: AnnotatedData | None = None
    imported: ImportedData | None = None

    def __post_init__(self) -> None:
        given = [source for source in (self.toy, self.annotated, self.imported) if source]
        if len(given) != 1:
            raise ConfigError(f"a data folder needs one source, {len(given)} are given")


@dataclass(frozen=True)
class RunConfig:
    """A complete run.

    Attributes:
        out: The run folder.
        data: Data folders by name.
        train, val, test: Names of the folders each is taken from. A folder to train on gives its
            own splits; another one gives all its clips. Without `train` and `trained` only the
            data is made, without `test` nothing is streamed.
        trained: A finished training that is tested instead of beginning one: the name of one that
            comes with the package (`prospect.shipped`), or its folder. `model` is then what it was
            trained with, and baselines learn from `train`.
        test_split: The split of a folder to train on that is tested on.
        fps: Of the stream.
        user_types: One dialogue a video for each; a type may be named several times.
        seed: Of dialogues and cuts.
        model, training, stream: As in the stages; states are labelled with ``model.moves``.
        thresholds: ``sweep`` takes those that the training ended with, ``streams`` chooses by
            streams of the one folder in `val` (`prospect predict --sweep_streams`).
        blind: Also stream with the eyes shut, as a baseline.
        variants: What is made of each dialogue, see `prospect clips`.
        rules: Which dialogues are good enough to be cut; None takes all.
        num_workers: Processes that cut clips; any number makes the same ones.
        processes: That train, on as many GPUs where there are GPUs; any number learns the same.
    """

    out: Path
    data: dict[str, DataConfig]
    train: tuple[str, ...] = ()
    val: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    trained: Path | None = None
    test_split: Split = "test"
    fps: float = 2.0
    user_types: tuple[UserType, ...] = ("talk_some",)
    seed: int = 0
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainConfig = field(default_factory=TrainConfig)
    stream: StreamConfig = field(default_factory=StreamConfig)
    thresholds: Literal["sweep", "streams"] = "sweep"
    blind: bool = True
    variants: tuple[str, ...] = ("dialogue",)
    rules: Rules | None = None
    num_workers: int = 2
    processes: int = 1

    def __post_init__(self) -> None:
        if self.processes < 1:
            raise ConfigError(f"processes is {self.processes}; it must be at least 1")
        if self.thresholds == "streams":
            check_swept(self.stream)
            if self.trained is not None or len(self.val) != 1:
                raise ConfigError(
                    "thresholds: streams is for a training with one folder in val, but "
                    f"trained is {self.trained} and val {list(self.val)}; take thresholds: sweep"
                )
