"""Raw datasets -> `Annotation`s; one file a dataset, and nothing later knows the source.

In: a folder in a dataset's published layout. Out: `Adapted`.

    prospect annotate --dataset holoassist --root FOLDER --out runs/x
"""

from pathlib import Path

from prospect.annotations import (
    assembly101,
    captaincook4d,
    ego4d,
    egoexolearn,
    epickitchens,
    holoassist,
    wtag,
)
from prospect.annotations.adapted import Adapted, Source
from prospect.errors import ConfigError, MissingError

__all__ = ["SOURCES", "Adapted", "Source", "read_dataset"]

SOURCES: dict[str, Source] = {
    "assembly101": assembly101.SOURCE,
    "captaincook4d": captaincook4d.SOURCE,
    "ego4d": ego4d.SOURCE,
    "egoexolearn": egoexolearn.SOURCE,
    "epickitchens": epickitchens.SOURCE,
    "holoassist": holoassist.SOURCE,
    "wtag": wtag.SOURCE,
}
BUNDLED = Path(__file__).parent / "bundled"


def read_dataset(dataset: str, root: Path) -> Adapted:
    """The annotations of one dataset.

    Args:
        dataset: A name in `SOURCES`.
        root: The dataset's folder, or the tree of datasets it stands in under its usual name;
            ``bundled`` takes the few videos that come with the package.

    Raises:
        ConfigError: an unknown dataset.
        MissingError: no such folder, or none of this dataset's videos are bundled.
        DataError: what the adapter can't read; names file, row and field.
    """
    if dataset not in SOURCES:
        raise ConfigError(f"no adapter for {dataset!r}; there are {', '.join(SOURCES)}")
    source = SOURCES[dataset]
    if str(root) == "bundled":
        names = ", ".join(sorted(path.name for path in BUNDLED.iterdir() if path.is_dir()))
        root = BUNDLED / source.folder
        if not root.is_dir():
            raise MissingError(
                f"no videos of {dataset!r} are bundled, only of {names}; give --root"
            )
    if not root.is_dir():
        raise MissingError(f"no folder {root} with annotations of {dataset!r}; check --root")
    below = root / source.folder
    return source.read(below if below.is_dir() else root)
