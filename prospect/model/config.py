"""What a model is made of; free of torch, so that `--help` stays fast."""

from dataclasses import dataclass, field
from typing import Literal

from prospect.errors import ConfigError
from prospect.firing import DecisionRule
from prospect.samples.config import Layout
from prospect.states.transitions import BASIC
from prospect.types import Move

Tuning = Literal["lora", "qlora", "full", "frozen"]
Decision = Literal["heads", "token"]
Head = Literal["linear", "mlp"]
ProjectorKind = Literal["mlp", "linear", "residual"]
Write = Literal["generate", "point", "match"]
Roles = Literal["chat", "tokens"]


@dataclass(frozen=True)
class LoraConfig:
    """Low-rank adapters on the language model's linear layers.

    Attributes:
        rank: Of each adapter.
        alpha: Scale; the update is multiplied by ``alpha / rank``.
        dropout: In [0, 1), on the adapter's input.
        targets: Names of the adapted layers: the seven projections; ProAssist adds ``lm_head``.
    """

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.05
    targets: tuple[str, ...] = (
        "q_proj",
        "k_proj",
        "v_proj",
        "o_proj",
        "gate_proj",
        "up_proj",
        "down_proj",
    )


@dataclass(frozen=True)
class ModelConfig:
    """A video-language model that tracks state.

    Attributes:
        llm: A folder, a hub id, or ``smollm2-135m-instruct`` (offline package).
        num_layers: Use only the first layers of the LLM; None uses all.
        encoder: A key of `prospect.frames.encoders`, a folder or a hub id; a folder of SmolVLM2
            may be both ``llm`` and ``encoder``.
        vectors_per_frame: 1 (pooled), 5 (+ 2x2), 10 (+ 3x3), or ``native`` (all patches).
        features: ``stored`` reads the vectors that `prospect features` wrote; ``on_the_fly``
            encodes a clip's frames whenever it is read: no disk, but the encoder runs each epoch.
        projector: ``mlp`` learns the way from vectors to words from nothing; ``linear`` likewise
            with one layer, which learns less by heart: combinations of things that were never seen
            together come out as the sum of their parts; ``residual`` takes
            the vectors as words already, as SmolVLM2's connector gives them to its own LLM, and
            learns a correction that begins as nothing.
        context_len: Tokens the model may see.
        tuning: What learns of the LLM: adapters (``lora``), adapters over 4-bit weights
            (``qlora``; slow without a GPU), all weights (``full``), or nothing (``frozen``).
        lora: The adapters, with ``lora`` and ``qlora``.
        decision: What decides at a frame's last token: ``heads`` on the hidden state, or the LM's
            next ``token`` (`prospect.model.decide` has the formulas). Token decisions tell a state
            turn from speech by the token that opens it: data with states needs ``roles: tokens``.
        head: One ``linear`` layer or an ``mlp``, with heads.
        cascade: Whether speak is read again after a transition was written, with the transition in
            view; token decisions always do.
        write: ``generate`` writes a transition token by token, ``point`` chooses it by comparing
            the frame with the step lines of the prompt (`prospect.model.point`), ``match``
            takes the step whose words the projected frame is nearest to, which needs few examples
            once the projector is aligned by ``contrast``; legal in all ways. The last two learn how
            far to go by the order of the list.
        roles: Headers of state and assistant turns: of the LLM's ``chat`` format, or ``tokens`` of
            their own.
        moves: The vocabulary of transitions, the one its data was labelled with; ``reopen`` is for
            revisits and corrections. While streaming only these are ever written.
    """

    llm: str = "smollm2-135m-instruct"
    num_layers: int | None = None
    encoder: str = "efficientnet-lite0"
    vectors_per_frame: int | Literal["native"] = 1
    features: Literal["stored", "on_the_fly"] = "stored"
    projector: ProjectorKind = "mlp"
    context_len: int = 4096
    tuning: Tuning = "lora"
    lora: LoraConfig = field(default_factory=LoraConfig)
    decision: Decision = "heads"
    head: Head = "linear"
    cascade: bool = False
    write: Write = "generate"
    roles: Roles = "chat"
    moves: tuple[Move, ...] = BASIC

    @property
    def layout(self) -> Layout:
        """What of this decides how clips are rendered."""
        token = self.decision == "token"
        return Layout(
            own_headers=self.roles == "tokens",
            token_decisions=token,
            cascade=self.cascade or token,
            choices=self.write != "generate",
            moves=self.moves,
        )


@dataclass(frozen=True)
class Thresholds:
    """Act where the probability exceeds these; chosen on ``split`` by `prospect.train`.

    Attributes:
        speak, update: In [0, 1].
        split: What they were fitted on; None if they were not.
        negative_rate: rho of the training they belong to; the best threshold moves with it.
        speak_min_gap_s, update_min_gap_s, speak_rearm, update_rearm: The rest of their rules
            (`prospect.firing.DecisionRule`), fitted by `prospect predict --sweep`.
        decline: In [0, 1]; where a model that points finds stopping likelier than this among the
            legal options, it writes nothing although the update decision fired. 1 never declines.
    """

    speak: float = 0.5
    update: float = 0.5
    split: str | None = None
    negative_rate: float | None = None
    speak_min_gap_s: float = 0.0
    update_min_gap_s: float = 0.0
    speak_rearm: float | None = None
    update_rearm: float | None = None
    decline: float = 0.5

    @property
    def speak_rule(self) -> DecisionRule:
        """When to speak."""
        return DecisionRule(self.speak, "level", self.speak_min_gap_s, self.speak_rearm)

    @property
    def update_rule(self) -> DecisionRule:
        """When to update the state."""
        return DecisionRule(self.update, "level", self.update_min_gap_s, self.update_rearm)


@dataclass(frozen=True)
class LossWeights:
    """Weight of each of the four losses in the total."""

    speak_gen: float = 1.0
    state_gen: float = 1.0
    speak_bin: float = 1.0
    update_bin: float = 1.0


@dataclass(frozen=True)
class DecisionLoss:
    """How the losses of a decision's frames become one.

    Attributes:
        kind: ``balanced`` is the mean of the acting frames' mean and the silent frames' mean;
            ``plain`` the mean over all; ``weighted`` and ``focal`` that mean with acting frames
            times ``pos_weight``, or each frame times (1 - probability of its label) ^ ``gamma``
            (Lin et al. 2017, arXiv 1708.02002, equation 4).
        gamma: At least 1: below, the gradient of a sure and right frame is infinite.
        pos_weight: Above 0; 1 is plain.
        pooled: Divide each of the four losses by the number of all labelled tokens and decisions
            instead of by its own; a silent frame counts once. For token decisions alone: with
            ``plain`` and equal weights this is ProAssist's one cross-entropy.
    """

    kind: Literal["balanced", "focal", "weighted", "plain"] = "balanced"
    gamma: float = 2.0
    pos_weight: float = 1.0
    pooled: bool = False

    def __post_init__(self) -> None:
        if self.gamma < 1 or self.pos_weight <= 0:
            raise ConfigError(
                f"decision_loss: gamma ({self.gamma}) must be at least 1, pos_weight "
                f"({self.pos_weight}) above 0"
            )
        if self.pooled and self.kind == "balanced":
            raise ConfigError(
                "decision_loss: pooled divides by one count, balanced by each class's own; choose "
                "plain, weighted or focal"
            )
