"""Prints the targets of public names side by side."""

from typing import Annotated, Any

import typer

from pointsman.cli._admin import URL
from pointsman.cli._options import AsJson, TokenFile, Url
from pointsman.cli._terminal import print_json, print_line, print_table

_NUMBERS = (
    "configured",
    "observed",
    "requests",
    "success",
    "TTFT p50",
    "TTFT p95",
    "cost",
    "refusals",
    "feedback",
)


def command(
    model: Annotated[str | None, typer.Argument(help="Only this public name.", show_default=False)] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", help="The start in UTC: a date, a date with a time, or Unix seconds. Default: 30 days."
        ),
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="The end, exclusive, in the same formats.")] = None,
    url: Url = URL,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Print the targets of public names side by side: their shares, success, time to the first content (TTFT), mean
    cost, refusals and feedback. The last column counts requests by the reasons for which the observed share differs
    from the configured one. Sums cover whole hours."""
    from pointsman.cli._admin import get, parse_time

    parameters = {
        "model": model,
        "since": parse_time(since, "--since") if since is not None else None,
        "until": parse_time(until, "--until") if until is not None else None,
    }
    found = get(url, "variants", parameters, token_file)
    if as_json:
        print_json(found)
        return
    if not found["rows"]:
        has_none = "no public name has" if model is None else f"the model {model} does not have"
        print_line(f"{has_none} several targets or a variant; add some to compare them")
        return
    print_table(("model", "variant", "target", *_NUMBERS, "reasons"), map(_line, found["rows"]), numbers=set(_NUMBERS))
    if found["more"]:
        print_line("the table is incomplete; name one model, or choose a shorter span", err=True)


def _line(row: dict[str, Any]) -> tuple[str, ...]:
    from pointsman.domain.dollars import dollars

    reasons = [f"{name} {count:,}" for name, count in sorted(row.get("reasons", {}).items(), key=lambda one: -one[1])]
    if row.get("aborted_at_workers"):
        reasons.insert(0, f"canary aborted at {row['aborted_at_workers']} worker(s)")
    mean, scores = row.get("mean_cost_nano"), row.get("feedback_count", 0)
    return (
        row["model"],
        row["variant"] or "-",
        f"{row['target']} (canary)" if row.get("is_canary") else row["target"],
        _percent(row.get("configured_share")),
        _percent(row.get("observed_share")),
        f"{row.get('requests', 0):,}",
        _percent(row.get("success_share")),
        _seconds(row.get("ttft_p50_s")),
        _seconds(row.get("ttft_p95_s")),
        dollars(mean) if mean is not None else "-",
        f"{row.get('refusals', 0):,}",
        f"{row['feedback_mean']:.2f} ({scores:,})" if scores else "-",
        ", ".join(reasons),
    )


def _percent(share: float | None) -> str:
    return f"{share:.1%}" if share is not None else "-"


def _seconds(value: float | None) -> str:
    return f"{value:.2f} s" if value is not None else "-"
