"""A plan as data and as text. Headers, logs and the command line print only this."""

from pointsman.domain.failures import Failure
from pointsman.domain.plans import Plan


def as_data(decision: Plan | Failure, now: float) -> dict[str, object]:
    """Return the decision as JSON-ready data."""
    if isinstance(decision, Failure):
        return {
            "refused": {
                "code": decision.kind.code,
                "status": decision.kind.status,
                "message": decision.message,
            }
        }
    return {
        "strategy": decision.strategy,
        "source": decision.source,
        "notes": list(decision.notes),
        "deadline_s": round(decision.deadline - now, 3),
        "max_attempts": decision.max_attempts,
        "attempts": [
            {
                "provider": choice.candidate.endpoint.name,
                "model": choice.candidate.model,
                "keys": [key.name for key in choice.keys],
                "weight": choice.candidate.weight,
                "variant": choice.candidate.variant,
                "provenance": choice.candidate.provenance,
            }
            for choice in decision.choices
        ],
        "verdicts": [
            {
                "candidate": verdict.candidate,
                "policy": verdict.policy,
                "code": verdict.reason.code,
                "message": verdict.reason.message,
                "last_resort": verdict.reason.is_last_resort,
            }
            for verdict in decision.verdicts
        ],
    }


def as_lines(decision: Plan | Failure, now: float) -> list[str]:
    """Return the decision as lines for a person to read."""
    if isinstance(decision, Failure):
        return [f"rejected: {decision.kind.status} {decision.kind.code}: {decision.message}"]
    limits = f"at most {decision.max_attempts} attempts within {decision.deadline - now:g} s"
    lines = [f"strategy {decision.strategy}, from {decision.source}; {limits}"]
    lines += [f"   {note}" for note in decision.notes]
    for number, choice in enumerate(decision.choices, 1):
        item = choice.candidate
        notes = [f"weight {item.weight:g}", item.provenance]
        if item.variant:
            notes.append(f"variant {item.variant}")
        keys = ", ".join(key.name for key in choice.keys)
        lines.append(f"{number:3}. {item.id}  ({', '.join(notes)}; keys {keys})")
    for verdict in decision.verdicts:
        if verdict.reason.code == "shortened":
            effect = "shortened"
        else:
            effect = "last resort" if verdict.reason.is_last_resort else "excluded"
        lines.append(f"   - {verdict.candidate} {effect} ({verdict.policy}): {verdict.reason.message}")
    return lines
