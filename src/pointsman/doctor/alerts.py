"""Alerts reach somebody."""

from pointsman.doctor.api import Finding, Subject, error, ok, skipped, warning

_TEST = "mend the receiver or the channel, and try it with `pointsman alerts --test RULE`"


async def check(subject: Subject) -> list[Finding]:
    """Examine the channels. Those of a running gateway are known by its admin API."""
    compiled = subject.checked.compiled
    if compiled is None:
        return []
    alerts = compiled.telemetry.alerts
    if alerts is None:
        return [skipped("none are configured")]
    mute = [rule.name for rule in alerts.rules if not rule.channels]
    if mute:
        text = f"{len(mute)} rules have no channel, such as {mute[0]}, so nobody gets a message about them"
        return [warning(text, "add a channel to alerts.channels")]
    if not subject.is_running:
        return [ok(f"{len(alerts.rules)} rules have channels")]
    try:
        state = subject.ask("alerts")
    except OSError:  # the check of the gateway reports it
        return []
    if state is None:
        return [skipped("the state of channels needs the admin token; set POINTSMAN_ADMIN_TOKEN, or use --token-file")]
    found = [error(state["problem"], "look into the log, and check the store")] if state["problem"] else []
    found += [
        error(f"the channel {one['name']} takes no messages: {one['problem']}", _TEST)
        for one in state["channels"]
        if one["problem"]
    ]
    return found or [ok(f"{len(alerts.rules)} rules are evaluated, and no channel has failed")]
