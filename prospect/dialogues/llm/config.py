"""How the `llm` writer asks: how often, in what portions, and when it gives up."""

from dataclasses import dataclass
from pathlib import Path

from prospect.errors import ConfigError
from prospect.llm import LLMConfig, Mode

SAMPLES_A_DIALOGUE = 1000
"""Sample numbers are apart by this from one dialogue to the next, so `max_tries` stays below."""


@dataclass(frozen=True)
class LLMWriterConfig:
    """Settings of the `llm` writer.

    Attributes:
        filter_samples: Votes on whether a video suits; more than half must agree. 0 asks nobody.
        knowledge_samples: Proposals of goal and steps, from which one final answer is made.
        window_lines: Lines of the description in a window; ProAssist's windows of EPIC-KITCHENS
            and EgoExoLearn hold 10 (field ``clips`` of its dialogue files).
        window_s: A line that begins later than this after its window opens the next one.
        recent_turns: Turns before a window that its prompt repeats.
        max_repeats: How often the assistant may say the same within a window and those turns.
        max_tries: Samples of one prompt before the dialogue is dropped.
        max_tokens: Longest reply.
        temperature: None for the server's own. At 0 a second try may repeat the first.
    """

    filter_samples: int = 3
    knowledge_samples: int = 5
    window_lines: int = 10
    window_s: float = 180.0
    recent_turns: int = 10
    max_repeats: int = 2
    max_tries: int = 4
    max_tokens: int = 2048
    temperature: float | None = 0.7

    def __post_init__(self) -> None:
        for name in ("knowledge_samples", "window_lines", "max_repeats", "max_tries", "max_tokens"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1")
        for name in ("filter_samples", "window_s", "recent_turns"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 0")
        if self.max_tries >= SAMPLES_A_DIALOGUE:
            raise ConfigError(f"max_tries is {self.max_tries}; more than 999 never helps")


@dataclass(frozen=True)
class LLMSettings:
    """Whom the `llm` writer asks, and where the replies are kept.

    Attributes:
        server: Endpoint, model and limits.
        writing: How it asks.
        cache: File of all replies; a run that finds them there needs no server.
        mode: ``live``; ``offline`` takes cached replies only; ``batch`` writes the requests that
            are not cached as the vendor's batch files beside the dialogues.
        replies: Result files of such batches, read first.
    """

    server: LLMConfig
    writing: LLMWriterConfig = LLMWriterConfig()
    cache: Path = Path("llm-replies.sqlite")
    mode: Mode = "live"
    replies: tuple[Path, ...] = ()
