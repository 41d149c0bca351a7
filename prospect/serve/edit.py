"""A local page to edit the labels of a data folder: the video, its steps and its turns.

In: a data folder with states and dialogues. Out: the same files, changed by hand, and
``edits.jsonl``. Only this machine can open the page.

    prospect inspect runs/x/data/toy --edit --author Ada
"""

import json
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.middleware.trustedhost import TrustedHostMiddleware

from prospect.dialogues.edits import Sheet, read_sheets, save
from prospect.errors import DataError, MissingError, ProspectError
from prospect.files import parse
from prospect.types import TimedTransition, Turn

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Changes:
    """What the page sends: all labels of a video, as they shall be."""

    video_id: str
    author: str
    version: str
    transitions: tuple[TimedTransition, ...]
    turns: dict[str, tuple[Turn, ...]]


def serve(data: Path, author: str, port: int) -> None:
    """Serve the editor until it is interrupted.

    Args:
        data: The data folder.
        author: Name written beside the changes; the page can give another.
        port: Of this machine; 0 takes a free one.

    Raises:
        MissingError: no states or dialogues in the folder.
    """
    uvicorn.run(make_app(data, author), host=HOST, port=port, log_level="warning")


def make_app(data: Path, author: str) -> FastAPI:
    """The application: the page, the labels as JSON, the videos."""
    if not read_sheets(data):
        raise MissingError(f"{data} has no video with states and dialogues; make these first")
    page = files("prospect.serve").joinpath("templates/edit.html").read_text(encoding="utf-8")
    app = FastAPI(title="PROSPECT labels", docs_url=None, redoc_url=None, openapi_url=None)
    # a page of another site must not reach this one under a name that points here
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])

    @app.get("/")
    def index() -> HTMLResponse:
        return HTMLResponse(page)

    @app.get("/videos")
    def videos() -> dict[str, Any]:
        return {"videos": list(read_sheets(data)), "author": author}

    @app.get("/labels")
    def labels(video_id: str) -> dict[str, Any]:
        sheet = _sheet(data, video_id)
        return {**asdict(sheet), "watchable": _video(data, sheet) is not None}

    @app.get("/video")
    def video(video_id: str) -> FileResponse:
        path = _video(data, _sheet(data, video_id))
        if path is None:
            raise HTTPException(404, f"the video of {video_id} is not in {data}")
        return FileResponse(path)  # answers ranges, so that the page can seek

    @app.put("/labels")
    async def put(request: Request) -> dict[str, Any]:
        try:
            content = json.loads(await request.body())
        except ValueError as error:
            raise DataError("the page sent something that is not JSON") from error
        made = parse(content, Changes, "the page")
        edits = save(
            data, made.video_id, made.transitions, dict(made.turns), made.author, made.version
        )
        return {"changes": len(edits), "version": _sheet(data, made.video_id).version}

    @app.exception_handler(ProspectError)
    def refused(request: Request, error: ProspectError) -> Response:
        return JSONResponse({"detail": str(error)}, status_code=422)

    return app


def _sheet(data: Path, video_id: str) -> Sheet:
    sheets = read_sheets(data)
    if video_id not in sheets:
        raise DataError(f"{data}: no labels of a video {video_id!r}")
    return sheets[video_id]


def _video(data: Path, sheet: Sheet) -> Path | None:
    """The video's file, if it is at hand."""
    path = None if sheet.video_file is None else data / sheet.video_file
    return path if path is not None and path.is_file() else None
