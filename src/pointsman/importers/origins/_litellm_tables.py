"""LiteLLM's keys, teams and organizations, from its database. Its keys are stored as their SHA-256, so they go on
working. The tables are described in its `schema.prisma`."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pointsman.importers.draft import Carried, Draft, compact, list_of, name_of, usd_of
from pointsman.importers.periods import window_of

_LIMITS = ("max_budget", "soft_budget", "budget_duration", "tpm_limit", "rpm_limit", "max_parallel_requests")
_OWNER = (*_LIMITS, "budget_reset_at", "spend", "models", "metadata", "blocked", "model_max_budget")
TABLES: Mapping[str, tuple[str, ...]] = {
    "LiteLLM_BudgetTable": ("budget_id", *_LIMITS, "budget_reset_at"),
    "LiteLLM_OrganizationTable": ("organization_id", "organization_alias", "budget_id", "models", "spend"),
    "LiteLLM_TeamTable": ("team_id", "team_alias", "organization_id", *_OWNER),
    "LiteLLM_UserTable": ("user_id", "max_budget"),
    "LiteLLM_VerificationToken": (
        "token", "key_name", "key_alias", "user_id", "team_id", "organization_id", "expires", "budget_id", *_OWNER,
    ),
}  # fmt: skip
_DIGEST = re.compile(r"[0-9a-f]{64}")
_EVERY = frozenset({"all-proxy-models", "*"})
_OF_TEAM = "all-team-models"
Rows = Mapping[str, list[dict[str, Any]]]


class _Tables:
    def __init__(self, rows: Rows, draft: Draft, now_unix_s: float) -> None:
        self._rows, self._draft, self._now = rows, draft, now_unix_s
        self._budgets = {row["budget_id"]: row for row in rows.get("LiteLLM_BudgetTable", ())}
        self._customers: dict[str, str] = {}
        self._teams: dict[str, str] = {}
        self._team_rows = {row["team_id"]: row for row in rows.get("LiteLLM_TeamTable", ())}

    def read(self) -> None:
        customers = self._draft.section("governance", "customers")
        for row in self._rows.get("LiteLLM_OrganizationTable", ()):
            name = name_of(row.get("organization_alias"), customers, "customer")
            self._customers[row["organization_id"]] = name
            customers[name] = self._limits(f"customer:{name}", {**row, "models": None}, f"organization {name}")
            if row.get("models"):
                self._draft.lost(f"organization {name}.models", "models are allowed by key, not by customer")
        teams = self._draft.section("governance", "teams")
        for row in self._rows.get("LiteLLM_TeamTable", ()):
            name = name_of(row.get("team_alias") or row["team_id"], teams, "team")
            self._teams[row["team_id"]] = name
            teams[name] = self._limits(f"team:{name}", row, f"team {name}")
            if customer := self._customers.get(row.get("organization_id") or ""):
                teams[name]["customer"] = customer
        for section in ("customers", "teams"):
            if not self._draft.section("governance")[section]:
                del self._draft.section("governance")[section]
        taken: set[str] = set(self._draft.section("governance").get("virtual_keys", ()))
        for row in self._rows.get("LiteLLM_VerificationToken", ()):
            self._key(row, taken)
        self._users()

    def _key(self, row: Mapping[str, Any], taken: set[str]) -> None:
        name = name_of(row.get("key_alias") or row.get("key_name"), taken, "key")
        origin, token, team = f"key {name}", str(row["token"]), row.get("team_id") or ""
        if not _DIGEST.fullmatch(token):
            self._draft.lost(origin, "its token is not a SHA-256, so it is older than hashed keys; it is left out")
            return
        if row.get("blocked") or (self._team_rows.get(team) or {}).get("blocked"):
            self._draft.lost(origin, "it is blocked, so it is left out")
            return
        taken.add(name)
        line = {"name": name, "value": f"sha256:{token}", **self._limits(f"virtual_key:{name}", row, origin)}
        if team in self._teams:
            line["team"] = self._teams[team]
        elif team:
            self._draft.todo(origin, f"its team {team!r} is not in the table of teams; it gets none")
        if "team" not in line and (customer := self._customers.get(row.get("organization_id") or "")):
            line["customer"] = customer
        line["allow_models"] = self._models(row, team)
        if isinstance(expires := row.get("expires"), datetime):
            line["expires_at"] = _aware(expires).strftime("%Y-%m-%dT%H:%M:%SZ")
        if user := row.get("user_id"):
            line["labels"] = {"litellm_user": str(user)[:256]}
        self._draft.keys.append(compact(line))

    def _models(self, row: Mapping[str, Any], team: str) -> list[str]:
        """Return the models that a key may use; none for all. A key has at most the models of its team."""
        own = [str(one) for one in list_of(row.get("models"))]
        of_team = [str(one) for one in list_of((self._team_rows.get(team) or {}).get("models"))]
        if _EVERY & set(of_team):
            of_team = []
        if not own or _OF_TEAM in own or _EVERY & set(own):
            return of_team
        if not of_team:
            return own
        return [one for one in own if one in of_team] or ["no-model-of-the-team"]

    def _limits(self, owner: str, row: Mapping[str, Any], origin: str) -> dict[str, Any]:
        shared = self._budgets.get(row.get("budget_id") or "", {})
        found = {name: row.get(name) if row.get(name) is not None else shared.get(name) for name in _LIMITS}
        reset_at = row.get("budget_reset_at") or shared.get("budget_reset_at")
        budgets: list[dict[str, Any]] = []
        if found["max_budget"] is not None or found["soft_budget"] is not None:
            window, remark = window_of(found["budget_duration"]) if found["budget_duration"] else ("year", "")
            if not found["budget_duration"]:
                remark = "the budget never begins anew in LiteLLM; here it does with each calendar year"
            if window is None:
                window = "month"
            if remark:
                self._draft.changed(f"{origin}.budget_duration", remark)
            budgets = self._budget(found, window, origin)
            spent = usd_of(row.get("spend"))
            is_current = not isinstance(reset_at, datetime) or _aware(reset_at).timestamp() > self._now
            if budgets and spent is not None and is_current:
                self._draft.carried.append(Carried(owner, window, spent))
        rates = [
            {metric: int(amount), "per": "minute"}
            for metric, field in (("requests", "rpm_limit"), ("tokens", "tpm_limit"))
            if (amount := found[field])
        ]
        for field in ("max_parallel_requests", "model_max_budget"):
            if found.get(field) or row.get(field):
                self._draft.lost(f"{origin}.{field}", "has no counterpart")
        return compact({"budgets": budgets, "rate_limits": rates})

    def _budget(self, found: Mapping[str, Any], window: Any, origin: str) -> list[dict[str, Any]]:
        hard, soft = usd_of(found["max_budget"]), usd_of(found["soft_budget"])
        if found["max_budget"] is not None:
            if found["soft_budget"] is not None:
                self._draft.todo(f"{origin}.soft_budget", "add an alert at this share of the budget")
            return [{"limit_usd": hard or "0", "per": window}]
        return [{"limit_usd": soft, "per": window, "soft": True}] if soft else []

    def _users(self) -> None:
        limited = [row["user_id"] for row in self._rows.get("LiteLLM_UserTable", ()) if row.get("max_budget")]
        if limited:
            self._draft.lost(
                "users",
                f"{len(limited)} users have a budget over all of their keys, which has no counterpart: "
                f"{', '.join(map(str, limited[:5]))}{' …' if len(limited) > 5 else ''}",
            )


def read_rows(rows: Rows, draft: Draft, now_unix_s: float) -> None:
    """Add keys, teams, organizations and what they have spent to a draft."""
    _Tables(rows, draft, now_unix_s).read()


def _aware(time: datetime) -> datetime:
    """LiteLLM's columns have no time zone; they are in UTC."""
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
