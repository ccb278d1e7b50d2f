"""What is in deploy/kubernetes and deploy/compose.yaml: objects that Kubernetes accepts, which name what there is."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import kubernetes_validate
import pytest
import yaml
from fastapi import FastAPI

from streamferry.cli.commands import load
from streamferry.config import PREFIX, Settings, load_settings
from streamferry.service.probes import add_probes
from streamferry.web.metrics import FAMILIES

DEPLOY = Path(__file__).parents[2] / "deploy"
FOLDER = DEPLOY / "kubernetes"
KUBERNETES = "1.32"
#: Variables that are no settings: of the commands that call the service.
OTHERS = {f"{PREFIX}URL"}


@cache
def kustomization() -> dict[str, Any]:
    return yaml.safe_load((FOLDER / "kustomization.yaml").read_text())  # type: ignore[no-any-return]


@cache
def objects() -> list[dict[str, Any]]:
    """All that is applied, but what kustomize makes of literals."""
    return [
        one for name in kustomization()["resources"] for one in yaml.safe_load_all((FOLDER / name).read_text()) if one
    ]


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [one for one in objects() if one["kind"] == kind]


def containers() -> Iterator[dict[str, Any]]:
    for one in of_kind("Deployment"):
        yield from one["spec"]["template"]["spec"]["containers"]


def variables() -> dict[str, str]:
    """Of all pods: those of the map, of the secrets, and of single containers, where they are written out."""
    literals = [line for one in kustomization()["configMapGenerator"] for line in one["literals"]]
    lines = [*literals, *(FOLDER / "secrets.env.example").read_text().splitlines()]
    found = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    for container in containers():
        found |= {one["name"]: one.get("value", "") for one in container.get("env", [])}
    return found


def command_of(words: list[str]) -> str:
    """The name of the command that would run. Raises UsageError for one, or an option of it, that is not there."""
    command = load(words[0])
    inside = getattr(command, "commands", {})
    if len(words) > 1 and words[1] in inside:
        return str(inside[words[1]].make_context(words[1], words[2:]).info_name)
    return str(command.make_context(words[0], words[1:]).info_name)


@pytest.mark.parametrize("number", range(len(objects())))
def test_kubernetes_accepts_each_object(number: int) -> None:
    """By the schemas of its API, in which nothing is that it does not know."""
    kubernetes_validate.validate(objects()[number], KUBERNETES, strict=True)


def test_an_object_with_a_typo_is_not_accepted() -> None:
    """The check can fail."""
    deployment = of_kind("Deployment")[0]
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(
            deployment | {"spec": deployment["spec"] | {"replica": 2}}, KUBERNETES, strict=True
        )


def test_all_files_are_applied() -> None:
    """None lies beside the others without being named."""
    named = {*kustomization()["resources"], "kustomization.yaml"}
    assert {one.name for one in FOLDER.glob("*.yaml")} == named
    assert {one["image"] for one in containers()} == {one["name"] for one in kustomization()["images"]}


def test_what_the_pods_are_told_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each variable is one, and the service takes them as they are."""
    told = variables()
    named = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    assert {name for name in told if name.startswith(PREFIX)} - named == OTHERS
    for name, value in told.items():
        monkeypatch.setenv(name, value.replace("$(POD_NAME)", "pod"))
    settings = load_settings()
    assert settings.host == "0.0.0.0"
    assert settings.store.get_secret_value().startswith("postgresql://")


def test_pods_run_commands_that_there_are() -> None:
    """With their options; also before they stop, by the path that the image has."""
    program = re.search(r'"(/\S+/streamferry)"\]', (DEPLOY / "Dockerfile").read_text())
    assert program is not None
    ran = set()
    for container in containers():
        ran.add(command_of(container["args"]))
        for words in container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", []):
            for line in re.findall(rf"{program[1]} ([^|]+?) \|\|", words):
                ran.add(command_of(line.replace('"', "").split()))
    assert ran == {"serve", "worker", "drain"}


def test_probes_ask_for_what_is_served() -> None:
    """On the port of the service. None looks at the store but the one that only takes a pod out of the Service, and
    nothing kills a worker that streams.
    """
    app = FastAPI()
    add_probes(app, Mock(), Mock(), "")
    paths = {getattr(route, "path", "") for route in app.routes}
    api, worker = containers()
    assert [one["containerPort"] for one in api["ports"]] == [Settings.model_fields["port"].default]
    probes = {name: api[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert {one["path"] for one in probes.values()} <= paths
    assert {one["port"] for one in probes.values()} <= {one["name"] for one in api["ports"]}
    assert probes["liveness"]["path"] == "/healthz"
    assert not [name for name in worker if name.endswith("Probe")]


def test_a_worker_has_the_time_to_drain() -> None:
    """What it runs before it stops ends well before it is killed."""
    (pod,) = (one["spec"]["template"]["spec"] for one in of_kind("Deployment") if "worker" in one["metadata"]["name"])
    command = " ".join(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"])
    limit = re.search(r"timeout (\d+)", command)
    assert limit is not None
    assert pod["terminationGracePeriodSeconds"] >= int(limit[1]) + 30


def test_selectors_select() -> None:
    """Services, budgets, policies and the scaler are of pods that there are."""
    pods = [one["spec"]["template"]["metadata"]["labels"] for one in of_kind("Deployment")]

    def selects(labels: Mapping[str, str]) -> bool:
        return any(labels.items() <= one.items() for one in pods)

    for one in of_kind("Deployment"):
        assert one["spec"]["selector"]["matchLabels"].items() <= one["spec"]["template"]["metadata"]["labels"].items()
    assert all(selects(one["spec"]["selector"]) for one in of_kind("Service"))
    assert all(selects(one["spec"]["selector"]["matchLabels"]) for one in of_kind("PodDisruptionBudget"))
    assert all(selects(one["spec"]["podSelector"]["matchLabels"]) for one in of_kind("NetworkPolicy"))
    (scaler,) = of_kind("HorizontalPodAutoscaler")
    assert scaler["spec"]["scaleTargetRef"]["name"] in {one["metadata"]["name"] for one in of_kind("Deployment")}


def test_workers_are_scaled_by_metrics_that_there_are() -> None:
    """The rule beside the scaler makes the metric that it asks for."""
    text = (FOLDER / "scaling.yaml").read_text()
    (scaler,) = of_kind("HorizontalPodAutoscaler")
    (metric,) = scaler["spec"]["metrics"]
    made = metric["external"]["metric"]["name"]
    assert f"as: {made}" in text
    assert set(re.findall(r"streamferry_\w+", text)) - {made} <= {one.full_name for one in FAMILIES}


def test_compose_runs_what_there_is() -> None:
    """Its commands, settings and files are ours; the service is where Caddy looks for it."""
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    services = compose["services"]
    ours = [one for one in services.values() if one["image"] == "streamferry"]
    assert {command_of(one["command"]) for one in ours} == {"serve", "worker"}
    named = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    assert {name for one in ours for name in one["environment"]} <= named
    assert (DEPLOY / ours[0]["build"]["context"] / ours[0]["build"]["dockerfile"]).is_file()
    (mounted,) = (one.partition(":")[0] for one in services["caddy"]["volumes"] if one.startswith("."))
    host, port = re.search(r"reverse_proxy (\w+):(\d+)", (DEPLOY / mounted).read_text()).groups()  # type: ignore[union-attr]
    assert host in services
    assert int(port) == Settings.model_fields["port"].default
