"""The documented start of a container and of a systemd service, each as its user and in its own root folder.

There is no container engine where tests run. So the contents of an image are mounted into a separate root: Python is
read-only, root owns the configuration, and the user can write its home. The user, folder, variables and command come
from the Dockerfile itself.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIG = """\
providers: {openai: env.OPENAI_API_KEY}
governance: {virtual_keys: {notebook: {value: env.NOTEBOOK_KEY}}}
"""
SECRETS = {"OPENAI_API_KEY": "sk-x", "NOTEBOOK_KEY": "a-key-of-more-than-twenty-characters"}

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or any(shutil.which(name) is None for name in ("unshare", "chroot", "mount", "ip")),
    reason="a root of one's own needs to be root, and needs unshare, chroot, mount and ip (apt-get install iproute2)",
)


def dockerfile() -> dict[str, str]:
    """Return the last instruction of each kind, of the last stage."""
    text = (ROOT / "Dockerfile").read_text().rpartition("\nFROM ")[2].replace("\\\n", " ")
    return {line.partition(" ")[0]: line.partition(" ")[2].strip() for line in text.splitlines() if line[:1].isupper()}


def start(folder: Path, *, user: int, home: str, cwd: str, environ: dict[str, str], command: list[str]) -> str:
    """Start the gateway in its own root, wait until both addresses are ready, and return the output."""
    config = folder / "pointsman.yaml"
    config.write_text(CONFIG)
    config.chmod(0o644)
    paths = (sys.base_prefix, sys.prefix, str(ROOT), "/usr", "/lib", "/lib64", "/bin")
    variables = {
        "R": str(folder / "root"),
        "MOUNTS": " ".join(dict.fromkeys(path for path in paths if Path(path).exists())),
        "OWNER": str(user),
        "HOME_DIR": home,
        "CONFIG": str(config),
        "PYTHON": sys.executable,
        "ASK": "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=5).read().decode())",
        "VARIABLES": " ".join(shlex.quote(f"{name}={value}") for name, value in environ.items()),
        "COMMAND": f"cd {cwd} && exec {shlex.join(command)}",
    }
    script = str(Path(__file__).with_name("own_root.sh"))
    done = subprocess.run(
        ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "bash", script],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if "Operation not permitted" in done.stderr and "unshare" in done.stderr:
        pytest.skip(f"namespaces are not to be had here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count('"status":"ok"') == 2, done.stdout + done.stderr
    return done.stdout


def test_container_starts_as_documented(tmp_path: Path) -> None:
    instructions = dockerfile()
    environ = dict(part.split("=", 1) for part in shlex.split(instructions["ENV"])) | SECRETS
    environ["PATH"] = (
        environ["PATH"].replace("/opt/pointsman/bin", f"{sys.prefix}/bin").replace("$PATH", "/usr/bin:/bin")
    )
    command = json.loads(instructions["ENTRYPOINT"]) + json.loads(instructions["CMD"])
    home = instructions["WORKDIR"]
    out = start(tmp_path, user=int(instructions["USER"]), home=home, cwd=home, environ=environ, command=command)
    assert re.search(r"^drwx------ 10001 data$", out, re.MULTILINE), out


def test_service_starts_as_its_unit_defines(tmp_path: Path) -> None:
    unit = (ROOT / "deploy" / "pointsman.service").read_text()
    fields = dict(line.split("=", 1) for line in unit.splitlines() if re.match(r"[A-Z]\w+=", line))
    variables = dict(
        line.split("=", 1)[1].split("=", 1) for line in unit.splitlines() if line.startswith("Environment=")
    )
    state = f"/var/lib/{fields['StateDirectory']}"
    variables = {name: value.replace("%S", "/var/lib") for name, value in variables.items()} | SECRETS
    command = shlex.split(fields["ExecStart"])
    command[0] = f"{sys.prefix}/bin/pointsman"
    out = start(tmp_path, user=10001, home=state, cwd="/", environ=variables, command=command)
    assert re.search(r"10001 (.*/)?journal$", out, re.MULTILINE), out
