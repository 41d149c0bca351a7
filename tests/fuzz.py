"""Random damage: how much of it, and how JSON is spoilt."""

import copy
import os
from typing import Any

from hypothesis import strategies as st

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(),
    st.integers(-(10**20), 10**20),
    st.text(max_size=5),
    st.builds(list),  # a new one each time: it may be spoilt next
    st.builds(lambda: [None]),
    st.builds(dict),
)


def examples(short: int) -> int:
    """How many examples a test marked `fuzz` tries: ``short``, or 10,000 in ``make soak``."""
    return 10_000 if "PROSPECT_SOAK" in os.environ else short


def places(value: Any) -> list[tuple[Any, Any]]:
    """(container, key) of everything in a JSON value."""
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    inner = [value[key] for key in keys if isinstance(value[key], dict | list)]
    return [(value, key) for key in keys] + [place for item in inner for place in places(item)]


def spoilt(value: Any, data: st.DataObject) -> Any:
    """A copy with one to three things removed or replaced by something odd."""
    made = copy.deepcopy(value)
    for _ in range(data.draw(st.integers(1, 3))):
        at = places(made)
        if not at:
            break
        container, key = data.draw(st.sampled_from(at))
        if data.draw(st.booleans()):
            del container[key]
        else:
            container[key] = data.draw(ODD)
    return made
