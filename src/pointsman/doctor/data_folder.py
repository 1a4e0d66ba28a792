"""The data folder has space, and only its owner can read it and the secrets."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from stat import S_IMODE, S_IRWXG, S_IRWXO, S_IWGRP, S_IWOTH

from pointsman.doctor.api import Finding, Subject, error, ok, warning

LITTLE_BYTES, NO_BYTES = 2 * 1024**3, 200 * 1024**2
_OTHERS = S_IRWXG | S_IRWXO


async def check(subject: Subject) -> list[Finding]:
    settings = subject.settings
    if settings is None:
        return []
    folder = settings.data_dir
    if not folder.exists():
        return [ok(f"{folder} does not exist yet; the first start creates it"), *_secrets(subject)]
    return [*_rights(folder), *_space(folder), *_secrets(subject)]


def _rights(folder: Path) -> list[Finding]:
    try:
        status = folder.stat()
        files = [one for one in folder.rglob("*") if not one.is_symlink()]
        open_ones = [one for one in (folder, *files) if S_IMODE(one.stat().st_mode) & _OTHERS]
    except OSError as problem:
        text = f"{problem.filename or folder} cannot be read: {problem.strerror}"
        return [error(text, f"run this command as the user of the gateway, or give that user {folder}")]
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return [error(f"{folder} cannot be written", f"give it to the user of the gateway: chown -R USER {folder}")]
    if status.st_uid != os.geteuid():
        text = f"{folder} belongs to the user {status.st_uid}, and this command runs as {os.geteuid()}"
        return [warning(text, "run the gateway and this command as the owner of the folder")]
    if open_ones:
        text = f"other users can read {_some(open_ones)}"
        return [warning(text, f"chmod -R go= {folder}")]
    return [ok(f"only its owner can read {folder}")]


def _space(folder: Path) -> list[Finding]:
    free = shutil.disk_usage(folder).free
    text = f"{free / 1024**3:.1f} GiB are free at {folder}"
    advice = (
        "free some space, lower store.keep_requests_days, or move data_dir; a full disk stops requests under limits"
    )
    if free < NO_BYTES:
        return [error(text, advice)]
    return [warning(text, advice) if free < LITTLE_BYTES else ok(text)]


def _secrets(subject: Subject) -> list[Finding]:
    """Return findings on the files with secrets, and on the configuration file."""
    found: list[Finding] = []
    settings = subject.settings
    files = {path for path in subject.checked.secret_files if path.is_file()}
    for tls in (settings.tls, settings.console_tls) if settings is not None else ():
        if tls is not None:
            files.add(Path(tls.key_file))
    readable = [path for path in sorted(files) if S_IMODE(path.stat().st_mode) & S_IRWXO]
    if readable:
        names = " ".join(map(str, readable))
        found.append(warning(f"every user can read the secrets in {_some(readable)}", f"chmod o= {names}"))
    config = Path(subject.name)
    if config.is_file() and S_IMODE(config.stat().st_mode) & (S_IWGRP | S_IWOTH):
        found.append(error(f"other users can change {config}, so they can read every key", f"chmod go-w {config}"))
    return found


def _some(paths: Iterable[Path]) -> str:
    names = list(map(str, paths))
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
