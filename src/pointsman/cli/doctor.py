"""Examines an installation, and prints how to mend what it finds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pointsman.cli._admin import URL
from pointsman.cli._options import AsJson, TokenFile
from pointsman.cli._terminal import print_json, print_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pointsman.config.addresses import ListenAddress
    from pointsman.doctor.api import Finding, Subject

_MARKS = {"ok": "ok", "skipped": "-", "warning": "WARNING", "error": "ERROR"}


def command(
    config: Annotated[
        Path | None, typer.Option("--config", help="The configuration file. Default: the environment.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Connect to no provider.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Treat warnings as errors.")] = False,
    url: Annotated[
        str | None, typer.Option("--url", help="The address of the console. Default: that of the configuration.")
    ] = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Examine an installation: the configuration, keys, clock, data folder, store, journals, ports, certificates,
    catalog, the running gateway, and what others can reach. Print how to mend each fault.

    Exits with 0 if nothing is wrong and with 1 if there is an error. Run it as the gateway's user, with its
    environment. It changes nothing, and asks each provider for its list of models only.
    """
    import asyncio

    from pointsman.doctor import checks

    subject = _subject(config, url, token_file, is_online=not offline)
    found = asyncio.run(_examine(checks(), subject))
    levels = [finding.level for findings in found.values() for finding in findings]
    failed = "error" in levels or (strict and "warning" in levels)
    if as_json:
        import msgspec

        print_json({"passed": not failed, "checks": msgspec.to_builtins(found)})
    else:
        _print(found)
        print_line()
        print_line(f"{levels.count('error')} errors, {levels.count('warning')} warnings, {levels.count('ok')} ok")
    raise typer.Exit(1 if failed else 0)


async def _examine(checks: dict[str, Any], subject: Subject) -> dict[str, Sequence[Finding]]:
    """Run every check, one after the other. One that breaks is an error of its own."""
    from pointsman.doctor.api import error

    found: dict[str, Sequence[Finding]] = {}
    for name, check in checks.items():
        try:
            findings = await check(subject)
        except typer.BadParameter:  # of the address or the token
            raise
        except Exception as problem:  # noqa: BLE001 -- the other checks are of use without it
            text = f"the check itself failed: {type(problem).__name__}: {problem}"
            findings = [error(text, "this is a fault of the gateway; please report it")]
        if findings:
            found[name] = findings
    return found


def _subject(config: Path | None, url: str | None, token_file: Path | None, *, is_online: bool) -> Subject:
    import os
    import time

    from pointsman.config.compile import Checked, compile_file
    from pointsman.config.defaults import compile_default, default_document
    from pointsman.config.problems import Problem
    from pointsman.doctor.api import Subject

    if config is not None:
        checked = compile_file(config, os.environ)
    else:
        default = default_document(os.environ)
        checked = Checked(None, (default,)) if isinstance(default, Problem) else compile_default(default, os.environ)
    compiled = checked.compiled
    return Subject(
        name=str(config or "environment"),
        checked=checked,
        environ=os.environ,
        now=time.time(),
        is_online=is_online,
        is_running=compiled is not None and _is_running(compiled.settings.data_dir),
        ask=_asker(url or (_console(compiled.settings.console) if compiled is not None else URL), token_file),
    )


def _console(listen: ListenAddress) -> str:
    """Return the address at which this machine reaches the console."""
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(listen.host, listen.host)  # noqa: S104
    return f"http://[{host}]:{listen.port}" if ":" in host else f"http://{host}:{listen.port}"


def _is_running(data_dir: Path) -> bool:
    from pointsman.journal.lock import is_locked

    try:
        return is_locked(data_dir)
    except OSError:  # such as a folder of another user, which the check of the data folder reports
        return False


def _asker(url: str, token_file: Path | None) -> Callable[[str], Any]:
    import os

    from pointsman.cli._admin import VARIABLE, try_get

    def ask(path: str) -> Any:
        if token_file is None and not os.environ.get(VARIABLE):
            return None
        return try_get(url, path, token_file)

    return ask


def _print(found: dict[str, Sequence[Finding]]) -> None:
    width = max(map(len, found))
    for name, findings in found.items():
        for number, finding in enumerate(findings):
            print_line(f"{name if number == 0 else '':{width}}  {_MARKS[finding.level]:8}{finding.text}")
            if finding.advice:
                print_line(f"{'':{width}}  {'':8}→ {finding.advice}")
