"""Bifrost: https://docs.getbifrost.ai/deployment-guides/config-json"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from pointsman.importers.draft import Draft, compact, list_of, mapping_of, name_of, usd_of
from pointsman.importers.origin import ImportOrigin, ImportRejectedError
from pointsman.importers.origins._bifrost_rules import RuleReader
from pointsman.importers.periods import window_of

_TYPES = {
    "vertex": "vertex",
    "parasail": "parasail",
    "nebius": "nebius",
    "sgl": "sglang",
    "fireworks": "fireworks",
    "ollama": "ollama",
    "vllm": "vllm",
    "openai": "openai",
    "anthropic": "anthropic",
    "azure": "azure",
    "bedrock": "bedrock",
    "cohere": "cohere",
    "groq": "groq",
    "mistral": "mistral",
    "gemini": "gemini",
    "cerebras": "cerebras",
    "perplexity": "perplexity",
    "openrouter": "openrouter",
    "xai": "xai",
    "huggingface": "huggingface",
    "deepseek": "deepseek",
}
_KEY = {"id", "name", "value", "models", "weight", "enabled", "aliases", "use_for_batch_api", "description"}
_CLOUDS = {
    "azure_key_config",
    "vertex_key_config",
    "bedrock_key_config",
    "vllm_key_config",
    "ollama_key_config",
    "sgl_key_config",
}
_NETWORK = {
    "base_url", "default_request_timeout_in_seconds", "max_retries", "retry_backoff_initial", "retry_backoff_max",
    "retry_backoff_initial_ms", "retry_backoff_max_ms",
}  # fmt: skip
_OWNERS = ("team_id", "customer_id", "virtual_key_id")


class _BifrostReader:
    def __init__(self, document: Mapping[str, Any], draft: Draft) -> None:
        self._document, self._draft = document, draft
        self._governance = mapping_of(document.get("governance"))
        self._budgets = _by_id(self._governance.get("budgets"))
        self._rates = _by_id(self._governance.get("rate_limits"))
        self._parts: dict[str, list[str]] = {}  # our providers, by Bifrost's
        self._labels: dict[tuple[str, str], tuple[str, str]] = {}  # our provider and key, by Bifrost's
        self._names: dict[str, dict[str, str]] = {"customer_id": {}, "team_id": {}, "virtual_key_id": {}}

    def read(self) -> None:
        for name, entry in mapping_of(self._document.get("providers")).items():
            self._provider(str(name), mapping_of(entry))
        self._owners()
        self._virtual_keys()
        self._model_limits()
        RuleReader(self._draft, self._names, self._parts).read(list_of(self._governance.get("routing_rules")))
        self._client()
        known = {
            "customers",
            "teams",
            "virtual_keys",
            "budgets",
            "rate_limits",
            "routing_rules",
            "auth_config",
            "model_configs",
        }
        self._draft.leave_out("governance", self._governance, known)
        if mapping_of(self._governance.get("auth_config")).get("is_enabled"):
            self._draft.todo("governance.auth_config", "make a user of the console with `pointsman users create`")
        rest = {
            "providers",
            "governance",
            "client",
            "$schema",
            "encryption_key",
            "version",
            "config_store",
            "logs_store",
        }
        self._draft.leave_out("config.json", self._document, rest)
        if mapping_of(self._document.get("config_store")).get("enabled"):
            self._draft.changed(
                "config_store",
                "resources that Bifrost keeps in its database are not read; `store` is this gateway's own",
            )

    def _provider(self, name: str, entry: Mapping[str, Any]) -> None:
        custom = mapping_of(entry.get("custom_provider_config"))
        base = str(custom.get("base_provider_type") or name)
        network = mapping_of(entry.get("network_config"))
        kind = _TYPES.get(base)
        address = str(network.get("base_url") or "").rstrip("/")
        origin = f"providers.{name}"
        if kind is None and address:
            kind = "openai-compatible"
            self._draft.changed(origin, f"{base!r} is used as a provider with OpenAI's API")
        if kind is None:
            self._draft.lost(origin, f"the provider {base!r} is not known; it is left out")
            return
        if kind == "openai" and address and custom:
            kind = "openai-compatible"
        self._keys(name, kind, address, list_of(entry.get("keys")) or [{"name": "default", "value": ""}])
        if seconds := network.get("default_request_timeout_in_seconds"):
            timeouts = self._draft.section("routing", "timeouts")
            timeouts["response_s"] = max(float(seconds), timeouts.get("response_s", 0.0))
            where = f"{origin}.network_config.default_request_timeout_in_seconds"
            self._draft.changed(where, "the longest of these timeouts holds for all providers")
        if network.get("max_retries"):
            text = "failed attempts go to the next target or key; see `routing.failover.same_target_retries`"
            self._draft.changed(f"{origin}.network_config.max_retries", text)
        self._draft.leave_out(f"{origin}.network_config", network, _NETWORK)
        quiet = {"keys", "network_config", "custom_provider_config", "concurrency_and_buffer_size"}
        self._draft.leave_out(origin, entry, quiet)

    def _keys(self, name: str, kind: str, address: str, keys: list[Any]) -> None:
        """Add the keys of a provider. Keys of Bifrost have addresses and regions of their own, and here providers have
        them: each set of these is a provider."""
        groups: list[tuple[dict[str, Any], list[tuple[dict[str, Any], dict[str, Any]]]]] = []
        for number, entry in enumerate(keys):
            origin, key = f"providers.{name}.keys[{number}]", mapping_of(entry)
            spec: dict[str, Any] = {"base_url": address} if address else {}
            found = self._key(origin, name, key, spec)
            if spec.get("base_url") and kind not in ("azure", "cohere", "anthropic", "gemini"):
                spec["base_url"] = _versioned(spec["base_url"])
            if not spec.get("base_url") and kind in ("azure", "openai-compatible"):
                self._draft.lost(origin, "it has no address; the key is left out")
                continue
            same = [members for known, members in groups if known == spec]
            if same:
                same[0].append((key, found))
            else:
                groups.append((spec, [(key, found)]))
        providers = self._draft.section("providers")
        parts = self._parts.setdefault(name, [])
        for number, (spec, members) in enumerate(groups, 1):
            # A public name could not begin with the name of a provider.
            ours = name_of(name if len(groups) == 1 else f"{name}-{number}", providers, "provider")
            parts.append(ours)
            labels: dict[str, Any] = {}
            providers[ours] = {**({} if ours == kind else {"type": kind}), **compact(spec), "keys": labels}
            for key, found in members:
                label = name_of(key.get("name") or key.get("id"), labels, "key")
                labels[label] = found
                for text in {str(key.get(field)) for field in ("id", "name") if key.get(field)}:
                    self._labels[name, text] = (ours, label)
        if len(parts) > 1:
            self._divided(name, parts)

    def _divided(self, name: str, parts: list[str]) -> None:
        """Make public names of the models of a provider that has become several."""
        providers, weights = self._draft.section("providers"), dict[str, dict[str, float]]()
        for part in parts:
            for key in providers[part]["keys"].values():
                for model in key.get("serves") or key.get("deployments") or ():
                    shares = weights.setdefault(model, {})
                    shares[part] = shares.get(part, 0.0) + key.get("weight", 1)
        for model, shares in weights.items():
            targets = [{"model": f"{part}/{model}", "weight": weight} for part, weight in shares.items()]
            self._draft.section("models")[f"{name}/{model}"] = {"strategy": "weighted", "targets": targets}
        self._draft.changed(
            f"providers.{name}",
            f"its keys have different addresses, so it becomes {', '.join(parts)}; the models that keys name are "
            f"public names, {name}/MODEL, over all of them",
        )

    def _key(self, origin: str, provider: str, key: Mapping[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
        if key.get("enabled") is False:
            self._draft.changed(origin, "it is disabled, so its weight is 0")
        models = [str(one) for one in list_of(key.get("models"))]
        found: dict[str, Any] = self._credential(origin, provider, key, spec)
        weight = key.get("weight")
        found["weight"] = 0 if key.get("enabled") is False else (weight if weight not in (None, 1) else None)
        found["serves"] = None if not models or "*" in models else models
        deployments = {**mapping_of(key.get("aliases"))}
        for cloud in _CLOUDS:
            deployments |= mapping_of(mapping_of(key.get(cloud)).get("deployments"))
        found["deployments"] = {str(model): str(theirs) for model, theirs in deployments.items()}
        if "models" in key and not models:
            text = "an empty list denies all models in Bifrost from 1.5; the key is disabled here"
            self._draft.changed(f"{origin}.models", text)
            found["weight"] = 0
        self._draft.leave_out(origin, key, _KEY | _CLOUDS)
        return compact(found)

    def _credential(self, origin: str, provider: str, key: Mapping[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
        azure, vertex, bedrock = (mapping_of(key.get(f"{one}_key_config")) for one in ("azure", "vertex", "bedrock"))
        if azure:
            endpoint = _plain(azure.get("endpoint")).rstrip("/")
            if endpoint.startswith("env."):
                self._draft.todo(
                    f"{origin}.azure_key_config.endpoint", f"the address is in {endpoint}; write it here instead"
                )
                endpoint = "https://resource.openai.azure.com"
            spec["base_url"] = f"{endpoint}/openai"
            spec["api_version"] = _plain(azure.get("api_version")) or "2024-10-21"
            if spec["api_version"].startswith("env."):
                spec["api_version"] = "2024-10-21"
            if azure.get("client_id"):
                entra = {"tenant": "tenant_id", "client_id": "client_id", "client_secret": "client_secret"}
                return {
                    "entra": {
                        ours: self._secret(azure.get(theirs), f"{provider}_{theirs}") for ours, theirs in entra.items()
                    }
                }
        if vertex:
            spec["project"], spec["region"] = (self._text(origin, vertex, one) for one in ("project_id", "region"))
            file = _plain(vertex.get("auth_credentials"))
            return {"google": self._secret(file, "VERTEX_CREDENTIALS") if file else "adc"}
        if bedrock:
            spec["region"] = self._text(origin, bedrock, "region") or "us-east-1"
            aws = {
                "access_key_id": self._secret(bedrock.get("access_key"), f"{provider}_ACCESS_KEY_ID"),
                "secret_access_key": self._secret(bedrock.get("secret_key"), f"{provider}_SECRET_ACCESS_KEY"),
                "session_token": self._secret(bedrock.get("session_token"), f"{provider}_SESSION_TOKEN"),
                "role_arn": _plain(bedrock.get("role_arn")) or _plain(bedrock.get("arn")) or None,
            }
            if not key.get("value"):
                return {"aws": compact(aws) or "ambient"}
        for name in ("ollama", "sgl", "vllm"):
            if url := _plain(mapping_of(key.get(f"{name}_key_config")).get("url")):
                spec["base_url"] = url.rstrip("/")
        return {"value": self._secret(key.get("value"), f"{provider}_API_KEY") or ""}

    def _text(self, origin: str, settings: Mapping[str, Any], field: str) -> str:
        text = _plain(settings.get(field))
        if text.startswith("env."):
            self._draft.todo(f"{origin}.{field}", f"the value is in {text}; write it here")
            return text.removeprefix("env.").lower().replace("_", "-")
        return text

    def _secret(self, value: object, name: str) -> str | None:
        text = _plain(value)
        if not text:
            return None
        return text if text.startswith("env.") else self._draft.secret(text, name)

    def _owners(self) -> None:
        customers, teams = self._draft.section("governance", "customers"), self._draft.section("governance", "teams")
        for entry in list_of(self._governance.get("customers")):
            name = name_of(entry.get("name") or entry.get("id"), customers, "customer")
            self._names["customer_id"][str(entry.get("id"))] = name
            customers[name] = self._limits("customer_id", entry, f"customer {name}")
        for entry in list_of(self._governance.get("teams")):
            name = name_of(entry.get("name") or entry.get("id"), teams, "team")
            self._names["team_id"][str(entry.get("id"))] = name
            teams[name] = self._limits("team_id", entry, f"team {name}")
            if customer := self._names["customer_id"].get(str(entry.get("customer_id"))):
                teams[name]["customer"] = customer
        for section in ("customers", "teams"):
            if not self._draft.section("governance")[section]:
                del self._draft.section("governance")[section]

    def _virtual_keys(self) -> None:
        keys = self._draft.section("governance", "virtual_keys")
        for entry in list_of(self._governance.get("virtual_keys")):
            name = name_of(entry.get("name") or entry.get("id"), keys, "key")
            origin, value = f"virtual key {name}", _plain(entry.get("value"))
            self._names["virtual_key_id"][str(entry.get("id"))] = name
            if entry.get("is_active") is False:
                self._draft.lost(origin, "it is not active, so it is left out")
                continue
            if not value:
                self._draft.lost(origin, "Bifrost made its value itself; it is left out, make a new key")
                continue
            digest = f"sha256:{hashlib.sha256(value.encode()).hexdigest()}"
            spec = {
                "value": value if value.startswith("env.") else digest,
                **self._limits("virtual_key_id", entry, origin),
            }
            for field, ours in (("team_id", "team"), ("customer_id", "customer")):
                if owner := self._names[field].get(str(entry.get(field))):
                    spec[ours] = owner
            spec["providers"] = self._rights(origin, entry)
            if not spec["providers"]:
                self._draft.lost(origin, "it may use no provider, so it is left out")
                continue
            keys[name] = compact(spec)
        if not keys:
            del self._draft.section("governance")["virtual_keys"]

    def _rights(self, origin: str, entry: Mapping[str, Any]) -> dict[str, Any]:
        if "provider_configs" not in entry and not entry.get("allowed_models"):
            return {name: {} for name in self._draft.section("providers")}
        rights: dict[str, Any] = {}
        for config in list_of(entry.get("provider_configs")):
            provider = str(config.get("provider"))
            models = [str(one) for one in list_of(config.get("allowed_models"))]
            allowed = [str(one) for one in list_of(config.get("key_ids") or config.get("allowed_keys"))]
            parts = self._allowed(provider, allowed)
            if not parts:
                text = f"the provider {provider!r}, or none of the named keys of it, is configured; it is left out"
                self._draft.lost(f"{origin}.provider_configs", text)
                continue
            if "allowed_models" in config and not models:
                text = f"an empty list of models denies all of {provider}; the provider is left out"
                self._draft.changed(origin, text)
                continue
            limits = self._limits("provider_config_id", config, f"{origin}.{provider}")
            if limits and len(parts) > 1:
                text = f"the limits at {provider} hold at each of {', '.join(parts)}"
                self._draft.changed(f"{origin}.provider_configs", text)
            weight = config.get("weight")
            for part, keys in parts.items():
                rights[part] = compact(
                    {
                        "weight": weight / len(parts) if isinstance(weight, int | float) else None,
                        "allow_models": None if "*" in models else models,
                        "keys": keys,
                        **limits,
                    }
                )
        return rights

    def _allowed(self, provider: str, allowed: list[str]) -> dict[str, list[str] | None]:
        """Return the providers that one of Bifrost's has become, each with the keys that a virtual key may use there;
        `None` means all."""
        if not allowed or "*" in allowed:
            return dict.fromkeys(self._parts.get(provider, ()))
        found: dict[str, list[str] | None] = {}
        for text in allowed:
            if place := self._labels.get((provider, text)):
                keys = found.setdefault(place[0], [])
                if keys is not None and place[1] not in keys:
                    keys.append(place[1])
        return found

    def _limits(self, field: str, entry: Mapping[str, Any], origin: str) -> dict[str, Any]:
        """Return the limits of an owner: those that it names, those that name it, and those inside it."""
        number = str(entry.get("id"))
        budgets = [
            one for one in self._budgets.values() if entry.get("id") is not None and str(one.get(field)) == number
        ]
        if named := self._budgets.get(str(entry.get("budget_id"))):
            budgets.append(named)
        budgets += [one for one in (entry.get("budget"), *list_of(entry.get("budgets"))) if isinstance(one, dict)]
        rates: list[dict[str, Any] | None] = [
            self._rates.get(str(one)) for one in (entry.get("rate_limit_id"), *list_of(entry.get("rate_limit_ids")))
        ]
        rates.append(mapping_of(entry.get("rate_limit")))
        found: dict[str, list[dict[str, Any]]] = {"budgets": [], "rate_limits": []}
        for one in budgets:
            self._add(found["budgets"], "limit_usd", usd_of(one.get("max_limit")), one.get("reset_duration"), origin)
        for rate in filter(None, rates):
            for metric in ("request", "token"):
                if rate.get(f"{metric}_max_limit"):
                    amount, duration = int(rate[f"{metric}_max_limit"]), rate.get(f"{metric}_reset_duration")
                    self._add(found["rate_limits"], f"{metric}s", amount, duration, origin)
        return compact(found)

    def _add(self, limits: list[dict[str, Any]], field: str, amount: object, duration: object, origin: str) -> None:
        window, remark = window_of(duration)
        if window is None or amount is None:
            self._draft.lost(f"{origin}.{field}", remark or "the limit has no amount")
            return
        if remark:
            self._draft.changed(f"{origin}.{field}", remark)
        if any(one["per"] == window and field in one for one in limits):
            self._draft.lost(f"{origin}.{field}", f"a second limit per {window}; the first one is kept")
            return
        limits.append({field: amount, "per": window})

    def _model_limits(self) -> None:
        providers = self._draft.section("providers")
        for entry in list_of(self._governance.get("model_configs")):
            origin, provider = f"governance.model_configs ({entry.get('id')})", str(entry.get("provider") or "")
            if entry.get("model_name") == "*" and provider in providers and entry.get("scope", "global") == "global":
                for section, limits in self._limits("model_config_id", entry, origin).items():
                    providers[provider].setdefault(section, []).extend(limits)
            else:
                self._draft.lost(origin, "limits of one model have no counterpart; limits of providers and owners have")

    def _client(self) -> None:
        client = mapping_of(self._document.get("client"))
        has_keys = bool(self._draft.section("governance").get("virtual_keys"))
        if not has_keys:
            self._draft.section("governance")["require_key"] = False
            self._draft.changed(
                "client", "without virtual keys, no key is required; the gateway then listens on this machine only"
            )
        elif not (client.get("enforce_auth_on_inference") or client.get("enforce_governance_header")):
            self._draft.changed(
                "client.enforce_auth_on_inference",
                "requests without a virtual key are rejected here; Bifrost would serve them",
            )
        if has_keys:
            headers = ["authorization", "x-api-key", "x-goog-api-key", "x-bf-vk"]
            self._draft.section("governance")["key_headers"] = headers
        if origins := [str(one) for one in list_of(client.get("allowed_origins")) if one]:
            self._draft.section("server", "cors")["origins"] = origins
        quiet = {
            "enforce_auth_on_inference", "enforce_governance_header", "allowed_origins", "initial_pool_size",
            "drop_excess_requests", "enable_logging", "disable_content_logging", "log_retention_days",
            "enable_governance", "max_request_body_size_mb", "prometheus_labels",
        }  # fmt: skip
        self._draft.leave_out("client", client, quiet)
        if client.get("enable_logging") and not client.get("disable_content_logging"):
            self._draft.changed(
                "client.enable_logging", "requests are logged without their contents; `bodies` keeps contents"
            )
        if size := client.get("max_request_body_size_mb"):
            self._draft.section("server", "limits")["body_bytes"] = int(size) << 20


def _versioned(address: str) -> str:
    """Return an address with the version of the API: Bifrost appends that itself."""
    return address if re.search(r"/v\d+(beta)?$", address) else f"{address}/v1"


def _by_id(entries: object) -> dict[str, dict[str, Any]]:
    return {str(mapping_of(one).get("id")): mapping_of(one) for one in list_of(entries)}


def _plain(value: object) -> str:
    """Return a text, also from Bifrost's form of a value with an environment variable beside it."""
    if isinstance(value, dict):
        return str(value.get("env_var") or value.get("value") or "")
    return re.sub(r"^env:", "env.", str(value)) if value is not None else ""


def _read(document: Mapping[str, Any], draft: Draft) -> None:
    if not isinstance(document.get("providers"), dict):
        raise ImportRejectedError("it has no mapping `providers`, so it is no config.json of Bifrost")
    _BifrostReader(document, draft).read()


ORIGIN = ImportOrigin(title="Bifrost", docs="https://docs.getbifrost.ai/deployment-guides/config-json", read=_read)
