"""Requests and results as files."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prospect.errors import MissingError
from prospect.llm import (
    Client,
    Pending,
    Reply,
    Request,
    SpendLimit,
    Usage,
)
from prospect.llm.records import body_of
from tests.llm.asking import CONFIG, ask, client
from tests.llm_server import completion


def result(key: str, text: str = "hi") -> dict[str, Any]:
    """A good line of a result file."""
    return {"custom_id": key, "response": {"status_code": 200, "body": completion(text)}}


def write_lines(path: Path, lines: list[Any]) -> Path:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(texts) + "\n")
    return path


def collect(asker: Client, requests: list[Request]) -> None:
    for request in requests:
        with pytest.raises(Pending):
            asker.ask(request)


def test_batch_round_trip(tmp_path: Path) -> None:
    requests = [ask(text) for text in "abcde"]
    with client(CONFIG.base_url, tmp_path, "batch", price_out_per_mtok=1e6) as asker:
        collect(asker, [*requests, requests[0]])
        (path,) = asker.write_batch(tmp_path)
    assert asker.usage() == Usage(pending=6)
    assert path.name == "requests-1.jsonl"
    sent = [json.loads(line) for line in path.read_text().splitlines()]
    keys = {line["body"]["messages"][0]["content"]: line["custom_id"] for line in sent}
    assert sorted(keys) == list("abcde")
    assert {line["method"] + line["url"] for line in sent} == {"POST/v1/chat/completions"}
    assert sent[0]["body"] == body_of(asker._config, ask(sent[0]["body"]["messages"][0]["content"]))

    limited = {"custom_id": keys["c"], "response": {"status_code": 429, "body": {"e": "slow"}}}
    expired = {"custom_id": keys["d"], "response": None, "error": {"code": "batch_expired"}}
    strange = {"custom_id": keys["e"], "response": {"status_code": 200, "body": {"choices": []}}}
    results = write_lines(
        tmp_path / "results.jsonl",
        [
            result(keys["b"], "B"),
            limited,
            "",
            expired,
            '{"custom_id": "x", ',
            result("0123"),
            result(keys["b"], "B2"),
            strange,
            result(keys["a"], "A"),
        ],
    )
    with client(CONFIG.base_url, tmp_path, "batch", price_out_per_mtok=1e6) as asker:
        imported = asker.import_replies(results)
        assert imported.account.kept == 2
        assert imported.account.dropped == {
            "failed": 3,
            "not a result line": 1,
            "unknown custom_id": 1,
            "repeated": 1,
        }
        where = f"{results}:"
        assert imported.problems[0] == f'{where}2: {keys["c"]}: failed: status 429: {{"e": "slow"}}'
        assert imported.problems[1].startswith(f"{where}4: {keys['d']}: failed: no response; error")
        assert imported.problems[2].startswith(f"{where}5: ?: not a result line: Invalid JSON")
        assert imported.problems[3].startswith(f"{where}6: 0123: unknown custom_id")
        assert imported.problems[4].startswith(f"{where}7: {keys['b']}: repeated")
        assert imported.problems[5].startswith(f"{where}8: {keys['e']}: failed: malformed answer")
        # the next round: two replies are there, the failed ones go out again, and a new one
        assert asker.ask(requests[0]) == Reply("A", "stop", "scripted-1", 10, 5, 5.0, True)
        assert asker.ask(requests[1]).text == "B"
        collect(asker, [*requests[2:], ask("f")])
        (path,) = asker.write_batch(tmp_path)
    assert path.name == "requests-2.jsonl"
    contents = [
        json.loads(line)["body"]["messages"][0]["content"] for line in path.read_text().splitlines()
    ]
    assert sorted(contents) == list("cdef")


def test_what_is_out_is_not_sent_twice(tmp_path: Path) -> None:
    for expected in (["requests-1.jsonl"], [], []):
        with client(CONFIG.base_url, tmp_path, "batch") as asker:
            collect(asker, [ask("a"), ask("b")])
            assert [path.name for path in asker.write_batch(tmp_path)] == expected
    (tmp_path / "requests-1.jsonl").unlink()
    with client(CONFIG.base_url, tmp_path, "batch") as asker:
        collect(asker, [ask("a"), ask("b")])
        (path,) = asker.write_batch(tmp_path)
        assert asker.write_batch(tmp_path) == []
    assert len(path.read_text().splitlines()) == 2


def test_big_batches_are_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prospect.llm.batch.MAX_LINES", 3)
    monkeypatch.setattr("prospect.llm.batch.MAX_BYTES", 1000)
    with client(CONFIG.base_url, tmp_path, "batch") as asker:
        collect(asker, [ask(str(n)) for n in range(7)])
        paths = asker.write_batch(tmp_path)
        assert [len(path.read_text().splitlines()) for path in paths] == [3, 3, 1]
        collect(asker, [ask("a" * 900), ask("b" * 900)])
        paths = asker.write_batch(tmp_path)
        assert [path.name for path in paths] == ["requests-4.jsonl", "requests-5.jsonl"]


def test_a_batch_keeps_to_the_spend_limit(tmp_path: Path) -> None:
    # each may cost $10 and costs $5
    limits = {"price_out_per_mtok": 1e6, "max_cost_usd": 25.0}
    with client(CONFIG.base_url, tmp_path, "batch", **limits) as asker:
        collect(asker, [ask("a"), ask("b"), ask("a")])
        with pytest.raises(SpendLimit, match=r"spent \$20"):
            asker.ask(ask("c"))
        (path,) = asker.write_batch(tmp_path)
    keys = [json.loads(line)["custom_id"] for line in path.read_text().splitlines()]
    with client(CONFIG.base_url, tmp_path, "batch", **limits) as asker:
        with pytest.raises(SpendLimit):
            asker.ask(ask("c"))
        asker.import_replies(write_lines(tmp_path / "r", [result(key) for key in keys]))
        collect(asker, [ask("c")])  # 10 + 10 <= 25


def test_no_result_file(tmp_path: Path) -> None:
    with (
        client(CONFIG.base_url, tmp_path, "batch") as asker,
        pytest.raises(MissingError, match="no result file"),
    ):
        asker.import_replies(tmp_path / "none.jsonl")


LINES = st.one_of(
    st.binary(max_size=50).map(lambda raw: raw.replace(b"\n", b"")),
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: st.dictionaries(
            st.sampled_from(["custom_id", "response", "status_code", "body", "error"]), inner
        ),
        max_leaves=8,
    ).map(lambda value: json.dumps(value).encode()),
)


@given(lines=st.lists(LINES, max_size=5))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_garbage_results_are_counted(lines: list[bytes], tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_bytes(b"\n".join(lines))
    with client(CONFIG.base_url, tmp_path, "batch") as asker:
        imported = asker.import_replies(path)
    assert imported.account.kept == 0
    assert sum(imported.account.dropped.values()) == len(imported.problems)
    assert len(imported.problems) == sum(bool(line.strip()) for line in lines)
