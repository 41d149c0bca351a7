"""The raw replies in ProAssist's generation logs, cut out of the printed text."""

import re
from pathlib import Path

_REPLY = re.compile(
    r"^(before|after) refine (.*?)"
    r"(?=^before refine |^after refine |^Generating dialog|^Failed to parse|\Z)",
    re.MULTILINE | re.DOTALL,
)


def replies(log: Path, kind: str) -> list[str]:
    """All replies of one kind (``before`` or ``after``), in their order."""
    return [
        text for stage, text in _REPLY.findall(log.read_text(encoding="utf-8")) if stage == kind
    ]


def knowledge(log: Path) -> str:
    """The goal and steps a log prints."""
    text = log.read_text(encoding="utf-8")
    match = re.search(r"inferred_knowledge: (.*?)^Generate conv", text, re.MULTILINE | re.DOTALL)
    assert match
    return match[1]
