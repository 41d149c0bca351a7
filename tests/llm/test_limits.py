"""How many at once, how fast, and for how much."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prospect.llm import (
    Message,
    Request,
    SpendLimit,
    Usage,
)
from prospect.llm.limits import Budget, Pace
from prospect.llm.records import cost_bound
from tests.llm.asking import CONFIG, ask, client
from tests.llm_server import Act, acts, serve


def test_concurrency(tmp_path: Path) -> None:
    with (
        serve(acts(Act(wait_s=0.05))) as log,
        client(log.url, tmp_path, concurrency=3) as asker,
        ThreadPoolExecutor(9) as pool,
    ):
        replies = list(pool.map(asker.ask, [ask(str(n)) for n in range(9)]))
    assert [reply.text for reply in replies] == [f"echo {n}" for n in range(9)]
    assert log.most_at_once == 3


def test_the_rate_does_not_drift(tmp_path: Path) -> None:
    with (
        serve(acts(Act())) as log,
        client(log.url, tmp_path, requests_per_minute=1200) as asker,
        ThreadPoolExecutor(8) as pool,
    ):
        list(pool.map(asker.ask, [ask(str(n)) for n in range(21)]))
    # 20 gaps of 50 ms; importing the vendor's package may delay the first
    took_s = log.times_s[-1] - log.times_s[0]
    assert 0.6 < took_s < 3


def test_pace_catches_up_but_saves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    slept = []

    def sleep(seconds: float) -> None:
        nonlocal now
        slept.append(round(seconds, 6))
        now += seconds + 0.3  # every sleep takes longer than asked

    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(time, "sleep", sleep)
    pace = Pace(60)
    for _ in range(4):
        pace.wait()
    assert slept == [0.0, 0.7, 0.7, 0.7]  # starts at 100, 101.0, 102.0, 103.0, each 0.3 late
    now = 200.0
    pace.wait()
    pace.wait()
    assert slept[4:] == [0.0, 0.7]
    pace.hold(5)
    pace.wait()
    assert slept[6:] == [5.0]


def test_the_spend_limit_stops_before_the_request(tmp_path: Path) -> None:
    # only output costs: $1 a token; a request may cost $10 and costs $5
    limits = {"price_out_per_mtok": 1e6, "max_cost_usd": 22.0}
    with serve(acts(Act(usage=(10, 5)))) as log:
        with client(log.url, tmp_path, **limits) as asker:
            for text in "abc":
                asker.ask(ask(text))
            # 15 + 10 > 22
            with pytest.raises(SpendLimit, match=r"spent \$15\.0000 of max_cost_usd \$22\.0000"):
                asker.ask(ask("d"))
            assert asker.ask(ask("a")).cached
            asker.ask(ask("e", max_tokens=7))
        assert asker.usage() == Usage(1, 4, 0, 1, 0, 40, 20, 20.0)
        # what was paid before counts for the next run
        with client(log.url, tmp_path, **limits) as asker:
            assert asker.ask(ask("a")).cached
            with pytest.raises(SpendLimit, match=r"spent \$20"):
                asker.ask(ask("d", max_tokens=3))
    assert len(log.bodies) == 4


def test_the_spend_limit_waits_for_those_under_way(tmp_path: Path) -> None:
    # each may cost $10 and costs $5: two may run at first, then one after the other
    limits = {"price_out_per_mtok": 1e6, "max_cost_usd": 25.0}
    with (
        serve(acts(Act(wait_s=0.05))) as log,
        client(log.url, tmp_path, **limits) as asker,
        ThreadPoolExecutor(8) as pool,
    ):
        futures = [pool.submit(asker.ask, ask(str(n))) for n in range(8)]
        failed = [future for future in futures if future.exception()]
    assert log.most_at_once == 2
    assert asker.usage().cost_usd == 20.0
    assert len(failed) == 4


def test_lost_answers_count_as_spent(tmp_path: Path) -> None:
    limits = {"price_out_per_mtok": 1e6, "max_cost_usd": 35.0, "max_retries": 9}
    with (
        serve(acts(Act(500), Act(429), Act(cut=30))) as log,
        client(log.url, tmp_path, **limits) as asker,
        # refusals cost nothing, each broken answer up to $10
        pytest.raises(SpendLimit, match=r"spent \$30"),
    ):
        asker.ask(ask("a"))
    assert len(log.bodies) == 5


@given(st.lists(st.text(max_size=20), min_size=1, max_size=3))
def test_the_bound_holds_for_any_text(texts: list[str]) -> None:
    config = replace(CONFIG, price_in_per_mtok=1e6)
    request = Request(tuple(Message("user", text) for text in texts), 1)
    # a dollar a token; no byte-level token is shorter than a byte
    assert cost_bound(config, request) >= sum(len(text.encode()) for text in texts)


def test_budget_settles_what_was_reserved() -> None:
    budget = Budget(1.0, 0.0, "cache")
    for _ in range(100):
        budget.reserve(0.7)
        budget.settle(0.7, 0.0)
    budget.reserve(1.0)
    budget.settle(1.0, 1.0)
    with pytest.raises(SpendLimit):
        budget.reserve(1e-9)
