"""The image and the manifests, checked offline: no cluster, no registry.

The operator's package ships the schemas its resources are checked with in a cluster, complete pod
specifications included; the same pod schema serves for the scheduled job. Unlike a cluster, which
drops unknown fields silently, the checks here refuse them.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
MANIFESTS = DEPLOY / "kubernetes"
TRAINING = {"tensorflow", "autokeras", "keras", "tensorboard", "keras-tuner"}
POD_PATHS = {
    "DaskCluster": (("scheduler", "spec"), ("worker", "spec")),
    "CronJob": (("jobTemplate", "spec", "template", "spec"),),
}


def manifests() -> dict[str, dict[str, Any]]:
    """Resources by kind; there is one of each."""
    files = sorted(MANIFESTS.glob("*.yaml"))
    found = [doc for f in files for doc in yaml.safe_load_all(f.read_text(encoding="utf-8"))]
    by_kind = {doc["kind"]: doc for doc in found}
    assert len(by_kind) == len(found)
    return by_kind


def dig(node: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        node = node[key]
    return node


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    for kind, paths in POD_PATHS.items():
        for path in paths:
            yield f"{kind} {path[0]}", dig(manifests()[kind]["spec"], path)


def operator_schema(name: str) -> dict[str, Any]:
    """The operator's own schema of a resource, made to refuse unknown fields."""
    spec = importlib.util.find_spec("dask_kubernetes")
    if spec is None or spec.origin is None:
        pytest.skip("dask-kubernetes is not installed")
    crds = Path(spec.origin).parent / "operator/deployment/helm/dask-kubernetes-operator/crds"
    text = (crds / f"{name}.yaml").read_text(encoding="utf-8")
    # A megabyte of YAML: libyaml's parser where there is one.
    crd = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    schema: dict[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return strict({**schema, "properties": {**schema["properties"], **ENVELOPE}})


ENVELOPE = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {}}


def strict(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    closed = {
        key: {name: strict(sub) for name, sub in value.items()}
        if key == "properties"
        else strict(value)
        for key, value in schema.items()
        if key != "format"
    }
    if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        closed.setdefault("additionalProperties", False)
    return closed


@pytest.mark.parametrize("kind", ["DaskCluster", "DaskAutoscaler"])
def test_resources_keep_the_operators_schema(kind: str) -> None:
    jsonschema.validate(manifests()[kind], operator_schema(kind.lower()))


def test_schema_check_refuses_a_misspelt_field() -> None:
    schema, cluster = operator_schema("daskcluster"), manifests()["DaskCluster"]
    cluster["spec"]["worker"]["spec"]["containers"][0]["imagePulPolicy"] = "Always"
    with pytest.raises(jsonschema.ValidationError, match="imagePulPolicy"):
        jsonschema.validate(cluster, schema)


def test_job_pod_keeps_the_pod_schema() -> None:
    schema = operator_schema("daskcluster")
    pod_schema = dig(schema, ("properties", "spec", "properties", "worker", "properties", "spec"))
    pod = dig(manifests()["CronJob"]["spec"], POD_PATHS["CronJob"][0])
    jsonschema.validate(pod, pod_schema)


def test_cronjob_is_what_kubernetes_requires() -> None:
    job = manifests()["CronJob"]
    assert job["apiVersion"] == "batch/v1"
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?", job["metadata"]["name"])
    spec = job["spec"]
    fields = spec["schedule"].split()
    assert [bool(re.fullmatch(r"\*|\d{1,2}", field)) for field in fields] == [True] * 5
    assert spec["concurrencyPolicy"] == "Forbid"
    work = spec["jobTemplate"]["spec"]
    # A pod failure policy is accepted with this restart policy only.
    assert work["template"]["spec"]["restartPolicy"] == "Never"
    assert work["activeDeadlineSeconds"] < 24 * 3600
    rule = work["podFailurePolicy"]["rules"][0]
    names = {c["name"] for c in work["template"]["spec"]["containers"]}
    assert rule["onExitCodes"]["containerName"] in names


def test_job_does_not_retry_what_the_command_calls_final() -> None:
    from aktes_xr.cli.console import BAD_INPUT, BUSY, KEPT, PARTIAL

    work = manifests()["CronJob"]["spec"]["jobTemplate"]["spec"]
    rule = work["podFailurePolicy"]["rules"][0]
    assert rule["action"] == "FailJob"
    assert rule["onExitCodes"]["values"] == [BAD_INPUT, PARTIAL, KEPT, BUSY]


def job_container() -> dict[str, Any]:
    pod = dig(manifests()["CronJob"]["spec"], POD_PATHS["CronJob"][0])
    return next(c for c in pod["containers"] if c["name"] == "retrieve")


def test_job_command_parses_and_keeps_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    import typer.main

    from aktes_xr.cli import app

    container = job_container()
    # No shell in between: the exit code is the command's.
    assert container["command"] == ["tini", "--", "aktes"]
    name, *options = container["args"]
    settings = manifests()["ConfigMap"]["data"]
    for variable, value in settings.items():
        monkeypatch.setenv(variable, value)
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    context = command.make_context(name, options)  # raises on what the command does not know
    assert context.params["out"] == settings["AKTES_OUT"]
    assert str(context.params["method"]) == settings["AKTES_METHOD"]
    mounts = [m["mountPath"] for m in container["volumeMounts"]]
    assert str(Path(settings["AKTES_OUT"]).parent) in mounts
    known = {getattr(p, "envvar", None) for p in command.params}
    assert set(manifests()["ConfigMap"]["data"]) <= known
    assert container["envFrom"] == [
        {"configMapRef": {"name": manifests()["ConfigMap"]["metadata"]["name"]}}
    ]


def test_job_settings_name_a_shipped_source_and_method() -> None:
    from aktes_xr.retrieval import METHODS
    from aktes_xr.stac import sources

    settings = manifests()["ConfigMap"]["data"]
    assert sources()[settings["AKTES_SOURCE"]].content == "thermal"
    assert sources()[settings["AKTES_DEM"]].content == "elevation"
    assert settings["AKTES_METHOD"] in METHODS
    west, south, east, north = map(float, settings["AKTES_BBOX"].split(","))
    assert west < east
    assert south < north


def test_job_meets_the_cluster_at_its_service() -> None:
    """The operator names the scheduler's service after the cluster."""
    cluster = manifests()["DaskCluster"]
    name = cluster["metadata"]["name"]
    ports = {p["name"]: p["port"] for p in cluster["spec"]["scheduler"]["service"]["ports"]}
    address = {e["name"]: e.get("value") for e in job_container()["env"]}["DASK_SCHEDULER_ADDRESS"]
    assert address == f"tcp://{name}-scheduler:{ports['tcp-comm']}"
    assert cluster["spec"]["scheduler"]["service"]["selector"] == {
        "dask.org/cluster-name": name,
        "dask.org/component": "scheduler",
    }
    assert manifests()["DaskAutoscaler"]["spec"]["cluster"] == name


@pytest.mark.parametrize("where", [name for name, _ in pods()])
def test_pods_run_the_one_image_unprivileged_within_limits(where: str) -> None:
    pod = dict(pods())[where]
    override = manifests()["Kustomization"]["images"][0]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    volumes = {v["name"] for v in pod["volumes"]}
    for container in pod["containers"]:
        name, _, tag = container["image"].partition(":")
        assert name == override["name"]
        assert tag == override["newTag"] == importlib.metadata.version("aktes-xr")
        assert container["resources"]["requests"].keys() >= {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["readOnlyRootFilesystem"] is True
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert {m["name"] for m in container["volumeMounts"]} == volumes


def test_credentials_come_from_secrets_only() -> None:
    suspicious = re.compile(r"KEY|TOKEN|SECRET|PASSWORD", re.IGNORECASE)
    seen = 0
    for _, pod in pods():
        for container in pod["containers"]:
            for variable in container.get("env", []):
                if suspicious.search(variable["name"]):
                    assert set(variable) == {"name", "valueFrom"}
                    assert "secretKeyRef" in variable["valueFrom"]
                    seen += 1
    assert seen
    assert not [key for key in manifests()["ConfigMap"]["data"] if suspicious.search(key)]
    assert "Secret" not in manifests()


def test_worker_memory_limit_is_the_containers() -> None:
    (worker,) = dict(pods())["DaskCluster worker"]["containers"]
    arguments = dict(zip(worker["args"], worker["args"][1:], strict=False))
    assert arguments["--memory-limit"] == worker["resources"]["limits"]["memory"] + "B"
    assert arguments["--nthreads"] == worker["resources"]["requests"]["cpu"]


def test_results_volume_is_shared_by_workers_and_job() -> None:
    claim = manifests()["PersistentVolumeClaim"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    for where in ("DaskCluster worker", "CronJob jobTemplate"):
        claims = [v.get("persistentVolumeClaim", {}) for v in dict(pods())[where]["volumes"]]
        assert {"claimName": claim["metadata"]["name"]} in claims


def test_kustomize_applies_the_one_image_everywhere(tmp_path: Path) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed")
    shutil.copytree(MANIFESTS, tmp_path / "k")
    setting = tmp_path / "k" / "kustomization.yaml"
    setting.write_text(setting.read_text().replace("newName: aktes-xr", "newName: registry/aktes"))
    done = subprocess.run(
        [kubectl, "kustomize", str(tmp_path / "k")], capture_output=True, text=True, check=True
    )
    built = list(yaml.safe_load_all(done.stdout))
    assert {doc["kind"] for doc in built} == set(manifests()) - {"Kustomization"}
    images = re.findall(r"image: (\S+)", done.stdout)
    assert len(images) == 3
    assert set(images) == {"registry/aktes:" + importlib.metadata.version("aktes-xr")}


def dockerfile_instructions() -> list[str]:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return "\n".join(lines).replace("\\\n", " ").splitlines()


def test_image_stages_build_on_each_other() -> None:
    stages = [line.split()[1::2] for line in dockerfile_instructions() if line.startswith("FROM ")]
    names = [name for _, name in stages]
    assert names == ["base", "wheel", "worker", "hub"]
    assert {name: base for base, name in stages}["hub"] == "worker"


def test_image_copies_what_exists_and_ends_unprivileged() -> None:
    instructions = dockerfile_instructions()
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignored
    for line in instructions:
        if line.startswith("COPY ") and "--from" not in line:
            for source in [w for w in line.split()[1:-1] if not w.startswith("--")]:
                assert (ROOT / source).exists(), line
                assert f"!{source}" in ignored, f"{source} never reaches the build"
    users = [line.split()[1] for line in instructions if line.startswith("USER ")]
    assert users[-1] == "1000"
    assert (
        manifests()["DaskCluster"]["spec"]["worker"]["spec"]["securityContext"]["runAsUser"] == 1000
    )


def test_image_takes_versions_from_the_lock() -> None:
    installs = [
        line for line in dockerfile_instructions() if re.search(r"pip install(?! --no-deps)", line)
    ]
    assert len(installs) == 2
    assert all("--constraint /opt/aktes/requirements.lock" in line for line in installs)


def names_in(text: str) -> set[str]:
    """Normalised distribution names, one per line."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {re.split(r"[\[=<>;\s]", line)[0].lower().replace("_", "-") for line in lines}


def test_worker_installs_everything_but_the_training_side() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = names_in("\n".join(project["dependencies"])) - TRAINING
    jobs = names_in("\n".join(project["optional-dependencies"]["jobs"]))
    listed = names_in((DEPLOY / "worker.txt").read_text(encoding="utf-8"))
    assert listed == wanted | jobs
    assert listed <= names_in((ROOT / "requirements.lock").read_text(encoding="utf-8"))


def test_readme_names_what_an_installation_without_training_lacks() -> None:
    """What `pip check` complains of there is what training needs, and no more."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (commands,) = re.findall(r"```\n([^`]*deploy/worker\.txt.*?)```", readme, re.DOTALL)
    assert all((ROOT / name).exists() for name in re.findall(r"-[cr] (\S+)", commands))
    assert "--no-deps ." in commands
    (sentence,) = re.findall(r"`pip check` then names (.*?), and nothing else", readme, re.DOTALL)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lacking = names_in("\n".join(project["dependencies"])) & TRAINING
    assert set(re.findall(r"`([\w-]+)`", sentence)) == lacking


def test_nothing_the_worker_installs_brings_tensorflow_back() -> None:
    todo = list(names_in((DEPLOY / "worker.txt").read_text(encoding="utf-8")))
    seen: set[str] = set()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            required = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # an optional package this environment lacks
        todo += names_in("\n".join(line for line in required if "extra ==" not in line))
    assert len(seen) > 40
    assert not seen & TRAINING
