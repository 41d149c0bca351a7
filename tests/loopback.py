"""Pictures that tell their number, and a web server for one test."""

import io
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np
from PIL import Image as Pictures

from prospect.frames.decode import Image

SHADES = 5  # between two numbers: far more than JPEG and H.264 lose
MJPEG = "multipart/x-mixed-replace; boundary=frame"

Page = tuple[str, Callable[[], Iterable[bytes]]]
"""Content type, and what is sent piece by piece."""


def grey(number: int, width: int = 64, height: int = 48) -> Image:
    """A picture of one shade, for numbers up to 50."""
    return np.full((height, width, 3), SHADES * number, np.uint8)


def number_of(picture: Image) -> int:
    """Which `grey` one it is, cut and scaled as it may be."""
    return round(float(picture.mean()) / SHADES)


def jpeg(picture: Image) -> bytes:
    with io.BytesIO() as buffer:
        Pictures.fromarray(picture).save(buffer, "JPEG", quality=95)
        return buffer.getvalue()


def write_video(path: Path, count: int, rate: int, movflags: str = "faststart") -> Path:
    """Grey pictures 0, 1, ... at a constant rate; readable from its start alone."""
    with av.open(path, "w", options={"movflags": movflags}) as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(grey(number), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def parts(numbers: Iterable[int]) -> Iterator[bytes]:
    """An MJPEG stream of grey pictures."""
    for number in numbers:
        body = jpeg(grey(number))
        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n"
        yield head.encode() + body + b"\r\n"


@contextmanager
def web(pages: Mapping[str, Page], ends: bool = True) -> Iterator[str]:
    """Serve pages on this machine; gives the address to put their names behind.

    Args:
        ends: Whether a page says that it is over; else the connection just ends, as a camera's
            does that is switched off.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            if self.path not in pages:
                self.send_error(404)
                return
            kind, pieces = pages[self.path]
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.close_connection = not ends
            if ends:
                self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            try:
                for piece in pieces():
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if ends else piece)
                self.wfile.write(b"0\r\n\r\n" if ends else b"")
            except ConnectionError:
                pass  # the client has seen enough

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
