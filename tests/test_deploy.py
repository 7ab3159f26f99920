"""The image and the manifests, checked offline: no cluster, no registry.

The operator's package ships the schemas its resources are checked with in a cluster, complete pod
specifications included; the same pod schema serves for the scheduled job. Unlike a cluster, which
drops unknown fields silently, the checks here refuse them.
"""

from __future__ import annotations

import configparser
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from aktes_xr.errors import ConfigError
from aktes_xr.jobs.config import Job, load_job

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
MANIFESTS = DEPLOY / "kubernetes"
NOTEBOOKS = MANIFESTS / "cluster" / "kustomization.yaml"
TRAINING = {"tensorflow", "autokeras", "keras", "tensorboard", "keras-tuner"}
POD_PATHS = {
    "DaskCluster": (("scheduler", "spec"), ("worker", "spec")),
    "CronJob": (("jobTemplate", "spec", "template", "spec"),),
}


def manifests() -> dict[str, dict[str, Any]]:
    """Resources by kind; there is one of each."""
    files = sorted(path for path in MANIFESTS.rglob("*.yaml") if path != NOTEBOOKS)
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
    from aktes_xr.cli.console import BAD_INPUT, BUSY, PARTIAL

    work = manifests()["CronJob"]["spec"]["jobTemplate"]["spec"]
    rule = work["podFailurePolicy"]["rules"][0]
    assert rule["action"] == "FailJob"
    assert rule["onExitCodes"]["values"] == [BAD_INPUT, PARTIAL, BUSY]


def job_container() -> dict[str, Any]:
    pod = dig(manifests()["CronJob"]["spec"], POD_PATHS["CronJob"][0])
    return next(c for c in pod["containers"] if c["name"] == "series")


def parsed(arguments: list[str]) -> dict[str, Any]:
    """What the command line makes of its arguments; it raises on what it does not know."""
    import typer.main

    from aktes_xr.cli import app

    name, *options = arguments
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    return dict(command.make_context(name, options).params)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    path = tmp_path / "job.toml"
    path.write_text(manifests()["ConfigMap"]["data"]["job.toml"], encoding="utf-8")
    return load_job(path)


def test_job_command_parses_and_keeps_its_exit_code(job: Job) -> None:
    container = job_container()
    # No shell in between: the exit code is the command's.
    assert container["command"] == ["tini", "--", "aktes"]
    mounts = {m["name"]: m["mountPath"] for m in container["volumeMounts"]}
    assert str(parsed(container["args"])["file"]) == f"{mounts['job']}/job.toml"
    assert str(Path(job.store.address).parent) == mounts["results"]
    pod = dig(manifests()["CronJob"]["spec"], POD_PATHS["CronJob"][0])
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    held = [one["configMap"]["name"] for one in volumes["job"]["projected"]["sources"]]
    (generated,) = manifests()["Kustomization"]["configMapGenerator"]
    assert held == [manifests()["ConfigMap"]["metadata"]["name"], generated["name"]]
    (file,) = generated["files"]
    assert str(job.cluster.manifest) == f"{mounts['job']}/{file.partition('=')[0]}"


def test_job_ends_by_itself_before_its_deadline(job: Job) -> None:
    work = manifests()["CronJob"]["spec"]["jobTemplate"]["spec"]
    assert job.budget.hours is not None
    assert job.budget.hours * 3600 < work["activeDeadlineSeconds"]


def test_job_names_shipped_sources(job: Job) -> None:
    from aktes_xr.jobs.dates import grid_of
    from aktes_xr.stac import sources

    assert [sources()[name].content for name in job.input.sources] == ["thermal"]
    assert job.input.dem is not None
    assert sources()[job.input.dem].content == "elevation"
    assert min(grid_of(job.region).shape) > 100


def test_job_starts_a_cluster_of_its_own_image(job: Job) -> None:
    from aktes_xr.jobs.cluster_resource import cluster_resource

    assert (job.cluster.kind, job.cluster.namespace) == ("kubernetes", "aktes")
    file = (
        MANIFESTS / manifests()["Kustomization"]["configMapGenerator"][0]["files"][0].split("=")[1]
    )
    settings = job.cluster.model_copy(update={"manifest": file, "image": "x@sha256:1"})
    resource = cluster_resource(settings)
    jsonschema.validate(resource, operator_schema("daskcluster"))
    named = [v["value"] for v in job_container()["env"] if v["name"].endswith("CLUSTER__IMAGE")]
    assert named == [job_container()["image"]]


def test_job_may_start_and_stop_its_cluster_and_little_else() -> None:
    pod = dict(pods())["CronJob jobTemplate"]
    account = manifests()["ServiceAccount"]["metadata"]["name"]
    binding, role = manifests()["RoleBinding"], manifests()["Role"]
    assert pod["serviceAccountName"] == account
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account}]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    wide = [rule for rule in role["rules"] if "*" in (*rule["verbs"], *rule["resources"])]
    assert not wide
    plain = [rule for rule in role["rules"] if rule["apiGroups"] == [""]]
    assert {verb for rule in plain for verb in rule["verbs"]} == {"get", "list", "watch"}
    assert not [rule for rule in plain if "secrets" in rule["resources"]]


def test_job_has_a_probe_that_knows_its_sign_of_life(job: Job, tmp_path: Path) -> None:
    probe = job_container()["livenessProbe"]["exec"]["command"]
    assert str(job.report.alive) in probe[-1]
    assert job.report.heartbeat_s < 10 * 60
    file = tmp_path / "alive"
    command = [*probe[:-1], probe[-1].replace(str(job.report.alive), str(file))]
    for age_s, alive in ((None, True), (5, True), (3600, False)):
        if age_s is not None:
            file.touch()
            os.utime(file, (time.time() - age_s, time.time() - age_s))
        assert (subprocess.run(command, check=False).returncode == 0) is alive


def test_compiled_kernels_lie_where_others_can_be_put_beside_them() -> None:
    image = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    assert "--home-dir /srv/aktes" in image
    for where in ("DaskCluster worker", "CronJob jobTemplate"):
        pod = dict(pods())[where]
        (first,) = pod["initContainers"]
        assert first["command"] == ["cp", "-r", "/srv/aktes/.cache/.", "/kernels/"]
        for container in pod["containers"]:
            assert {"name": "XDG_CACHE_HOME", "value": "/kernels"} in container["env"]


def test_notebooks_meet_the_cluster_at_its_service() -> None:
    """The operator names the scheduler's service after the cluster."""
    cluster = manifests()["DaskCluster"]
    name = cluster["metadata"]["name"]
    assert cluster["spec"]["scheduler"]["service"]["selector"] == {
        "dask.org/cluster-name": name,
        "dask.org/component": "scheduler",
    }
    assert manifests()["DaskAutoscaler"]["spec"]["cluster"] == name


@pytest.mark.parametrize(
    "kind",
    [
        *("Namespace", "ConfigMap", "CronJob", "NetworkPolicy", "PersistentVolumeClaim"),
        *("ServiceAccount", "Role", "RoleBinding"),
    ],
)
def test_resources_keep_kubernetes_own_schema(kind: str) -> None:
    check = pytest.importorskip("kubernetes_validate")
    check.validate(manifests()[kind], "1.30", strict=True)
    wrong = {**manifests()[kind], "speck": {}}
    with pytest.raises(check.ValidationError):
        check.validate(wrong, "1.30", strict=True)


def test_network_policy_lets_the_cluster_meet_and_the_operator_look() -> None:
    spec = manifests()["NetworkPolicy"]["spec"]
    assert (spec["podSelector"], spec["policyTypes"]) == ({}, ["Ingress", "Egress"])
    assert {"podSelector": {}} in spec["ingress"][0]["from"]
    ports = {port["port"] for port in spec["ingress"][1]["ports"]}
    cluster = manifests()["DaskCluster"]["spec"]
    assert {port["port"] for port in cluster["scheduler"]["service"]["ports"]} <= ports
    outside = [port["port"] for rule in spec["egress"] for port in rule.get("ports", ())]
    assert sorted(outside) == [53, 53, 443, 6443]


def test_scratch_space_has_a_limit() -> None:
    for where, pod in pods():
        scratch = [v["emptyDir"] for v in pod["volumes"] if "emptyDir" in v]
        assert scratch, where
        assert all(re.fullmatch(r"\d+Gi", found["sizeLimit"]) for found in scratch)


def test_systemd_service_runs_the_job_of_its_name() -> None:
    from aktes_xr.cli.console import BUSY, PARTIAL

    service = configparser.ConfigParser(interpolation=None, strict=False)
    service.optionxform = str  # type: ignore[assignment,method-assign]
    service.read(DEPLOY / "systemd" / "aktes-series@.service", encoding="utf-8")
    command, *arguments = service["Service"]["ExecStart"].split()
    assert command.endswith("/aktes")
    assert str(parsed(arguments)["file"]) == "/etc/aktes/%i.toml"
    assert service["Service"]["SuccessExitStatus"] == f"{PARTIAL} {BUSY}"
    timer = configparser.ConfigParser(interpolation=None)
    timer.read(DEPLOY / "systemd" / "aktes-series@.timer", encoding="utf-8")
    assert timer["Timer"]["Persistent"] == "true"


def test_systemd_units_are_understood_by_systemd() -> None:
    analyse = shutil.which("systemd-analyze")
    if analyse is None:
        pytest.skip("systemd is not installed")
    timer = DEPLOY / "systemd" / "aktes-series@.timer"
    done = subprocess.run(
        [analyse, "calendar", "*-*-* 02:30:00 UTC"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "OnCalendar=*-*-* 02:30:00 UTC" in timer.read_text(encoding="utf-8")


def test_workflow_runs_one_job_at_a_time_within_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (DEPLOY / "github" / "series.yaml").read_text(encoding="utf-8")
    workflow = yaml.safe_load(text)
    assert workflow["concurrency"] == {"group": "series", "cancel-in-progress": False}
    work = workflow["jobs"]["series"]
    (command,) = [step["run"] for step in work["steps"] if "aktes run" in step.get("run", "")]
    assert str(parsed(command.split()[1:])["file"]) == "job.toml"
    for name, value in work["env"].items():
        if name.startswith("AKTES_JOB__"):
            monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="could not read job"):
        load_job("job.toml")
    assert float(work["env"]["AKTES_JOB__BUDGET__HOURS"]) * 60 < work["timeout-minutes"]


@pytest.mark.parametrize("where", [name for name, _ in pods()])
def test_pods_run_the_one_image_unprivileged_within_limits(where: str) -> None:
    pod = dict(pods())[where]
    override = manifests()["Kustomization"]["images"][0]
    # Only the job asks Kubernetes for anything.
    assert pod["automountServiceAccountToken"] is where.startswith("CronJob")
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    volumes = {v["name"] for v in pod["volumes"]}
    for container in (*pod.get("initContainers", ()), *pod["containers"]):
        name, _, tag = container["image"].partition(":")
        assert name == override["name"]
        assert tag == override["newTag"] == importlib.metadata.version("aktes-xr")
        assert container["resources"]["requests"].keys() >= {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["readOnlyRootFilesystem"] is True
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert {m["name"] for m in container["volumeMounts"]} <= volumes
    used = {m["name"] for container in pod["containers"] for m in container["volumeMounts"]}
    assert used == volumes


def test_credentials_come_from_secrets_only() -> None:
    suspicious = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|WEBHOOK", re.IGNORECASE)
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
    digest = "sha256:" + 64 * "a"
    by_digest = f"newName: registry/aktes\n    digest: {digest}"
    tag = f'newName: aktes-xr\n    newTag: "{importlib.metadata.version("aktes-xr")}"'
    assert tag in setting.read_text()
    setting.write_text(setting.read_text().replace(tag, by_digest))
    built = list(yaml.safe_load_all(kustomized(kubectl, tmp_path / "k")))
    notebooks = {"Kustomization", "DaskCluster", "DaskAutoscaler"}
    assert {doc["kind"] for doc in built} == set(manifests()) - notebooks
    (job,) = [doc for doc in built if doc["kind"] == "CronJob"]
    pod = dig(job["spec"], POD_PATHS["CronJob"][0])
    expected = f"registry/aktes@{digest}"
    containers = [*pod["initContainers"], *pod["containers"]]
    assert [one["image"] for one in containers] == [expected, expected]
    (named,) = [v for v in containers[1]["env"] if v["name"] == "AKTES_JOB__CLUSTER__IMAGE"]
    assert named["value"] == expected
    (template,) = [doc for doc in built if doc["metadata"]["name"] == "aktes-cluster"]
    assert yaml.safe_load(template["data"]["cluster.yaml"])["kind"] == "DaskCluster"
    for_notebooks = list(yaml.safe_load_all(kustomized(kubectl, tmp_path / "k" / "cluster")))
    assert {doc["kind"] for doc in for_notebooks} == {"DaskCluster", "DaskAutoscaler"}


def kustomized(kubectl: str, folder: Path) -> str:
    command = [kubectl, "kustomize", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


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


def test_start_names_what_an_installation_without_training_lacks() -> None:
    """What `pip check` complains of there is what training needs, and no more."""
    page = (ROOT / "notebooks" / "start.md").read_text(encoding="utf-8")
    (commands,) = re.findall(r"```\n([^`]*deploy/worker\.txt.*?)```", page, re.DOTALL)
    assert all((ROOT / name).exists() for name in re.findall(r"-[cr] (\S+)", commands))
    assert "--no-deps ." in commands
    (sentence,) = re.findall(r"`pip check` then names (.*?), and nothing else", page, re.DOTALL)
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
