"""A scripted OpenAI-compatible server on loopback: it does what the test says, and takes notes."""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Act:
    """What to do with one request: wait, then answer with a status and a body, or break off.

    Attributes:
        text: Of a well-formed reply; None echoes the last message.
        body: Sent as it is instead of a reply.
        cut: Send only so many bytes of the body, then reset the connection.
        trickle_s: Pause between single bytes of the body.
    """

    status: int = 200
    text: str | None = None
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    wait_s: float = 0.0
    cut: int | None = None
    trickle_s: float = 0.0
    usage: tuple[int, int] | None = (10, 5)


Script = Callable[[int, dict[str, Any]], Act]
"""(number of the request from 0, its body) -> what to do."""


@dataclass
class Log:
    """What arrived: bodies and times in order, the headers of the last, the most at once."""

    url: str
    bodies: list[dict[str, Any]] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    most_at_once: int = 0
    at_once: int = 0


def acts(*first: Act, then: Act | None = None) -> Script:
    """These acts in order, then always the last one (or ``then``)."""
    last = then or first[-1]
    return lambda number, _: first[number] if number < len(first) else last


def completion(text: str, usage: tuple[int, int] | None = (10, 5)) -> dict[str, Any]:
    """A ``chat.completion`` object."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
    }
    counts = usage and {"prompt_tokens": usage[0], "completion_tokens": usage[1]}
    return {"model": "scripted-1", "choices": [choice], "usage": counts}


def events(text: str, usage: tuple[int, int] | None = (10, 5)) -> bytes:
    """A stream of ``chat.completion.chunk`` events, one a word, after a keep-alive comment."""
    deltas: Sequence[tuple[dict[str, str], str | None]] = [
        ({"role": "assistant"}, None),
        *(({"content": word}, None) for word in text.split(" ")[:1]),
        *(({"content": " " + word}, None) for word in text.split(" ")[1:]),
        ({}, "stop"),
    ]
    chunks: list[dict[str, Any]] = [
        {"model": "scripted-1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
        for delta, finish in deltas
    ]
    if usage:
        counts = {"prompt_tokens": usage[0], "completion_tokens": usage[1]}
        chunks.append({"model": "scripted-1", "choices": [], "usage": counts})
    lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
    return "".join([": hello\n\n", *lines, "data: [DONE]\n\n"]).encode()


@contextmanager
def serve(script: Script) -> Iterator[Log]:
    """Run until the block ends."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else each reply takes 40 ms

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with lock:
                number = len(log.bodies)
                log.bodies.append(body)
                log.times_s.append(time.monotonic())
                log.headers = dict(self.headers)
                log.at_once += 1
                log.most_at_once = max(log.most_at_once, log.at_once)
            try:
                self.play(script(number, body), body)
            finally:
                with lock:
                    log.at_once -= 1

        def play(self, act: Act, body: dict[str, Any]) -> None:
            time.sleep(act.wait_s)
            text = act.text if act.text is not None else f"echo {body['messages'][-1]['content']}"
            content = act.body
            if content is None:
                stream = body.get("stream")
                content = (
                    events(text, act.usage)
                    if stream
                    else json.dumps(completion(text, act.usage)).encode()
                )
            try:
                self.send_response(act.status)
                for name, value in act.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                if act.trickle_s:
                    for at in range(len(content)):
                        self.wfile.write(content[at : at + 1])
                        time.sleep(act.trickle_s)
                else:
                    self.wfile.write(content[: act.cut])
            except OSError:  # the client gave up: what these tests are about
                self.close_connection = True
                return
            if act.cut is not None:
                # closing with "linger 0" resets the connection
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def shutdown_request(self, request: Any) -> None:
            # the base class would say a polite goodbye before a reset
            self.close_request(request)

    server = Server(("127.0.0.1", 0), Handler)
    log = Log(f"http://127.0.0.1:{server.server_address[1]}/v1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield log
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
