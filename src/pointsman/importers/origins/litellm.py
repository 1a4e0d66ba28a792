"""LiteLLM's proxy: https://docs.litellm.ai/docs/proxy/config_settings and its tables of keys and teams."""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from pointsman.importers.draft import Draft, compact, list_of, mapping_of, per_million, usd_of
from pointsman.importers.origin import ImportOrigin, ImportRejectedError
from pointsman.importers.origins._litellm_providers import CREDENTIAL_FIELDS, Placed, Providers, providers_of, reference
from pointsman.importers.origins._litellm_tables import TABLES, read_rows
from pointsman.importers.periods import window_of

_STRATEGIES = {
    "simple-shuffle": "weighted",
    "least-busy": "least-busy",
    "latency-based-routing": "fastest",
    "cost-based-routing": "cheapest",
    "usage-based-routing": "weighted",
    "usage-based-routing-v2": "weighted",
}
_BY_USE = frozenset({"usage-based-routing", "usage-based-routing-v2"})
_FALLBACKS = {
    "fallbacks": None,
    "context_window_fallbacks": "context_length",
    "content_policy_fallbacks": "content_filter",
}
_PRICES = {
    "input_cost_per_token": "input_usd_per_million",
    "output_cost_per_token": "output_usd_per_million",
    "cache_read_input_token_cost": "cached_input_usd_per_million",
    "cache_creation_input_token_cost": "cache_write_usd_per_million",
    "input_cost_per_audio_token": "audio_input_usd_per_million",
    "output_cost_per_audio_token": "audio_output_usd_per_million",
    "output_cost_per_reasoning_token": "reasoning_usd_per_million",
}
_DEPLOYMENT = CREDENTIAL_FIELDS | _PRICES.keys() | {
    "model", "weight", "order", "rpm", "tpm", "timeout", "stream_timeout", "max_retries", "custom_llm_provider",
    "use_in_pass_through", "merge_reasoning_content_in_choices",
}  # fmt: skip
_INFO = _PRICES.keys() | {"id", "mode", "base_model", "db_model", "created_by", "created_at", "updated_at"}
_ROUTER = frozenset(
    {
        "routing_strategy", "routing_strategy_args", "model_group_alias", "fallbacks",
        "context_window_fallbacks", "content_policy_fallbacks", "default_fallbacks", "num_retries", "timeout",
        "stream_timeout", "max_fallbacks", "provider_budget_config", "enable_pre_call_checks", "set_verbose",
        "debug_level", "redis_host", "redis_port", "redis_password", "redis_url", "allowed_fails",
        "cooldown_time", "retry_after", "disable_cooldowns", "cache_responses",
    }
)  # fmt: skip
_LIBRARY = frozenset(
    {
        "fallbacks", "context_window_fallbacks", "content_policy_fallbacks", "default_fallbacks", "num_retries",
        "request_timeout", "set_verbose", "json_logs", "callbacks", "success_callback", "failure_callback",
        "service_callbacks", "cache", "cache_params", "drop_params", "max_budget", "budget_duration",
        "telemetry", "suppress_debug_info",
    }
)  # fmt: skip
_GENERAL = frozenset(
    {
        "master_key", "database_url", "store_model_in_db", "alerting", "alerting_threshold", "ui_access_mode",
    }
)  # fmt: skip
_CALLBACKS = {
    "prometheus": "the metrics are always on, at the console's address under /metrics",
    "otel": "set `telemetry.otlp`",
    "s3": "add a sink of the type `s3`",
    "s3_v2": "add a sink of the type `s3`",
}


class _Deployment(Struct):
    """One entry of `model_list`."""

    target: str
    weight: float | None
    requests: float | None
    tokens: float | None
    order: float
    timeouts: dict[str, float]


class _LitellmReader:
    def __init__(self, document: Mapping[str, Any], draft: Draft) -> None:
        self._document, self._draft = document, draft
        self._providers = Providers(draft)
        self._router = mapping_of(document.get("router_settings"))
        self._library = mapping_of(document.get("litellm_settings"))
        self._general = mapping_of(document.get("general_settings"))
        self._groups: dict[str, list[_Deployment]] = {}
        self._placed: list[Placed] = []

    def read(self) -> None:
        for number, entry in enumerate(list_of(self._document.get("model_list"))):
            self._deployment(f"model_list[{number}]", mapping_of(entry))
        strategy = self._strategy()
        for name, group in self._groups.items():
            self._public_model(name, group, strategy)
        self._fallbacks()
        self._aliases()
        self._limits_of_providers()
        self._settings()
        self._keys()
        self._draft.leave_out("router_settings", self._router, _ROUTER)
        self._draft.leave_out("litellm_settings", self._library, _LIBRARY)
        self._draft.leave_out("general_settings", self._general, _GENERAL)
        known = {
            "model_list",
            "router_settings",
            "litellm_settings",
            "general_settings",
            "environment_variables",
            "credential_list",
        }
        for name in self._document.keys() - known:
            self._draft.lost(str(name), "has no counterpart")
        if variables := mapping_of(self._document.get("environment_variables")):
            self._draft.todo("environment_variables", f"set them for the gateway: {', '.join(sorted(variables))}")

    def _deployment(self, origin: str, entry: Mapping[str, Any]) -> None:
        name = str(entry.get("model_name") or "")
        params = {**self._credentials(origin, entry), **mapping_of(entry.get("litellm_params"))}
        info = mapping_of(entry.get("model_info"))
        origin = f"{origin} ({name})"
        if not name or not params.get("model"):
            self._draft.lost(origin, "has no model_name or no litellm_params.model; it is left out")
            return
        placed = self._providers.place(origin, params)
        if placed is None:
            return
        self._placed.append(placed)
        self._draft.leave_out(origin, params, _DEPLOYMENT)
        if "*" in name or "*" in placed.model:
            self._wildcard(origin, name, placed)
            return
        if placed.type == "azure":
            placed.model = self._azure(placed, str(info.get("base_model") or ""))
        self._price(placed, {**params, **info})
        timeouts = {
            "response_s": _number(params.get("timeout")),
            "stream_head_s": _number(params.get("stream_timeout")),
        }
        self._groups.setdefault(name, []).append(
            _Deployment(
                target=f"{placed.provider}/{placed.model}",
                weight=_number(params.get("weight")),
                requests=_number(params.get("rpm") or entry.get("rpm")),
                tokens=_number(params.get("tpm") or entry.get("tpm")),
                order=_number(params.get("order")) or 0.0,
                timeouts=compact(timeouts),
            )
        )

    def _credentials(self, origin: str, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of the credential that a deployment names."""
        name = mapping_of(entry.get("litellm_params")).get("litellm_credential_name")
        if not name:
            return {}
        for one in list_of(self._document.get("credential_list")):
            if mapping_of(one).get("credential_name") == name:
                return mapping_of(one.get("credential_values"))
        self._draft.todo(origin, f"the credential {name!r} is not in this file; set the provider's key")
        return {}

    def _azure(self, placed: Placed, base_model: str) -> str:
        """Return the catalog's name for a deployment of Azure, and note the deployment at its provider."""
        model = base_model.removeprefix("azure/") or placed.model
        deployments = self._draft.section("providers", placed.provider, "deployments")
        if deployments.setdefault(model, placed.model) != placed.model:
            model = placed.model  # two deployments of one model
            deployments[model] = model
        return model

    def _wildcard(self, origin: str, name: str, placed: Placed) -> None:
        """A pattern needs no public model: clients name a model as `provider/model`, or by its bare name."""
        prefix = name.partition("/")[0]
        if placed.model != "*" or (name != "*" and not name.endswith("/*")):
            self._draft.lost(origin, f"the pattern {name!r} for {placed.model!r} has no counterpart")
        elif name == "*":
            self._draft.changed(
                origin,
                f"bare names go to every provider that the catalog lists for them, not only to {placed.provider}",
            )
        elif prefix != placed.provider:
            providers = self._draft.section("providers")
            if prefix in providers:
                self._draft.changed(origin, f"clients must call these models {placed.provider}/NAME instead of {name}")
            else:
                spec = providers[placed.provider]
                providers[prefix] = {"type": placed.type, **spec}
                self._draft.changed(origin, f"clients may call these models {prefix}/NAME, as before")

    def _price(self, placed: Placed, settings: Mapping[str, Any]) -> None:
        prices = {
            ours: per_million(settings[theirs]) for theirs, ours in _PRICES.items() if settings.get(theirs) is not None
        }
        if prices:
            overrides = self._draft.section("pricing").setdefault("overrides", [])
            entry = {"model": f"{placed.provider}/{placed.model}", **compact(prices)}
            if entry not in overrides:
                overrides.append(entry)

    def _strategy(self) -> str:
        name = str(self._router.get("routing_strategy") or "simple-shuffle")
        if name not in _STRATEGIES:
            self._draft.changed("router_settings.routing_strategy", f"{name!r} is unknown; `adaptive` is used")
            return "adaptive"
        if name in _BY_USE:
            self._draft.changed(
                "router_settings.routing_strategy",
                "targets get shares in proportion to their rpm or tpm, instead of the one with the least use; "
                "the rpm and tpm are limits",
            )
        return _STRATEGIES[name]

    def _public_model(self, name: str, group: list[_Deployment], strategy: str) -> None:
        place = ("models", name)
        first = min(one.order for one in group)
        primary = [one for one in group if one.order == first]
        later = sorted((one for one in group if one.order != first), key=lambda one: one.order)
        weights = _weights(primary)
        targets: list[Any] = []
        for one, weight in zip(primary, weights, strict=True):
            weighted = strategy == "weighted" and len(set(weights)) > 1
            target = compact({"model": one.target, "weight": weight if weighted else None, "timeouts": one.timeouts})
            same = [other for other in targets if other["model"] == one.target]
            if same:  # two entries for the same deployment
                same[0]["weight"] = same[0].get("weight", 1) + target.get("weight", 1)
            else:
                targets.append(target)
        fallbacks = list(dict.fromkeys(one.target for one in later))
        self._draft.section("models")[name] = compact(
            {
                "strategy": strategy if len(targets) > 1 else None,
                "targets": [one["model"] if len(one) == 1 else one for one in targets],
                "fallbacks": fallbacks,
            }
        )
        if later:
            self._draft.changed(f"model_list ({name})", "a higher `order` makes a fallback, tried in this order", place)

    def _targets(self, group: str) -> list[str]:
        spec = mapping_of(self._draft.section("models").get(group))
        targets = [one if isinstance(one, str) else one["model"] for one in spec.get("targets", ())]
        return [*targets, *spec.get("fallbacks", ())]

    def _fallbacks(self) -> None:
        models = self._draft.section("models")
        own: dict[str, dict[str, list[str]]] = {}
        for section, settings in (("router_settings", self._router), ("litellm_settings", self._library)):
            for field, cause in _FALLBACKS.items():
                for entry in list_of(settings.get(field)):
                    for group, names in mapping_of(entry).items():
                        found = self._expanded(f"{section}.{field}", group, list_of(names))
                        for one in models if group == "*" else [group]:
                            kinds = own.setdefault(one, {})
                            kinds.setdefault(cause or "", found)
        default = list_of(self._router.get("default_fallbacks") or self._library.get("default_fallbacks"))
        if default:
            found = self._expanded("default_fallbacks", "*", default)
            for name in models:
                own.setdefault(name, {}).setdefault("", found)
        for name, kinds in own.items():
            if name not in models:
                self._draft.lost(f"fallbacks ({name})", "no model of this name is in model_list")
                continue
            spec, targets = models[name], self._targets(name)
            for cause, found in kinds.items():
                more = [one for one in found if one not in targets]
                if cause == "":
                    spec["fallbacks"] = [*spec.get("fallbacks", ()), *more]
                elif more:
                    spec.setdefault("fallbacks_for", {})[cause] = more
            models[name] = compact(spec)

    def _expanded(self, origin: str, group: str, names: Iterable[Any]) -> list[str]:
        """Return the targets of groups, in order: fallbacks of this gateway are `provider/model`."""
        found: list[str] = []
        for name in names:
            if not isinstance(name, str):
                self._draft.lost(f"{origin} ({group})", "a fallback with parameters of its own has no counterpart")
            elif targets := self._targets(name):
                found += targets
            elif "/" in name and name.partition("/")[0] in self._draft.section("providers"):
                found.append(name)
            else:
                self._draft.lost(f"{origin} ({group})", f"no model {name!r} is in model_list")
        return list(dict.fromkeys(found))

    def _aliases(self) -> None:
        models = self._draft.section("models")
        for alias, entry in mapping_of(self._router.get("model_group_alias")).items():
            group = str(mapping_of(entry).get("model") or entry)
            if group in models:
                models[alias] = dict(models[group])
            else:
                self._draft.lost(f"router_settings.model_group_alias ({alias})", f"no model {group!r} is in model_list")

    def _limits_of_providers(self) -> None:
        if self._router.get("routing_strategy") in _BY_USE:
            self._deployment_limits()
        for prefix, entry in mapping_of(self._router.get("provider_budget_config")).items():
            origin = f"router_settings.provider_budget_config ({prefix})"
            settings = mapping_of(entry)
            usd = usd_of(settings.get("budget_limit") or settings.get("max_budget"))
            window, remark = window_of(settings.get("time_period") or settings.get("budget_duration"))
            names = providers_of(prefix, self._placed)
            if usd is None or window is None or not names:
                self._draft.lost(origin, remark or "no provider with this prefix, or no amount")
                continue
            for name in names:
                self._draft.section("providers", name).setdefault("budgets", []).append(
                    {"limit_usd": usd, "per": window}
                )
            if remark or len(names) > 1:
                text = remark or f"{len(names)} providers have this prefix; each has the whole budget"
                self._draft.changed(origin, text)

    def _deployment_limits(self) -> None:
        by_provider: dict[str, list[_Deployment]] = {}
        for group in self._groups.values():
            for one in group:
                by_provider.setdefault(one.target.partition("/")[0], []).append(one)
        for name, found in by_provider.items():
            limits = [
                {metric: int(amount), "per": "minute"}
                for metric, amount in (("requests", found[0].requests), ("tokens", found[0].tokens))
                if amount
            ]
            if limits and len({one.target for one in found}) == 1:
                self._draft.section("providers", name)["rate_limits"] = limits
            elif limits:
                self._draft.lost(
                    f"rpm and tpm of {name}", "limits hold for a whole provider here, not for one model of it"
                )

    def _settings(self) -> None:
        routing = self._draft.section("routing")
        retries = self._router.get("num_retries", self._library.get("num_retries"))
        if isinstance(retries, int) and not isinstance(retries, bool):
            longest = max((len(self._targets(name)) for name in self._draft.section("models")), default=1)
            routing["max_attempts"] = min(100, max(retries + 1, longest, 1))
            self._draft.changed(
                "num_retries", "attempts go to further targets and fallbacks first; this is their number"
            )
        timeout = _number(self._router.get("timeout") or self._library.get("request_timeout"))
        if timeout:
            routing.setdefault("timeouts", {})["response_s"] = timeout
        if stream := _number(self._router.get("stream_timeout")):
            routing.setdefault("timeouts", {})["stream_head_s"] = stream
        for name in ("allowed_fails", "cooldown_time", "retry_after", "disable_cooldowns"):
            if self._router.get(name) is not None:
                self._draft.changed(
                    f"router_settings.{name}", "a circuit breaker with probes decides; see `routing.health`"
                )
        for name in ("redis_host", "redis_url"):
            if self._router.get(name):
                self._draft.changed(f"router_settings.{name}", "workers share their state without Redis")
        if self._library.get("cache"):
            self._draft.lost("litellm_settings.cache", "answers are not cached")
        if self._library.get("drop_params"):
            self._draft.changed(
                "litellm_settings.drop_params",
                "translation between dialects drops or rejects fields as docs/guides/dialects.md says",
            )
        if self._library.get("max_budget"):
            self._draft.lost(
                "litellm_settings.max_budget",
                "a budget of the whole proxy has no counterpart; give providers or teams budgets",
            )
        for field in ("callbacks", "success_callback", "failure_callback", "service_callbacks"):
            found = self._library.get(field)
            for name in [found] if isinstance(found, str) else list_of(found):
                text = _CALLBACKS.get(str(name))
                add = self._draft.todo if text else self._draft.lost
                add(
                    f"litellm_settings.{field} ({name})",
                    text or "has no counterpart; sinks and OpenTelemetry are the ways out",
                )
        if self._general.get("alerting"):
            self._draft.todo("general_settings.alerting", "add a channel in `alerts.channels`")

    def _keys(self) -> None:
        key = self._general.get("master_key")
        governance = self._draft.section("governance")
        if key:
            governance["virtual_keys"] = {"master": reference(self._draft, str(key), "LITELLM_MASTER_KEY")}
            self._draft.changed(
                "general_settings.master_key",
                "clients may go on using it as a virtual key; it gives no rights at the console",
                ("governance", "virtual_keys"),
            )
        else:
            governance["require_key"] = False
            self._draft.changed(
                "general_settings.master_key",
                "without it, no key is required; the gateway then listens on this machine only",
                ("governance", "require_key"),
            )


def _weights(group: list[_Deployment]) -> list[float]:
    """Return the weights as `simple-shuffle` takes them: `weight` if one deployment has it, else rpm, else tpm."""
    for found in ([one.weight for one in group], [one.requests for one in group], [one.tokens for one in group]):
        if any(found):
            return [one or 0.0 for one in found]
    return [1.0] * len(group)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else None


def _read(document: Mapping[str, Any], draft: Draft) -> None:
    if not isinstance(document.get("model_list"), list):
        raise ImportRejectedError("it has no list `model_list`, so it is no configuration of LiteLLM's proxy")
    _LitellmReader(document, draft).read()


ORIGIN = ImportOrigin(
    title="LiteLLM",
    docs="https://docs.litellm.ai/docs/proxy/configs",
    read=_read,
    tables=TABLES,
    read_rows=read_rows,
)
