"""The running gateway is well, and serves the configuration of the file."""

from typing import Any

from pointsman.doctor.api import Finding, Subject, error, ok, skipped, warning

LAG_S = 5.0


async def check(subject: Subject) -> list[Finding]:
    """Read the state of a running gateway by its admin API."""
    if subject.settings is None:
        return []
    if not subject.is_running:
        return [skipped("no gateway uses this data folder now")]
    try:
        state = subject.ask("status")
    except OSError as problem:
        advice = "give the address and token of its console (--url and --token-file), or look into its log"
        return [error(str(problem), advice)]
    if state is None:
        return [skipped("runs, but its state needs the admin token; set POINTSMAN_ADMIN_TOKEN, or use --token-file")]
    return _of(state, subject) or [ok("runs well, with the configuration of the file")]


def _of(state: dict[str, Any], subject: Subject) -> list[Finding]:
    found: list[Finding] = []
    settings, snapshot = subject.settings, subject.snapshot
    assert settings is not None
    assert snapshot is not None
    serving = sum(not worker["draining"] for worker in state["workers"])
    if serving < settings.workers:
        text = f"{serving} of {settings.workers} workers serve"
        found.append(error(text, "look into the log for the reason; a changed number needs a restart or an upgrade"))
    if state["store"] != "ok":
        text = f"the store is away: {state['store']}"
        found.append(error(text, "make it available; requests beyond the leases are rejected until then"))
    elif state["caught_up_s"] is not None and state["caught_up_s"] > LAG_S:
        text = f"the store is {state['caught_up_s']:.0f} s behind the journals"
        found.append(warning(text, "check the load of the disk and the database"))
    if state["config_refused"]:
        text = f"the file on disk is not in force: {'; '.join(state['config_refused'])}"
        found.append(error(text, "correct the file"))
    elif state["digest"] != snapshot.digest:
        text = "the configuration in force is not that of this file and environment"
        advice = "reload the gateway (SIGHUP), or give this command the gateway's file and environment"
        found.append(warning(text, advice))
    return found
