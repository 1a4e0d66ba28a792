"""The dashboard for Grafana: its panels as a table, and their JSON."""

import json
from collections.abc import Iterator
from typing import Any

Query = tuple[str, str]
"""An expression, and the legend of its series."""

RATE = "[$__rate_interval]"


def _p(quantile: float, metric: str, by: str = "") -> str:
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({quantile}, sum by ({labels}) (rate({metric}_bucket{RATE})))"


def _rate(metric: str, by: str = "", selector: str = "") -> str:
    return f"sum{f' by ({by})' if by else ''} (rate({metric}{selector}{RATE}))"


# Rows, with the title, the unit and the queries of each panel.
ROWS: dict[str, list[tuple[str, str, list[Query]]]] = {
    "Overview": [
        ("Requests by status", "reqps", [(_rate("pointsman_requests_total", "status"), "{{status}}")]),
        ("Failures by type", "reqps", [(_rate("pointsman_request_errors_total", "error_type"), "{{error_type}}")]),
        (
            "Duration of requests",
            "s",
            [(_p(one, "pointsman_request_duration_seconds"), f"p{one * 100:g}") for one in (0.5, 0.95, 0.99)],
        ),
        (
            "Time to first token",
            "s",
            [(_p(one, "pointsman_time_to_first_token_seconds"), f"p{one * 100:g}") for one in (0.5, 0.95)],
        ),
        ("Cost per hour", "currencyUSD", [(f"3600 * {_rate('pointsman_cost_dollars_total')}", "all")]),
        ("Requests in progress", "short", [("sum(pointsman_requests_in_progress)", "requests")]),
    ],
    "Providers": [
        (
            "Attempts by outcome",
            "reqps",
            [(_rate("pointsman_attempts_total", "provider, outcome"), "{{provider}} {{outcome}}")],
        ),
        (
            "Unhealthy targets",
            "short",
            [("pointsman_target_unhealthy", "{{provider}}/{{model}} {{operation}} {{state}}")],
        ),
        ("First byte, 95th percentile", "s", [(_p(0.95, "pointsman_first_byte_seconds", "provider"), "{{provider}}")]),
        (
            "Time per output token, median",
            "s",
            [(_p(0.5, "pointsman_time_per_output_token_seconds", "provider, model"), "{{provider}}/{{model}}")],
        ),
        ("Blocked keys", "s", [("pointsman_key_blocked_seconds", "{{provider}} {{key}} {{model}} {{reason}}")]),
        (
            "Used part of rate limits",
            "percentunit",
            [("pointsman_key_quota_used_ratio", "{{provider}} {{key}} {{model}}")],
        ),
        (
            "Retries, hedges and races",
            "reqps",
            [
                (_rate("pointsman_retries_total"), "retries"),
                (_rate("pointsman_hedges_total", "result"), "hedge {{result}}"),
                (_rate("pointsman_races_total", "result"), "race {{result}}"),
            ],
        ),
        ("Tokens", "short", [(_rate("pointsman_tokens_total", "provider, direction"), "{{provider}} {{direction}}")]),
    ],
    "Money": [
        (
            "Cost per hour by model",
            "currencyUSD",
            [(f"3600 * {_rate('pointsman_cost_dollars_total', 'provider, model')}", "{{provider}}/{{model}}")],
        ),
        (
            "Cost per hour by virtual key",
            "currencyUSD",
            [(f"3600 * {_rate('pointsman_key_cost_dollars_total', 'virtual_key, team')}", "{{virtual_key}} {{team}}")],
        ),
        (
            "Used part of budgets",
            "percentunit",
            [
                (
                    "pointsman_budget_spent_dollars / (pointsman_budget_limit_dollars > 0)",
                    "{{scope}} {{owner}} {{period}}",
                )
            ],
        ),
        (
            "Remaining budgets",
            "currencyUSD",
            [("pointsman_budget_remaining_dollars", "{{scope}} {{owner}} {{period}}")],
        ),
        (
            "Attempts without a price",
            "reqps",
            [(_rate("pointsman_unpriced_attempts_total", "provider, model"), "{{provider}}/{{model}}")],
        ),
        (
            "Held beyond known costs",
            "currencyUSD",
            [(_rate("pointsman_held_dollars_total", "provider"), "{{provider}}")],
        ),
    ],
    "Gateway": [
        (
            "Gateway's own time, 95th percentile",
            "s",
            [
                (_p(0.95, "pointsman_gateway_seconds"), "all"),
                (_p(0.95, "pointsman_gateway_part_seconds", "part"), "{{part}}"),
            ],
        ),
        ("Wait for leases, 99th percentile", "s", [(_p(0.99, "pointsman_lease_wait_seconds"), "wait")]),
        (
            "Ingestion",
            "s",
            [("pointsman_ingest_lag_seconds", "lag"), ("pointsman_otlp_lag_seconds", "export {{signal}}")],
        ),
        ("Memory", "bytes", [("pointsman_process_resident_memory_bytes", "{{process}}")]),
        ("CPU", "short", [(_rate("pointsman_process_cpu_seconds_total", "process"), "{{process}}")]),
        ("Connections to providers", "short", [("pointsman_upstream_connections", "{{origin}} {{state}}")]),
        (
            "Workers",
            "short",
            [
                ("pointsman_workers", "workers"),
                ("pointsman_cut_off", "cut off"),
                ("pointsman_reservations", "reservations"),
            ],
        ),
        ("Journal not yet ingested", "bytes", [("pointsman_ingest_backlog_bytes", "backlog")]),
    ],
}


def expressions() -> list[str]:
    return [query for panels in ROWS.values() for _, _, queries in panels for query, _ in queries]


def dashboard() -> str:
    """Return the dashboard as JSON."""
    return (
        json.dumps(
            {
                "title": "Pointsman",
                "uid": "pointsman",
                "schemaVersion": 39,
                "version": 1,
                "refresh": "30s",
                "time": {"from": "now-6h", "to": "now"},
                "tags": ["pointsman"],
                "templating": {
                    "list": [{"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"}]
                },
                "panels": list(_panels()),
            },
            indent=1,
        )
        + "\n"
    )


def _panels() -> Iterator[dict[str, Any]]:
    source = {"type": "prometheus", "uid": "${datasource}"}
    number, top = 0, 0
    for row, panels in ROWS.items():
        number += 1
        yield {
            "id": number,
            "type": "row",
            "title": row,
            "collapsed": False,
            "panels": [],
            "gridPos": _place(0, top, 24, 1),
        }
        top += 1
        for index, (title, unit, queries) in enumerate(panels):
            number += 1
            yield {
                "id": number,
                "type": "timeseries",
                "title": title,
                "datasource": source,
                "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
                "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
                "targets": [
                    {"refId": chr(65 + place), "datasource": source, "expr": query, "legendFormat": legend}
                    for place, (query, legend) in enumerate(queries)
                ],
                "gridPos": _place(index % 3 * 8, top + index // 3 * 8, 8, 8),
            }
        top += (len(panels) + 2) // 3 * 8


def _place(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}
