"""The command line: one verb a stage.

    prospect run --config presets/demo.yaml
    prospect train --help

Every verb takes ``--config FILE`` (YAML) and dotted overrides: ``--training.optim.lr 1e-4``.
"""

import re
import sys
from collections.abc import Callable, Sequence
from inspect import Parameter, signature
from pathlib import Path

from jsonargparse import ActionYesNo, ArgumentParser, Namespace

from prospect import exchange, stages
from prospect.bench import BENCHES, bench
from prospect.dialogues.quality import Rules
from prospect.errors import ProspectError
from prospect.exchange import EXPORTS, IMPORTS, export_clips, import_clips
from prospect.model.config import ModelConfig
from prospect.run import run
from prospect.run_config import RunConfig
from prospect.stages.score import RESULTS
from prospect.types import Split
from prospect.watch import watch


def clips(
    data: Path,
    fps: float = 2.0,
    seed: int = 0,
    model: ModelConfig = ModelConfig(),  # noqa: B008  frozen
    frames_root: Path | None = None,
    drop_invalid: bool = False,
    split: Split = "test",
    without_videos: bool = False,
    variants: tuple[str, ...] = ("dialogue",),
    rules: Rules | None = None,
    num_workers: int = 2,
    source: tuple[str, str] | None = None,
    target: tuple[str, str] | None = None,
) -> None:
    """Cut dialogues into clips, or import and export clips.

    Args:
        data: The data folder.
        fps: Of the stream, when cutting.
        seed: Of how far clips look back, when cutting.
        model: Whose tokens are counted, and whose context has to hold them.
        frames_root: Folder of the frame stores, when importing.
        drop_invalid: Drop and count imported clips that can't be right instead of stopping.
        split: Of imported files that are not named after theirs.
        without_videos: Trust the annotated durations, when cutting.
        variants: What is made of each dialogue: dialogue, no_state, no_knowledge, state,
            summarized, proassist, summary; and narration of each annotation.
        rules: Which dialogues are good enough to be cut; without, all are.
        num_workers: Processes that cut.
        source: What to import.
        target: What to export.
    """
    if source is None and target is None:
        stages.clips(data, fps, seed, model, without_videos, variants, rules, num_workers)
    imported = None
    if source is not None:
        kind, path = source
        imported = import_clips(
            kind, Path(path), data, model, frames_root, drop_invalid, split, fps
        )
    if target is not None:
        kind, path = target
        repairs = imported if source and source[0] == kind else None
        export_clips(kind, Path(path), repairs, data, model)


def inspect(
    data: Path,
    clip: str | None = None,
    model: ModelConfig = ModelConfig(),  # noqa: B008  frozen
    html: Path | None = None,
    edit: bool = False,
    author: str = "",
    port: int = 8765,
) -> None:
    """Count and check clips, and draw one as the model sees it; or edit a folder's labels.

    Args:
        data: The data folder, or a JSONL file of clips.
        clip: Id of the clip to draw; None takes the first.
        model: Whose renderer counts the tokens.
        html: A page that gets the same.
        edit: Open a local page on which states and turns are changed by hand.
        author: Whose name stands beside these changes.
        port: Of this machine, for that page.
    """
    if not edit:
        exchange.inspect(data, clip, model, html)
        return
    from prospect.serve.edit import serve

    stages.say(f"open http://127.0.0.1:{port} to edit the labels of {data}; Ctrl+C ends")
    serve(data, author, port)


VERBS: dict[str, Callable[..., None]] = {
    "toy": stages.toy,
    "annotate": stages.annotate,
    "dialogues": stages.dialogues,
    "states": stages.states,
    "features": stages.features,
    "clips": clips,
    "inspect": inspect,
    "train": stages.train,
    "predict": stages.predict,
    "score": stages.score,
    "judge": stages.judge,
    "agree": stages.agree,
    "report": stages.report,
    "watch": watch,
    "bench": bench,
    "run": run,
}


_PATHS = tuple[Path, ...]
_POSITIONAL = {
    ("score", "predictions"): "*",
    ("judge", "predictions"): "+",
    ("agree", "ratings"): "+",
    ("report", "runs"): "*",
}
_KINDS: dict[str, dict[str, tuple[str, ...]]] = {
    "clips": {"from": IMPORTS, "to": EXPORTS},
    "score": {"from": (RESULTS,), "to": (RESULTS,)},
    "predict": {"to": (RESULTS,)},
}
"""verb -> what it reads with --from and writes with --to."""
_KIND_PARAMETERS = {"from": "source", "to": "target"}


def build_parser() -> ArgumentParser:
    """The parser of all verbs; their options are their functions' parameters."""
    parser = ArgumentParser(prog="prospect", description=__doc__)
    verbs = parser.add_subcommands()
    for name, function in VERBS.items():
        summary = (function.__doc__ or "").split("\n")[0]
        verb = ArgumentParser(description=summary)
        verb.add_argument("--config", action="config", help="YAML file of these options")
        if name == "run":
            verb.add_class_arguments(RunConfig, as_group=False)
        else:
            _add_options(verb, name, function)
        verbs.add_subcommand(name, verb, help=summary)
    return parser


def _add_options(verb: ArgumentParser, name: str, function: Callable[..., None]) -> None:
    """The function's parameters as options: paths as lists, switches without a value."""
    by_hand: set[str | int] = {_KIND_PARAMETERS[option] for option in _KINDS.get(name, ())}
    if name == "inspect":
        verb.add_argument("data", type=Path, help="data folder, or JSONL file of clips")
        by_hand.add("data")
    if name == "predict":
        text = "folder of a model, demo (the shipped one), untrained, or openai:URL"
        verb.add_argument("--checkpoint", "--model", type=str, required=True, help=text)
        by_hand.add("checkpoint")
    if name == "report":
        for option, kind in (("video", "an annotated mp4"), ("rerun", "a Rerun recording")):
            text = f"write {kind} of one video instead"
            verb.add_argument(f"--{option}", nargs=2, metavar=("ID", "FILE"), help=text)
            by_hand.add(option)
    if name == "bench":
        verb.add_argument("stage", type=str, help=f"{', '.join(BENCHES)} or all")
        by_hand.add("stage")
    for key, parameter in signature(function).parameters.items():
        required = parameter.default is Parameter.empty
        if parameter.annotation is bool:
            verb.add_argument(f"--{key}", action=ActionYesNo, default=parameter.default)
        elif parameter.annotation != _PATHS:
            continue
        elif (name, key) in _POSITIONAL:
            verb.add_argument(key, nargs=_POSITIONAL[name, key], type=Path, help="files")
        else:
            verb.add_argument(f"--{key}", nargs="+", type=Path, required=required, default=())
        by_hand.add(key)
    for option, kinds in _KINDS.get(name, {}).items():
        verb.add_argument(f"--{option}", nargs=2, help=f"KIND PATH; {' or '.join(kinds)}")
    verb.add_function_arguments(function, as_group=False, skip=by_hand)


def _underscored(argument: str) -> str:
    """``--frames-root=x`` -> ``--frames_root=x``: options may be written either way."""
    name, equals, value = argument.partition("=")
    if name == "--model.path":  # a downloaded model's folder is what most people give
        name = "--model.llm"
    return name.replace("-", "_").replace("__", "--", 1) + equals + value


def _server(args: Sequence[str]) -> list[str]:
    """``--model openai:URL`` names a server, which is an option of its own in a file."""
    urls = [one.split("openai:", 1)[1] for one in args if re.match("(--[a-z]+=)?openai:", one)]
    return [f"--remote.server.base_url={url}" for url in urls]


def parse(args: Sequence[str]) -> Namespace:
    """A command line's verb and its typed options; exits with status 2 on what it can't read."""
    parser = build_parser()
    spelled = [_underscored(one) if one.startswith("--") else one for one in args]
    if spelled[:1] == ["inspect"]:  # its data may be named as for the other verbs
        spelled = [one for one in spelled if one != "--data"]
    if spelled[:1] == ["predict"]:
        spelled += _server(spelled)
    parsed: Namespace = parser.instantiate(parser.parse_args(spelled))
    return parsed


def main(args: list[str] | None = None) -> int:
    """Run one verb; returns the exit status.

    Args:
        args: Command line without the program's name; None takes the process's.
    """
    try:
        parsed = parse(sys.argv[1:] if args is None else args)
        verb = parsed.subcommand
        options = {key: value for key, value in vars(parsed[verb]).items() if key != "config"}
        for option in _KINDS.get(verb, ()):
            options[_KIND_PARAMETERS[option]] = options.pop(option)
        if verb == "run":
            run(RunConfig(**options))
        else:
            VERBS[verb](**options)
    except ProspectError as error:
        print(f"prospect: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
