"""What every dataset adapter hands over: annotations, and an account of the raw rows."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from prospect.files import Account
from prospect.types import Annotation


@dataclass(frozen=True, slots=True)
class Adapted:
    """A dataset in our records.

    Attributes:
        annotations: One a video, in the dataset's order.
        account: Videos kept and dropped.
        rows: Annotated spans and utterances kept and dropped, within the videos kept.
        listed: One line for every row that was dropped or changed, and why.
    """

    annotations: tuple[Annotation, ...]
    account: Account
    rows: Account
    listed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """A dataset that can be read.

    Attributes:
        read: Folder in the published layout -> annotations with an account.
        folder: The name that folder has in a tree of datasets.
        licence: Of the annotations.
    """

    read: Callable[[Path], Adapted]
    folder: str
    licence: str


@dataclass(slots=True)
class Log:
    """Counts and lists what happens to the rows while an adapter reads them."""

    kept: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def drop(self, where: str, reason: str) -> None:
        """Count one row as dropped for ``reason``."""
        self.dropped[reason] = self.dropped.get(reason, 0) + 1
        self.note(where, f"dropped, {reason}")

    def note(self, where: str, what: str) -> None:
        """List something that was changed, or kept although it looks odd."""
        self.lines.append(f"{where}: {what}")

    def add(self, other: "Log") -> None:
        """Add the counts of one video whose rows count; its lines are listed in any case."""
        self.kept += other.kept
        for reason, count in other.dropped.items():
            self.dropped[reason] = self.dropped.get(reason, 0) + count

    def account(self) -> Account:
        """The counts so far."""
        return Account(self.kept, dict(self.dropped))
