"""Official SDKs from their package indexes, each in an environment of its own under ``.tools/sdks``, made once."""

import json
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kit import programs

_HERE = Path(__file__).parent
_SDKS = _HERE.parents[1] / ".tools/sdks"
_INSTALL_SECONDS = 300.0
_RUN_SECONDS = 60.0


def python_with(requirement: str) -> Path:
    """The interpreter of an environment with a package of PyPI, in the version asked for or the newest.

    What a given version needs of others is the newest's. By itself an old one names releases for which there is nothing
    but sources: to compile them took a minute of CPU, for parts of the SDK that are not called.
    """
    home = _SDKS / requirement.replace("==", "-")
    python = home / "bin/python"
    if (home / ".installed").exists():
        return python
    name, _, version = requirement.partition("==")
    newest = python_with(name).parents[1] if version else None
    shutil.rmtree(home, ignore_errors=True)
    # Our pip installs into it, and compiles nothing: of the hundreds of modules of an SDK few are imported.
    venv.create(home, with_pip=False)
    words = ["-m", "pip", "--python", str(python), "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    wanted = [requirement]
    if newest is None:
        # What old ones are built with.
        wanted.append("setuptools")
    else:
        (_packages(home) / "newest.pth").write_text(f"{_packages(newest)}\n")
        wanted += ["--no-deps", "--no-build-isolation", "--ignore-installed"]
    _install([sys.executable, *words, *wanted], requirement, home)
    return python


def _packages(home: Path) -> Path:
    """Where an environment has its packages."""
    return Path(sysconfig.get_path("purelib", "venv", {"base": str(home)}))


def node_with(package: str) -> Path:
    """A directory in which a package of npm is installed."""
    programs.need("npm")
    home = _SDKS / package.rpartition("/")[2]
    if not (home / ".installed").exists():
        home.mkdir(parents=True, exist_ok=True)
        (home / "package.json").write_text('{"private": true}')
        words = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error", package]
        _install(words, package, home)
    return home


def _install(command: list[str], name: str, home: Path) -> None:
    try:
        done = subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"{name} could not be installed within {_INSTALL_SECONDS:g} s")
    if done.returncode:
        pytest.skip(f"{name} could not be installed: {done.stderr.strip()[-300:]}")
    (home / ".installed").touch()


def run_python(requirement: str, script: str, told: Mapping[str, Any], **environment: str) -> dict[str, Any]:
    """What a script of this directory says when the SDK's own interpreter runs it."""
    return _run([str(python_with(requirement)), str(_HERE / script)], told, Path(sys.prefix), environment)


def run_node(package: str, script: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """The same with node."""
    home = node_with(package)
    return _run([programs.need("node"), str(_HERE / script)], told, home)


def _run(
    command: list[str], told: Mapping[str, Any], home: Path, environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    # HOME without credentials: an SDK would take those before the ones it is given.
    done = subprocess.run(
        command,
        input=json.dumps(told),
        cwd=home,
        env={"HOME": "/nonexistent", "PATH": "/usr/bin:/bin", "PYTHONIOENCODING": "utf-8", **(environment or {})},
        capture_output=True,
        text=True,
        timeout=_RUN_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    out: dict[str, Any] = json.loads(done.stdout)
    return out
