"""From a mixture's settings to the clips of each source."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from prospect.errors import ConfigError
from prospect.samples.plan import Source
from prospect.train.config import SourceConfig
from prospect.types import ClipKind


def mixture(
    settings: Mapping[str, SourceConfig], clips: Sequence[tuple[Path, ClipKind]]
) -> tuple[Source, ...]:
    """Sources of clips; one that fits none of them is not learned.

    Args:
        settings: By name; empty takes every clip once an epoch.
        clips: Data folder and kind of each training clip.

    Raises:
        ConfigError: a source without clips.
    """
    if not settings:
        return (Source("all", tuple(range(len(clips)))),)
    members: dict[str, list[int]] = {name: [] for name in settings}
    for index, (folder, kind) in enumerate(clips):
        fits = [name for name, one in settings.items() if _fits(one, folder, kind)]
        if fits:
            members[fits[0]].append(index)
    for name, found in members.items():
        if not found:
            one = settings[name]
            folders = ", ".join(dict.fromkeys(str(folder) for folder, _ in clips))
            raise ConfigError(
                f"source {name} has no clips (data {one.data or 'any'}, kinds "
                f"{', '.join(one.kinds) or 'any'}); the training data is {folders}, and a clip "
                "belongs to the first source it fits"
            )
    return tuple(
        Source(name, tuple(found), settings[name].weight) for name, found in members.items()
    )


def _fits(source: SourceConfig, folder: Path, kind: ClipKind) -> bool:
    named = source.data is None or source.data in (str(folder), folder.name)
    return named and (not source.kinds or kind in source.kinds)
