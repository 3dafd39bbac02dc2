"""What the image would run, without an engine: files that are linted, a program from the wheel.

No container is made here: what an engine does with the files, these tests do not see.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
import yaml
from psycopg.conninfo import make_conninfo

import manifests
from bot.sandbox import ports
from bot.sandbox.client import Sandbox
from bot.sandbox.house import COMPANY, MANIFESTS
from bot.settings import Settings
from storage.secrets import new_key
from tests.support import web
from tests.support.postgres import own_cluster
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
VENV = Path(sys.prefix)
TOOLS, BARE = VENV / "image" / "bin", VENV / "bare"
ENDS_WITHIN = 15  # seconds that the examples give it to stop


def run(*command: str | Path) -> str:
    """Run a program; what it says is shown where it fails."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def instructions() -> list[tuple[str, str]]:
    """Return the Dockerfile's instructions, each a word and the rest of its line."""
    text = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line and line[0] != "#"]
    return [(word, rest) for word, rest in lines]


def said(word: str) -> str:
    """Return what the last of these instructions says."""
    return [rest for found, rest in instructions() if found == word][-1]


@pytest.fixture(scope="module")
def latchkey(tmp_path_factory):
    """The program, from a wheel of this tree, in a venv that has nothing else of it."""
    built = tmp_path_factory.mktemp("wheel")
    pip = (BARE / "bin" / "pip", "--disable-pip-version-check", "--quiet")
    run(*pip, "wheel", "--no-deps", "--wheel-dir", built, ".")
    (wheel,) = built.glob("*.whl")
    run(*pip, "install", "--no-deps", "--force-reinstall", wheel)
    return BARE / "bin" / "latchkey"


def test_dockerfile_passes_hadolint():
    run(TOOLS / "hadolint", "Dockerfile")


def test_compose_file_is_one():
    run(TOOLS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml")


def test_kubernetes_example_is_valid():
    run(TOOLS / "kubernetes-validate", "--strict", EXAMPLES / "kubernetes.yaml")


def test_systemd_unit_is_valid(tmp_path, latchkey):
    unit = tmp_path / "latchkey.service"
    text = (EXAMPLES / "latchkey.service").read_text()
    unit.write_text(text.replace("/opt/latchkey/bin/latchkey", str(latchkey)))
    assert run("systemd-analyze", "verify", unit) == ""


def test_all_that_the_dockerfile_copies_is_sent_to_the_engine():
    sources = [
        name
        for word, rest in instructions()
        if word == "COPY" and "--from" not in rest
        for name in rest.split()[:-1]
    ]
    kept = [
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] == "!"
    ]
    assert sorted(sources) == sorted(kept)
    assert all((ROOT / name).exists() for name in sources)
    assert not [name for name in (".git", ".env", "tests") if any(fnmatch(name, k) for k in kept)]


@pytest.mark.parametrize("file", ["compose.yaml", "docs/examples/kubernetes.yaml"])
def test_examples_set_what_can_be_set(file):
    named = set(re.findall(r"\b(?:SLACK|LATCHKEY)_[A-Z_]+\b", (ROOT / file).read_text()))
    assert named
    assert named <= {field.alias for field in Settings.model_fields.values()}


def test_company_of_the_kubernetes_example_can_be_taken_in(tmp_path):
    documents = list(yaml.safe_load_all((EXAMPLES / "kubernetes.yaml").read_text()))
    (company,) = [d["data"] for d in documents if d["kind"] == "ConfigMap"]
    for name, text in company.items():
        (tmp_path / name).write_text(text)
    listed = manifests.load(tmp_path)
    assert listed.people
    assert listed.flows


def test_the_compose_files_database_has_two_roles_and_the_doctor_is_green(latchkey, tmp_path):
    """Latchkey ran there as the server's superuser, who could rewrite the audit."""
    secrets = tmp_path / "secrets"
    secrets.mkdir(mode=0o700)
    text = (ROOT / "compose.yaml").read_text()
    services = yaml.safe_load(text)["services"]
    with (
        own_cluster() as cluster,
        Sandbox.start(
            manifest=MANIFESTS / "slack-app.yaml", workspace=COMPANY / "workspace.yaml"
        ) as slack,
    ):
        system = make_conninfo(cluster.latchkey_dsn(), user="of_a_system")
        with psycopg.connect(cluster.superuser_dsn(), autocommit=True) as superuser:
            superuser.execute("alter role latchkey rename to of_a_system")
        (secrets / "owner_password").write_text("it's the owner's\n")
        (secrets / "runner_password").write_text("it's the runner's\n")
        for url, name in re.findall(r"# (postgresql:\S+)\n  (\w+): \{", text):
            of = {"RUNNER": "it's the runner's", "OWNER": "it's the owner's"}
            for word, password in of.items():
                url = url.replace(word, quote(password))  # noqa: PLW2901  (it is filled in)
            socket_of = f"host={cluster.host}&port={cluster.port}"
            (secrets / name).write_text(url.replace("host=/var/run/postgresql", socket_of))
        hidden = {**slack.env(), "LATCHKEY_KEYS": new_key()}
        for name in ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "LATCHKEY_KEYS"):
            (secrets / name.lower()).write_text(hidden[name])
        script = (EXAMPLES / "roles.sql").read_text().replace("/run/secrets", str(secrets))
        (tmp_path / "roles.sql").write_text(script)

        # As the entry point of the server's image does it.
        psql = ("psql", "-v", "ON_ERROR_STOP=1", "--no-psqlrc", "-f", tmp_path / "roles.sql")
        run(cluster.bin / psql[0], *psql[1:], cluster.superuser_dsn())

        def told(service: str, *command: str) -> subprocess.CompletedProcess[str]:
            given = services[service]["environment"].items()
            env = {name: value.replace("/run/secrets", str(secrets)) for name, value in given}
            more = {"SLACK_API_URL": hidden["SLACK_API_URL"], "LATCHKEY_SANDBOX_PG": system}
            env |= {"LATCHKEY_MANIFESTS": str(COMPANY), "COLUMNS": "300", **more}
            return subprocess.run(
                [latchkey, *command], env=env, cwd=tmp_path, capture_output=True, text=True,
                check=False,
            )  # fmt: skip

        upgraded = told("upgrade", *services["upgrade"]["command"])
        assert upgraded.returncode == 0, upgraded.stderr
        doctor = told("latchkey", "doctor")
    assert "two: latchkey_owner owns the schema" in doctor.stdout
    assert doctor.returncode == 0, doctor.stdout


def test_program_runs_from_the_wheel_as_the_image_runs_it(latchkey, tmp_path):
    """Settings, secrets in files, health and end are those of the image, and there is no more."""
    kept, etc, secrets = tmp_path / "var", tmp_path / "etc", tmp_path / "secrets"
    for folder in (kept, secrets):
        folder.mkdir(mode=0o700)
    shutil.copytree(COMPANY, etc)
    (port,) = ports.free()
    given = dict(re.findall(r"(\S+?)=(\S+)", said("ENV")))
    elsewhere = {
        "/var/lib/latchkey": str(kept),
        "/etc/latchkey": str(etc),
        "0.0.0.0:8081": f"127.0.0.1:{port}",
    }

    def placed(text: str) -> str:
        for of_image, here in elsewhere.items():
            text = text.replace(of_image, here)
        return text.replace("127.0.0.1:8081", f"127.0.0.1:{port}")

    with Sandbox.start(
        manifest=MANIFESTS / "slack-app.yaml", workspace=COMPANY / "workspace.yaml"
    ) as slack:
        hidden = {**slack.env(), "LATCHKEY_KEYS": new_key()}
        for name, value in hidden.items():
            (secrets / name).write_text(value)
        env = {name: placed(value) for name, value in given.items()}
        env["PATH"] = f"{latchkey.parent}:{os.environ['PATH']}"
        env |= {n: v if n.endswith("URL") else f"file:{secrets / n}" for n, v in hidden.items()}
        env["LATCHKEY_SANDBOX_PG"] = "host=127.0.0.1 port=9 dbname=none user=none password=none"
        command = json.loads(said("ENTRYPOINT")) + json.loads(said("CMD"))
        look = [placed(part) for part in json.loads(said("HEALTHCHECK").partition("CMD")[2])]
        log = kept / "log"
        with log.open("wb") as stderr:
            bot = subprocess.Popen(command, env=env, cwd=kept, stderr=stderr)
        try:
            wait_until(
                lambda: (
                    not subprocess.run(look, env=env, capture_output=True, check=False).returncode
                )
            )
            ready = f"http://127.0.0.1:{port}/readyz"
            wait_until(lambda: web.get(ready).is_success)
            bot.send_signal(signal.Signals[said("STOPSIGNAL")])
            assert bot.wait(ENDS_WITHIN) == 0
        finally:
            bot.kill()
            bot.wait()
    assert "Traceback" not in log.read_text()
    assert {file.name for file in kept.iterdir()} - {"log"} <= {
        f"latchkey.db{end}" for end in ("", "-wal", "-shm", ".lock", ".turn")
    }
