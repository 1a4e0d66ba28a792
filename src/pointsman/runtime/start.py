"""Starts a gateway: reads the configuration, writes it for the processes, and supervises them."""

import logging
import os
import re
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from pointsman.config.compile import Checked, compile_file
from pointsman.config.defaults import Default, compile_default, default_document
from pointsman.config.kept import compile_again, kept_resources
from pointsman.config.key_table import FileKeys
from pointsman.config.live_keys import generation_of, open_for_writing
from pointsman.config.load import load
from pointsman.config.overrides import DATA_DIR, default_data_dir
from pointsman.config.problems import Problem
from pointsman.config.snapshot_file import Compiled, SnapshotError, write_snapshot
from pointsman.config.whole_file import write_whole
from pointsman.domain.identity import KeysUnavailableError
from pointsman.runtime.safe_path import python
from pointsman.runtime.sockets import SupervisorError, lock_data_dir
from pointsman.runtime.supervisor import HANDOVER, REHEARSAL, Supervisor, check_handover
from pointsman.runtime.tasks import log_to_stderr

SNAPSHOT = "snapshot"  # the name of the file in the data folder
VIRTUAL_KEY = "virtual-key"  # the digest of the key that was generated without a configuration file


def start_or_exit(config: Path | None, environ: Mapping[str, str]) -> Compiled:
    """Return the configuration in the file, or one generated from the environment. Exit with 1 if it has errors."""
    if config is not None:
        checked = _configured(config, environ)
    elif HANDOVER in environ or REHEARSAL in environ:
        checked = _running_configuration(environ)
    else:
        checked = _generated_configuration(Path.cwd(), environ)
    for problem in checked.problems:
        if problem.severity == "note":  # `pointsman check` prints it
            continue
        line = (
            f"{config}:{problem.line or 1}: " if config is not None and (problem.line or not problem.resource) else ""
        )
        print(f"{line}{problem.severity}: {problem}", file=sys.stderr)  # noqa: T201
    if checked.compiled is None:
        sys.exit(1)
    return checked.compiled


def _configured(config: Path, environ: Mapping[str, str]) -> Checked:
    """Compile a file, with the resources that were made by API. Until control has read the store, they are those of the
    snapshot file."""
    content = b""
    with suppress(OSError):
        content = config.read_bytes()
    document = load(content).document
    if document is None:
        return compile_file(config, environ)
    folder = environ.get(DATA_DIR) or config.absolute().parent / document.data_dir
    return compile_file(config, environ, kept_resources(Path(folder) / SNAPSHOT))


def _keep_policies(start: Compiled) -> None:
    """Keep the compiled policies of keys made by API in their file, and make the file if there is none: workers look
    there before control has begun. Raises `KeysUnavailableError`."""
    live, snapshot = open_for_writing(start.settings.data_dir), start.snapshot
    if isinstance(snapshot.virtual_keys, FileKeys):
        live.keep_compiled(generation_of(snapshot.digest), snapshot.virtual_keys.policies)
    live.close()


def _running_configuration(environ: Mapping[str, str]) -> Checked:
    """Compile the configuration that the running gateway generated. Its key was printed once, so it must stay valid."""
    path = default_data_dir(environ) / SNAPSHOT
    try:
        return Checked(compile_again(path, environ), ())
    except OSError as error:
        return Checked(None, (Problem("", f"{path} cannot be read: {error.strerror}"),))
    except SnapshotError as error:
        return Checked(None, (Problem("", str(error)),))


def _generated_configuration(folder: Path, environ: Mapping[str, str]) -> Checked:
    """Generate a configuration from the environment alone. Its virtual key remains valid after restarts."""
    key_file = default_data_dir(environ) / VIRTUAL_KEY
    try:
        default = default_document(environ, _digest_in(key_file))
        if isinstance(default, Problem):
            return Checked(None, (default,))
        if default.virtual_key is not None:
            key_file.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
            write_whole(key_file, sha256(default.virtual_key.encode()).hexdigest().encode() + b"\n")
    except OSError as error:
        message = f"{key_file} cannot be used: {error.strerror}; choose another folder with --data-dir"
        return Checked(None, (Problem("", message),))
    except ValueError as error:
        return Checked(None, (Problem("", str(error)),))
    _print_setup(default, key_file)
    kept = kept_resources(default_data_dir(environ) / SNAPSHOT)
    return compile_default(default, environ, folder, kept)


def _digest_in(key_file: Path) -> str | None:
    """Return the digest in the file, or `None` if there is no file. Raises `OSError`, and `ValueError` for any other
    content."""
    try:
        text = key_file.read_text().strip()
    except FileNotFoundError:
        return None
    if re.fullmatch("[0-9a-f]{64}", text) is None:
        raise ValueError(f"{key_file} contains no digest of a virtual key; delete the file to generate a new key")
    return text


def _print_setup(default: Default, key_file: Path) -> None:
    """Print the providers found and their use to standard error, because the request log uses standard output."""
    names = list(default.document.providers)
    key = (
        f"virtual key (shown only once; it remains valid after restarts): {default.virtual_key}"
        if default.virtual_key is not None
        else f"the virtual key printed at the first start is still valid; delete {key_file} to generate a new one"
    )
    print(  # noqa: T201
        f"providers found in the environment: {', '.join(names)}; request models as {names[0]}/<model>\n"
        f"data folder: {key_file.parent}\n{key}",
        file=sys.stderr,
    )


def serve(start: Compiled, config: Path | None, welcome: str = "") -> int:
    """Serve until a signal ends it. `welcome` is printed once the gateway listens. Return the exit code.

    In the rehearsal of a handover, run only the steps that can fail, and return.
    """
    settings = start.settings
    log_to_stderr(settings.log_level)
    logger = logging.getLogger("pointsman")
    path = settings.data_dir / SNAPSHOT
    try:
        if REHEARSAL in os.environ:
            check_handover(os.environ[REHEARSAL], settings)
        elif HANDOVER not in os.environ:
            # Before any write: a second gateway must not overwrite the files of the first.
            os.close(lock_data_dir(settings.data_dir))
        if settings.log_file is not None:
            os.close(os.open(settings.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
        if REHEARSAL in os.environ:
            with tempfile.TemporaryDirectory(dir=settings.data_dir) as folder:
                write_snapshot(Path(folder) / SNAPSHOT, start)
            return 0
        _keep_policies(start)
        write_snapshot(path, start)
    except (KeysUnavailableError, SupervisorError) as error:
        logger.error("%s", error)  # noqa: TRY400 -- a traceback would not help
        return 1
    except OSError as error:
        logger.error("%s cannot be written: %s", error.filename or path, error.strerror)  # noqa: TRY400
        return 1
    command = [*python("pointsman"), *sys.argv[1:]]
    file = config.absolute() if config is not None else None
    supervisor = Supervisor(settings, start.snapshot, path.absolute(), file, command)
    try:
        return supervisor.run(welcome)
    except SupervisorError as error:
        logger.error("%s", error)  # noqa: TRY400
        return 1
