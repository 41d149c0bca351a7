"""How a stream is watched; free of torch, so that `--help` stays fast."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from prospect.errors import ConfigError
from prospect.firing import DecisionRule
from prospect.llm import LLMConfig, Mode
from prospect.samples.config import OVERLAP_S

Feed = Literal["self", "reference_dialogue", "reference_state", "told", "teacher_forced"]
"""What stands in the context before a frame. ``self``: its own words and state.
``reference_dialogue``: the reference's; recorded is what it would have done at each frame, and
nothing of that is fed back. ``reference_state``: the reference's transitions and its own words.
``told``: the reference's, and at each reference transition it has to write one. ``teacher_forced``:
the reference's, read in one pass a clip; probabilities alone."""

_TURNS_LEN = 48  # a frame's transitions and all turn headers; sentence and user turn come on top

Policy = Literal["restate", "summarize", "drop_middle", "drop_all", "none"]
Positions = Literal["kept", "rerotated", "recompute", "legacy"]


@dataclass(frozen=True)
class BeliefConfig:
    """A filter over what the state may be; see `prospect.stream.belief`.

    Attributes:
        num_hypotheses: States that are kept, >= 1.
        floor: A frame that doesn't fire is read too if the state changes there with at least this
            probability, in (0, 1]; 1 reads none of them.
        missed: Prior that the move before was missed, in [0, 1); 0 leaves it out.
        overlap: How likely a step starts while another is in progress, against one that starts
            alone; in (0, 1].
        skip: How likely another step starts than the first one left, against that; in (0, 1]. 1
            for tasks of any order.
        max_moves: Most moves that are written at a frame; the rest follows at the next update.
    """

    num_hypotheses: int = 16
    floor: float = 0.1
    missed: float = 0.02
    overlap: float = 0.1
    skip: float = 1.0
    max_moves: int = 4

    def __post_init__(self) -> None:
        if self.num_hypotheses < 1 or self.max_moves < 1:
            raise ConfigError(
                f"num_hypotheses ({self.num_hypotheses}) and max_moves ({self.max_moves}) must be "
                "at least 1"
            )
        if not 0 <= self.missed < 1:
            raise ConfigError(f"missed is {self.missed}; it must be in [0, 1)")
        for name in ("floor", "overlap", "skip"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be in (0, 1]")


@dataclass(frozen=True)
class StreamConfig:
    """Settings of a session.

    Attributes:
        policy: What happens when the context is full; see `prospect.stream.policies`.
        kept_tokens: How many of the last tokens ``drop_middle`` keeps; ProAssist's 512.
        positions: What ``drop_middle`` does with the positions of the tokens it keeps.
        context_len: Tokens the model may see; None takes the model's.
        overlap_s: Seconds of frames that ``restate`` and ``summarize`` repeat.
        max_summary_tokens: Longest summary of ``summarize``.
        max_new_tokens: Longest utterance.
        max_user_tokens: Longest user turn; a longer one is an error.
        num_slots: Most streams at once; each has room for a whole context.
        max_chunk: Most frames that are looked at in one forward pass, assuming silence; what
            follows a frame that acts is rolled back. 1 looks at every frame alone.
        max_draft: Most tokens of a sentence that are guessed from the context and read in one
            forward pass; those that differ from what the model writes are rolled back. 0 writes
            one by one.
        speak_threshold, update_threshold: Act above these; None takes the checkpoint's.
        speak_rule, update_rule: Decide by these instead of the checkpoint's rules.
        decline_prob: A model that points declines to update where stopping is likelier than this
            among the legal options; 1 never declines, None takes the checkpoint's. A belief
            decides that itself.
        unconstrained: Write transitions as any text; what is illegal or unreadable is counted and
            not applied.
        belief: Keep several states in mind and write towards the likeliest; None trusts what was
            told. For streams that feed themselves: what references tell is taken as known.
    """

    policy: Policy = "restate"
    kept_tokens: int = 512
    positions: Positions = "rerotated"
    context_len: int | None = None
    overlap_s: float = OVERLAP_S
    max_summary_tokens: int = 128
    max_new_tokens: int = 64
    max_user_tokens: int = 128
    num_slots: int = 16
    max_chunk: int = 32
    max_draft: int = 8
    speak_threshold: float | None = None
    update_threshold: float | None = None
    speak_rule: DecisionRule | None = None
    update_rule: DecisionRule | None = None
    decline_prob: float | None = None
    unconstrained: bool = False
    belief: BeliefConfig | None = None

    @property
    def reserve_len(self) -> int:
        """Tokens of a context kept free for what follows its last frame."""
        summary = self.max_summary_tokens if self.policy == "summarize" else 0
        return self.max_new_tokens + self.max_user_tokens + _TURNS_LEN + summary

    def __post_init__(self) -> None:
        if self.max_chunk < 1 or self.max_new_tokens < 1 or min(self.overlap_s, self.max_draft) < 0:
            raise ConfigError(
                f"max_chunk ({self.max_chunk}) and max_new_tokens ({self.max_new_tokens}) must be "
                f"at least 1, overlap_s ({self.overlap_s}) and max_draft ({self.max_draft}) at "
                "least 0"
            )
        if self.decline_prob is not None and not 0 <= self.decline_prob <= 1:
            raise ConfigError(f"decline_prob is {self.decline_prob}; it must be in [0, 1]")
        if self.belief is not None and self.unconstrained:
            raise ConfigError("belief writes legal moves alone; leave unconstrained or belief out")


def check_swept(config: StreamConfig) -> None:
    """Refuse settings that would decide in place of what `predict --sweep_streams` chooses.

    Raises:
        ConfigError: naming them.
    """
    names = ("update_threshold", "update_rule", "decline_prob", "belief")
    given = [name for name in names if getattr(config, name) is not None]
    if given:
        raise ConfigError(
            f"thresholds are chosen by streams, and stream has its own {', '.join(given)}; leave "
            "one of both out"
        )


@dataclass(frozen=True)
class RemoteConfig:
    """How a vision model behind an endpoint is polled, and who it is.

    Attributes:
        server: Endpoint, model and limits.
        cache: File of all replies; a run that finds them there needs no server.
        mode: ``live``, or ``offline`` for cached replies only. Not ``batch``: what is asked next
            depends on the reply.
        poll_s: Seconds from one question to the next; a user's turn is asked about at once.
        num_frames: Pictures a question, the last ones of the stream.
        jpeg_quality: Of the pictures, 1 to 95.
        num_turns: Last turns that a question repeats.
        max_tokens: Most tokens of a reply.
        temperature: None for the server's own; some models take no other.
        enforce_json: Ask the server to allow nothing but the answer's JSON (OpenAI, vLLM);
            ``transformers serve`` refuses that.
    """

    server: LLMConfig
    cache: Path = Path("llm-replies.sqlite")
    mode: Mode = "live"
    poll_s: float = 2.0
    num_frames: int = 4
    jpeg_quality: int = 80
    num_turns: int = 20
    max_tokens: int = 200
    temperature: float | None = 0.0
    enforce_json: bool = False

    def __post_init__(self) -> None:
        if self.mode == "batch":
            raise ConfigError("mode is batch, but each question depends on the last reply")
        if self.poll_s <= 0:
            raise ConfigError(f"poll_s is {self.poll_s}; it must be above 0")
        for name in ("num_frames", "num_turns", "max_tokens"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if not 1 <= self.jpeg_quality <= 95:
            raise ConfigError(f"jpeg_quality is {self.jpeg_quality}; it must be in [1, 95]")
