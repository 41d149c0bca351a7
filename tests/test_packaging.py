"""The lock files against what the package and every locked distribution ask for."""

import tomllib
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.11", "3.12")
FORBIDDEN = {"torchvision", "timm", "litellm", "fastrtc", "evaluate", "torchcodec"}


def read_lock(name: str) -> dict[str, Version]:
    """Distribution -> version; every line must be an exact pin."""
    found: dict[str, Version] = {}
    for line in (ROOT / name).read_text().splitlines():
        if line and not line.startswith("#"):
            distribution, version = line.split("==")
            key = canonicalize_name(distribution)
            assert key not in found, f"{name} pins {key} twice"
            found[key] = Version(version)
    return found


def project() -> list[Requirement]:
    """What the package needs to be built, run, scored, tested and checked."""
    content = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = content["project"]["optional-dependencies"]
    names = [*content["build-system"]["requires"], *content["project"]["dependencies"]]
    for extra in ("eval", "llm", "serve", "dev"):
        names += extras[extra]
    return [Requirement(text) for text in names]


def requirements(name: str, extras: frozenset[str], python: str) -> Iterator[Requirement]:
    """What an installed distribution asks for with these extras on Linux x86-64."""
    place = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
        "sys_platform": "linux",
        "os_name": "posix",
    }
    for text in metadata.requires(name) or []:
        asked = Requirement(text)
        chosen = {"", *extras}
        if asked.marker is None or any(
            asked.marker.evaluate({**place, "extra": e}) for e in chosen
        ):
            yield asked


def walk(
    asked: Sequence[Requirement], lock: dict[str, Version], python: str
) -> tuple[set[str], list[str]]:
    """Distributions that ``asked`` leads to, and one line for each that the lock doesn't give."""
    needed: set[tuple[str, frozenset[str]]] = set()
    faults = []
    queue = [("pyproject.toml", requirement) for requirement in asked]
    while queue:
        by, requirement = queue.pop()
        name = canonicalize_name(requirement.name)
        if name not in lock:
            faults.append(f"{by} asks for {requirement}, which is not locked")
        elif not requirement.specifier.contains(lock[name], prereleases=True):
            faults.append(f"{by} asks for {requirement}, locked is {lock[name]}")
        elif (key := (name, frozenset(requirement.extras))) not in needed:
            needed.add(key)
            queue += [(name, found) for found in requirements(*key, python)]
    return {name for name, _ in needed}, faults


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-offline.txt"])
def test_installed_is_what_is_locked(name: str) -> None:
    installed = {key: Version(metadata.version(key)) for key in read_lock(name)}
    public = {key: Version(version.public) for key, version in installed.items()}
    assert public == read_lock(name), "another environment than the lock's: run `make install`"


@pytest.mark.parametrize("python", PYTHONS)
def test_lock_is_complete_and_has_nothing_left_over(python: str) -> None:
    lock = read_lock("requirements.lock")
    needed, faults = walk(project(), lock, python)
    assert faults == []
    assert needed == set(lock)


def test_forbidden_distributions_are_not_locked() -> None:
    locked = read_lock("requirements.lock").keys() | read_lock("requirements-offline.txt").keys()
    assert not locked & FORBIDDEN


def test_faults_of_a_lock_are_named() -> None:
    lock = read_lock("requirements.lock")
    del lock["sympy"]
    lock["jinja2"] = Version("3.0")
    _, faults = walk([Requirement("torch>=2.13"), Requirement("jinja2>=3.1")], lock, "3.11")
    assert sorted(faults) == [
        "pyproject.toml asks for jinja2>=3.1, locked is 3.0",
        "torch asks for sympy>=1.13.3, which is not locked",
    ]
