"""Training against the plain way: tokens a second and peak memory, the same loss.

In: settings. Out: ratios and each side's figures. The sides run one after the other, each in a
process of its own:

- ``ours``: clips packed in rows, each attending to itself, logits at labelled positions;
- ``plain``: padded batches in random order, an attention mask, `model(labels=...)`;
- ``grouped``: the better plain way, batches of similar length and ``logits_to_keep``.

    prospect bench train --out bench.json
"""

import random
import tempfile
from pathlib import Path
from typing import Any, get_args

from prospect import stages
from prospect.bench.config import TrainBench
from prospect.errors import ConfigError
from prospect.files import write_records
from prospect.parallel import alone
from prospect.types import Clip, UserType

SIDES = ("ours", "plain", "grouped")


def bench_train(settings: TrainBench) -> tuple[dict[str, float], dict[str, Any]]:
    """Measure all sides.

    Returns:
        The headline ratios, ours against ``plain``; and everything else.
    """
    from prospect.bench.sides import compare, measure

    clips = toy_clips(settings)
    same = alone(compare, settings, clips[: settings.batch_size])
    stages.say(
        f"loss in fp32: ours {same['ours']:.6f}, plain {same['plain']:.6f}, difference "
        f"{same['difference']:.1e}"
    )
    sides = {}
    for name in SIDES:
        sides[name] = found = alone(measure, name, settings, clips)
        stages.say(
            f"{name}: {found['tokens_per_s']:.0f} tokens/s, "
            f"{found['peak_memory_bytes'] / 1e9:.2f} GB over the weights, "
            f"{found['padding_share']:.0%} padding, {found['data_share']:.1%} of the time on data; "
            + ", ".join(f"{kind} {share:.0%}" for kind, share in found["time_goes_to"].items())
        )
    ratios = {
        "tokens_per_s_ratio": _ratio(sides, "plain", "tokens_per_s"),
        "peak_memory_ratio": _ratio(sides, "plain", "peak_memory_bytes"),
    }
    return ratios, {
        "against_grouped": {
            "tokens_per_s_ratio": _ratio(sides, "grouped", "tokens_per_s"),
            "peak_memory_ratio": _ratio(sides, "grouped", "peak_memory_bytes"),
        },
        "per_cpu_second": {
            name: _ratio(sides, name, "tokens_per_cpu_s") for name in ("plain", "grouped")
        },
        "loss_fp32": same,
        "sides": sides,
        "settings": repr(settings),
    }


def toy_clips(settings: TrainBench) -> list[Clip]:
    """The clips of ``steps + 1`` optimizer steps, in random order; no video is drawn.

    Raises:
        ConfigError: the videos don't give so many.
    """
    from prospect.toy.world import annotations

    wanted = settings.batch_size * settings.accumulation * (settings.steps + 1)
    types = tuple(kind for kind in get_args(UserType) if kind != "human")
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        made = annotations("train", settings.num_videos, settings.seed)
        write_records(data / stages.ANNOTATIONS, made)
        stages.dialogues(data, "scripted", types, settings.seed)
        stages.states(data)
        stages.clips(data, 2.0, settings.seed, settings.model, without_videos=True, num_workers=1)
        found = stages.load_clips(data, None)
    random.Random(settings.seed).shuffle(found)
    if len(found) < wanted:
        raise ConfigError(
            f"{settings.num_videos} videos give {len(found)} clips, {settings.steps} steps need "
            f"{wanted}; set num_videos higher"
        )
    return found[:wanted]


def _ratio(sides: dict[str, dict[str, Any]], other: str, figure: str) -> float:
    value: float = sides["ours"][figure] / sides[other][figure]
    return value
