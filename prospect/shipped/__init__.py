"""Models that come with the package, each with its card, configuration and curves.

In: a name, or a folder. Out: the folder of a training, or of its checkpoint. Only what was learned
is here; the language model and the encoder come from `prospect.pretrained`.

    prospect predict --checkpoint demo --data runs/toy/data/unseen --out p.jsonl
"""

from pathlib import Path

SHIPPED = {"demo": Path(__file__).parent / "demo"}
"""Name -> folder as `prospect train` leaves it."""


def training_folder(name: str | Path) -> Path:
    """Folder of a training: a shipped one by its name, else ``name`` itself."""
    return SHIPPED.get(str(name), Path(name))


def checkpoint_folder(name: str | Path) -> Path:
    """Folder of a checkpoint: that of a shipped training by its name, else ``name`` itself.

    A folder of the same name here goes by its whole path.
    """
    return SHIPPED[str(name)] / "checkpoint" if str(name) in SHIPPED else Path(name)
