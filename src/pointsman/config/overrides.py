"""Settings from the command line or the environment; they replace those of the file.

`pointsman serve --listen` sets the variable, so that every process of the gateway, and the next one at a handover,
reads the same value. Containers and unit files can set the variables too.
"""

from collections.abc import Mapping
from pathlib import Path

from pointsman.config.addresses import parse_listen
from pointsman.config.problems import Findings
from pointsman.config.schema import Document

LISTEN = "POINTSMAN_LISTEN"
CONSOLE_LISTEN = "POINTSMAN_CONSOLE_LISTEN"
DATA_DIR = "POINTSMAN_DATA_DIR"
_OPTIONS = {LISTEN: "--listen", CONSOLE_LISTEN: "--console"}


def overridden(document: Document, environ: Mapping[str, str], findings: Findings) -> Document:
    """Return the document with the settings of the environment. A relative `data_dir` starts at the working folder."""
    changes: dict[str, object] = {}
    if listen := _address(environ, LISTEN, findings):
        changes["server"] = document.server.model_copy(update={"listen": listen})
    if console := _address(environ, CONSOLE_LISTEN, findings):
        changes["console"] = document.console.model_copy(update={"listen": console})
    if data_dir := environ.get(DATA_DIR):
        changes["data_dir"] = str(Path(data_dir).absolute())
    return document.model_copy(update=changes) if changes else document


def default_data_dir(environ: Mapping[str, str]) -> Path:
    """Return the data folder of a gateway without a configuration file: the same for every working folder."""
    if folder := environ.get(DATA_DIR):
        return Path(folder).absolute()
    if state := environ.get("XDG_STATE_HOME"):
        return Path(state) / "pointsman"
    home = environ.get("HOME")
    return Path(home) / ".local" / "state" / "pointsman" if home else Path("data").absolute()


def _address(environ: Mapping[str, str], variable: str, findings: Findings) -> str | None:
    text = environ.get(variable)
    if not text:
        return None
    try:
        parse_listen(text)
    except ValueError as error:
        findings.error((), f"{_OPTIONS[variable]} or {variable}: {error}")
        return None
    return text
