"""Base forms of verbs, for goals that read on after "I want to".

In: a word and the verbs that a dataset uses. Out: the one that the word is a form of.
"""

from collections.abc import Set

_ENDINGS = (
    ("ying", "y"), ("ing", ""), ("ing", "e"), ("ied", "y"), ("ed", ""), ("ed", "e"),
    ("ies", "y"), ("es", ""), ("s", ""),
)  # fmt: skip
"""Regular endings and what stands in the base form in their place."""


def base_form(word: str, verbs: Set[str]) -> str | None:
    """ "Making", "cuts", "chopped" -> "make", "cut", "chop"; None if it is no form of a verb.

    Only regular forms are known. Where two verbs fit, the word itself comes first.

    Args:
        word: In upper or lower case.
        verbs: Base forms in lower case.
    """
    lower = word.lower()
    stems = [lower]
    for ending, base in _ENDINGS:
        if lower.endswith(ending):
            stem = lower.removesuffix(ending)
            stems.append(stem + base)
            if not base and stem[-1:] == stem[-2:-1]:
                stems.append(stem[:-1])  # a doubled consonant: cutting, chopped
    return next((stem for stem in stems if stem in verbs), None)
