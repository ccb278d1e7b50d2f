"""What is in deploy/: units that systemd accepts, a Grafana dashboard that asks for metrics that exist."""

import json
import re
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import grafana
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from kit import programs
from kit.programs import STREAMFERRY
from streamferry.web.metrics import FAMILIES

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


@pytest.mark.parametrize("name", ["streamferry.service", "streamferry-worker@.service"])
def test_systemd_accepts_the_unit(name: str, tmp_path: Path) -> None:
    """Without a word, once the program stands where the unit says; a unit with a typo is not accepted."""
    analyze = programs.need("systemd-analyze")
    texts = {
        path.name: path.read_text().replace("/opt/streamferry/bin/streamferry", str(STREAMFERRY))
        for path in DEPLOY.glob("*.service")
    }
    text = texts[name]

    def verify(unit: str) -> tuple[int, str]:
        # A template is looked at as one of its units; one that a unit wants has to be there, too.
        for each, its_text in (texts | {name: unit}).items():
            (tmp_path / each).write_text(its_text)
        words = [analyze, "verify", "--man=no", str(tmp_path / name.replace("@.", "@1."))]
        done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
        return done.returncode, done.stdout + done.stderr

    assert verify(text) == (0, "")
    _, complaint = verify(text.replace("KillMode=", "KilMode="))
    assert "KilMode" in complaint


def test_a_restart_of_the_service_ended_every_publish() -> None:
    """Workers were its children. They are units of their own, which nothing ties to it; a worker keeps its name.

    That a publish goes on beside such a restart is in tests/e2e/test_services_apart.py.
    """
    service, worker = (
        dict(re.findall(r"^(\w+)=(.*)$", (DEPLOY / name).read_text(), re.M))
        for name in ("streamferry.service", "streamferry-worker@.service")
    )
    assert service["ExecStart"].endswith("streamferry serve --workers none")
    assert "streamferry-worker@1.service" in service["Wants"].split()
    assert worker["ExecStart"].endswith("streamferry worker --id %H-%i")
    ties = {"Requires", "Requisite", "BindsTo", "PartOf", "Upholds", "PropagatesStopTo", "StopPropagatedFrom"}
    assert ties.isdisjoint(service | worker)


@pytest.mark.parametrize("name", ["streamferry.service", "streamferry-worker@.service"])
def test_the_unit_is_shut_as_far_as_systemd_can_tell(name: str, tmp_path: Path) -> None:
    """Its own measure, of 100: a unit that says nothing has 96. Before it had limits of its own it was 58."""
    analyze = programs.need("systemd-analyze")
    (tmp_path / name).write_text((DEPLOY / name).read_text().replace("/opt/streamferry/bin/streamferry", "/bin/true"))
    words = [analyze, "security", "--no-pager", "--offline=true", "--threshold=20", str(tmp_path / name)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout[-400:] + done.stderr


@pytest.mark.parametrize("name", ["streamferry.service", "streamferry-worker@.service"])
def test_the_unit_lets_a_sandbox_be_put_on(name: str) -> None:
    """Each system call that it takes is in the unit's list, and not taken away again."""
    analyze = programs.need("systemd-analyze")

    def members(word: str) -> set[str]:
        if not word.startswith("@"):
            return {word}
        told = subprocess.run([analyze, "syscall-filter", word], capture_output=True, text=True, check=True).stdout
        inside = [line.strip() for line in told.splitlines()[1:] if not line.strip().startswith("#")]
        return {one for word in inside for one in members(word)}

    lines = re.findall(r"^SystemCallFilter=(~?)(.*)$", (DEPLOY / name).read_text(), re.M)
    allowed = {one for sign, words in lines if not sign for word in words.split() for one in members(word)}
    allowed -= {one for sign, words in lines if sign for word in words.split() for one in members(word)}
    needed = "landlock_create_ruleset landlock_add_rule landlock_restrict_self prctl seccomp memfd_create pidfd_open"
    needed += " execve clone setrlimit prlimit64 setpriority socket kill"
    assert set(needed.split()) - allowed == set()
    assert allowed.isdisjoint({"mount", "bpf", "ptrace", "setuid", "chroot", "keyctl", "init_module"})


def test_the_grafana_dashboard_is_what_its_script_writes() -> None:
    """If this fails, run scripts/grafana.py."""
    assert (DEPLOY / "grafana.json").read_text() == grafana.page()


def test_the_grafana_dashboard_asks_for_metrics_that_exist() -> None:
    """Every metric in a query is exposed; each that is not of single tasks is shown, but the version."""
    panels = json.loads((DEPLOY / "grafana.json").read_text())["panels"]
    asked = {
        name for panel in panels for one in panel["targets"] for name in re.findall(r"streamferry_\w+", one["expr"])
    }
    exposed = {one.full_name for one in FAMILIES}
    assert asked <= exposed
    assert {name for name in exposed - asked if not name.startswith("streamferry_task_")} == {
        "streamferry_build_info",
        "streamferry_sent_kbps",
    }


def test_the_image_starts_what_there_is() -> None:
    """The Dockerfile's paths are in the repository, and its command is one of ours."""
    text = (DEPLOY / "Dockerfile").read_text()
    copied = [path for line in re.findall(r"^COPY (?!--)(.*)$", text, re.M) for path in line.split()[:-1]]
    assert copied
    assert [path for path in copied if not (ROOT / path).exists()] == []
    assert 'CMD ["serve"]' in text


def pins(name: str) -> dict[str, str]:
    """Package -> version of a lock file. Each has a hash, and there is nothing else in the file."""
    text = re.sub(r"^ *#.*\n", "", (DEPLOY / name).read_text(), flags=re.M).replace("\\\n", "")
    found = {}
    for line in text.splitlines():
        pin, *hashes = line.split(" --hash=")
        assert hashes, line
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64} *", one) for one in hashes), line
        requirement = Requirement(pin)
        (specifier,) = requirement.specifier
        assert specifier.operator == "==", line
        found[canonicalize_name(requirement.name)] = specifier.version
    return found


@pytest.mark.parametrize("name", ["requirements.lock", "build.lock"])
def test_a_lock_file_satisfies_the_project(name: str) -> None:
    """If this fails, run make lock: something that pyproject.toml asks for is not in it, or in another version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked: list[str] = project["build-system"]["requires"]
    if name == "requirements.lock":
        asked = project["project"]["dependencies"] + project["project"]["optional-dependencies"]["postgresql"]
        asked += project["project"]["optional-dependencies"]["s3"]
    pinned = pins(name)
    for requirement in map(Requirement, asked):
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), requirement


def test_a_lock_file_is_whole() -> None:
    """What its packages ask for themselves is in it, as far as they are installed here."""
    pinned, ahead, seen = pins("requirements.lock"), ["streamferry"], set[str]()
    while ahead:
        name = ahead.pop()
        extras = ("", "postgresql", "s3") if name == "streamferry" else ("", "asyncio")
        for line in metadata.requires(name) or []:
            one = Requirement(line)
            if one.marker and not any(one.marker.evaluate({"extra": extra}) for extra in extras):
                continue
            assert canonicalize_name(one.name) in pinned, f"{name} asks for {one}"
            if one.name not in seen:
                seen.add(one.name)
                ahead.append(one.name)


def test_the_image_installs_what_is_pinned() -> None:
    """Nothing comes from the index without its hash, and the base image can be given by digest, once for all stages."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", "")
    installs = re.findall(r"pip install ([^&\n]*)", text)
    assert installs
    assert [words for words in installs if "--require-hashes" not in words and "--no-index" not in words] == []
    assert set(re.findall(r"^FROM (\S+)", text, re.M)) == {"${PYTHON}"}
    # No digest that nobody has looked up.
    assert "@sha256:" not in re.sub(r"^#.*$", "", text, flags=re.M)
