"""The listed order of a video's steps comes from the other videos."""

from collections.abc import Mapping, Sequence

from hypothesis import given
from hypothesis import strategies as st

from prospect.annotations.order import corpus_order

NAMES = st.lists(st.sampled_from("abcdef"), max_size=7)
VIDEOS = st.dictionaries(
    st.sampled_from(["v1", "v2", "v3", "v4"]), st.tuples(st.sampled_from(["t", "u"]), NAMES)
)


def test_by_hand() -> None:
    videos = {
        "v": ("soup", ["z", "cut", "boil", "wash", "cut"]),
        "w": ("soup", ["wash", "cut"]),  # wash 1/4, cut 3/4
        "x": ("soup", ["cut", "wash", "stir"]),  # cut 1/6, wash 1/2
        "y": ("tea", ["boil", "a", "b", "cut", "c"]),  # boil 1/10; cut counts for soups only
    }
    # v: wash (1/4 + 1/2) / 2, cut (3/4 + 1/6) / 2, boil from the other task, z from nowhere
    assert corpus_order(videos)["v"] == ("boil", "wash", "cut", "z")


def test_ties_and_unseen_are_alphabetical() -> None:
    assert corpus_order({"v": ("t", ["c", "b", "a"])}) == {"v": ("a", "b", "c")}
    assert corpus_order({"v": ("t", ["b", "a"]), "w": ("t", ["b"]), "x": ("t", ["a"])})["v"] == (
        "a",
        "b",
    )
    assert corpus_order({}) == {}


@given(VIDEOS)
def test_own_order_is_never_used(videos: Mapping[str, tuple[str, Sequence[str]]]) -> None:
    listed = corpus_order(videos)
    for video_id, (task, names) in videos.items():
        assert sorted(listed[video_id]) == sorted(set(names))
        turned = {**videos, video_id: (task, list(reversed(names)))}
        assert corpus_order(turned)[video_id] == listed[video_id]
    assert corpus_order(dict(reversed(list(videos.items())))) == listed
