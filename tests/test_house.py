"""The rules of the house that a reader should be able to rely on."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "prospect"
FILES = sorted(PACKAGE.rglob("*.py"))
NAMED = [(str(path.relative_to(PACKAGE)), path) for path in FILES]

LAYERS = (
    {
        "types",
        "clock",
        "files",
        "errors",
        "firing",
        "provenance",
        "parallel",
        "llm",
        "embeddings",
        "pretrained",
        "shipped",
        "states",
        "metrics",
    },
    {"annotations", "toy"},
    {"dialogues"},
    {"frames"},
    {"samples"},
    {"model"},
    {"train", "stream"},
    {"report"},
    {
        "bench",
        "dataset",
        "judging",
        "watch",
        "stages",
        "exchange",
        "run",
        "run_config",
        "serve",
        "__main__",
    },
)
"""A module imports from its own layer and those before it."""
APART = ({"train", "stream"}, {"annotations", "toy"})
"""Of one layer, and yet strangers to each other."""
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
MAX_FILE_LINES, MAX_FUNCTION_LINES = 400, 60

SELF = ("self", "cls")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


FUNCTIONS = [
    (name, node)
    for name, path in NAMED
    for node in ast.walk(tree(path))
    if isinstance(node, Function)
]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer(module: str) -> str:
    """``prospect.samples.clips`` -> ``samples``; the package itself has no layer."""
    return module.split(".")[1] if "." in module else ""


MODULES = {module_name(path): path for path in FILES}


def imported(path: Path, nodes: Iterator[ast.AST] | list[ast.stmt]) -> set[str]:
    """Every module named in the import statements among ``nodes``."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            module = str(node.module)
            names = {f"{module}.{alias.name}" for alias in node.names}
            # `from package import module` names a module, `from module import thing` does not
            found |= {name if name in MODULES else module for name in names}
    return found


def ours(path: Path) -> set[str]:
    """Modules of the package that a file imports anywhere, also in functions and for types."""
    return {name for name in imported(path, ast.walk(tree(path))) if name in MODULES}


def complaints(module: str, path: Path) -> list[str]:
    """What is wrong with a file's imports."""
    me = layer(module)
    if me not in LEVEL:
        return [] if module == "prospect" else [f"{module} has no layer; give it one here"]
    found = []
    for name in sorted(ours(path)):
        other = layer(name)
        if other in ("", me):
            continue
        strangers = any({me, other} <= names for names in APART)
        if strangers or LEVEL[other] > LEVEL[me]:
            found.append(f"{module} imports {name}")
    return found


def test_imports_follow_the_order() -> None:
    assert [line for item in MODULES.items() for line in complaints(*item)] == []


@cache
def imported_at_once(module: str) -> frozenset[str]:
    """All modules that importing ``module`` imports, statements in functions left out."""
    found: set[str] = set()
    queue = [module]
    for name in queue:
        parents = [".".join(name.split(".")[:depth]) for depth in range(1, name.count(".") + 1)]
        path = MODULES.get(name)
        new = imported(path, top_level(tree(path).body)) if path else set()
        for other in {*new, *parents} - found:
            found.add(other)
            queue.append(other)
    return frozenset(found)


def top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that run on import; not those under ``if TYPE_CHECKING``."""
    for node in body:
        yield node
        if isinstance(node, ast.If) and ast.unparse(node.test) != "TYPE_CHECKING":
            yield from top_level([*node.body, *node.orelse])


LIGHT = [
    "prospect.types",
    "prospect.clock",
    "prospect.files",
    "prospect.states.transitions",
    "prospect.model.config",
    "prospect.train.config",
    "prospect.stream.config",
    "prospect.stream.decide",
    "prospect.stages",
    "prospect.dataset",
    "prospect.llm",
    "prospect.exchange",
    "prospect.bench",
    "prospect.run",
    "prospect.__main__",
]


@pytest.mark.parametrize("module", LIGHT)
def test_settings_and_verbs_import_no_torch(module: str) -> None:
    heavy = {"torch", "transformers", "peft", "safetensors", "accelerate"}
    packages = {name.split(".")[0] for name in imported_at_once(module)}
    assert not packages & heavy


def test_metrics_import_no_torch_and_no_model() -> None:
    for module in MODULES:
        if layer(module) == "metrics":
            assert "torch" not in {name.split(".")[0] for name in imported_at_once(module)}
            layers = {layer(name) for name in ours(MODULES[module])}
            assert layers <= LAYERS[0] | {""}


@pytest.mark.parametrize("args", [["--help"], ["train", "--help"]], ids=" ".join)
def test_help_does_not_import_torch(args: list[str]) -> None:
    code = (
        "import sys\n"
        "from prospect.__main__ import main\n"
        "try:\n"
        f"    main({args!r})\n"
        "finally:\n"
        "    print('torch' in sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "usage: prospect" in done.stdout
    assert done.stderr.split()[-1] == "False"


def test_files_and_functions_are_short() -> None:
    files = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in NAMED}
    assert {name: lines for name, lines in files.items() if lines > MAX_FILE_LINES} == {}
    lengths = {f"{where}:{f.name}": (f.end_lineno or 0) - f.lineno + 1 for where, f in FUNCTIONS}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_FUNCTION_LINES} == {}


def test_no_signature_takes_just_anything() -> None:
    taken = {f"{where}:{function.name}" for where, function in FUNCTIONS if function.args.kwarg}
    assert taken == set()


def test_everything_is_annotated() -> None:
    bare = []
    for where, function in FUNCTIONS:
        args = function.args
        named = [*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg]
        missing = [arg.arg for arg in named if arg and arg.annotation is None]
        missing += [] if function.returns else ["return"]
        bare += [f"{where}:{function.name}:{name}" for name in missing if name not in SELF]
    assert bare == []


def test_every_module_and_public_function_is_documented() -> None:
    bare = [name for name, path in NAMED if not ast.get_docstring(tree(path))]
    for name, path in NAMED:
        for node in tree(path).body:
            if isinstance(node, Function) and not node.name.startswith("_"):
                bare += [] if ast.get_docstring(node) else [f"{name}:{node.name}"]
    assert bare == []


def test_no_exception_is_caught_without_a_name() -> None:
    broad = []
    for name, path in NAMED:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ExceptHandler):
                caught = ast.unparse(node.type) if node.type else "Exception"
                if re.search(r"\b(Base)?Exception\b", caught):
                    broad.append(f"{name}:{node.lineno}")
    assert broad == []


def test_nothing_is_left_for_later() -> None:
    marks = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    assert [name for name, path in NAMED if marks.search(path.read_text(encoding="utf-8"))] == []
