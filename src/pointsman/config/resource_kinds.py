"""The kinds of resources that the admin API makes, and their places in the configuration document."""

import re
from collections.abc import Callable, Mapping
from hashlib import sha256

from msgspec import Struct
from pydantic import TypeAdapter, ValidationError

from pointsman.config.resource import Spec
from pointsman.config.routing_schema import expand_model
from pointsman.config.sections import ModelName, Name
from pointsman.config.source import Location

_PLAIN = re.compile(r"[A-Za-z0-9._=;-]{1,180}")
_OWNERS = ("virtual_key", "team", "customer")


class ResourceKind(Struct, frozen=True, kw_only=True):
    """A kind of resources. `plural` is its name in paths and commands. `place` is where the document has them: a
    mapping by name, or a list if there is `name_in`, which returns the name of an item. `section` is the name of their
    schema. `expand` returns the full form of a content."""

    name: str
    plural: str
    place: Location
    section: str
    name_in: Callable[[Mapping[str, object]], str] | None = None
    has_model_names: bool = False
    expand: Callable[[str, Spec], Spec] = lambda _, spec: spec

    def full(self, name: str, spec: Spec) -> Spec:
        """Return the content under a name in its full form. A rule has its name in itself."""
        return self.expand(name, spec)

    def problem_with(self, name: str) -> str | None:
        """Return the reason if this is no name for a resource of the kind."""
        if name in {".", ".."}:  # browsers and libraries change such a path
            return "a name must not be only dots"
        try:
            (_MODEL_NAME if self.has_model_names else _NAME).validate_python(name)
        except ValidationError:
            if self.has_model_names:
                return "a name must have 1 to 256 characters and no spaces"
            return (
                "a name must have 1 to 64 letters, digits, dots, dashes or underscores, and must begin with a letter "
                "or digit"
            )
        return None


def _full_provider(_: str, spec: Spec) -> Spec:
    if isinstance(spec, str):
        spec = {"keys": {"default": spec}}
    keys = spec.get("keys") if isinstance(spec, Mapping) else None
    if not isinstance(keys, Mapping):
        return {} if spec is None else spec
    return {**spec, "keys": {name: {"value": key} if isinstance(key, str) else key for name, key in keys.items()}}


def _full_model(_: str, spec: Spec) -> Spec:
    return expand_model(spec)


def _full_rule(name: str, spec: Spec) -> Spec:
    return {"name": name, **spec} if isinstance(spec, Mapping) else spec


def _rule_name(item: Mapping[str, object]) -> str:
    return str(item.get("name", ""))


def price_name(item: Mapping[str, object]) -> str:
    """Return the name of a price: its model, and the owner it is for, such as `openai/gpt-4o;team=research`."""
    owners = [f";{owner}={item[owner]}" for owner in _OWNERS if item.get(owner) is not None]
    return f"{item.get('model', '')}{''.join(owners)}"


def default_name(item: Mapping[str, object]) -> str:
    """Return the name of default limits: the kind of owner, and the selection among the owners, such
    as `virtual_key;team=research`. If that has unusual characters, or many, a digest replaces it."""
    labels = item.get("labels")
    named = [(field, item.get(field)) for field in ("team", "customer")]
    named += sorted((f"label.{name}", text) for name, text in labels.items()) if isinstance(labels, Mapping) else []
    text = ";".join(f"{field}={value}" for field, value in named if value is not None)
    if text and not _PLAIN.fullmatch(text):
        text = f"selector-{sha256(text.encode(errors='replace')).hexdigest()[:12]}"
    return ";".join(filter(None, (str(item.get("each", "")), text)))


_NAME: TypeAdapter[str] = TypeAdapter(Name)
_MODEL_NAME: TypeAdapter[str] = TypeAdapter(ModelName)

# In the order in which a person reads them, and in which `export` writes them.
_ALL = (
    ResourceKind(
        name="provider", plural="providers", place=("providers",), section="ProviderSettings", expand=_full_provider
    ),
    ResourceKind(
        name="model",
        plural="models",
        place=("models",),
        section="ModelSettings",
        has_model_names=True,
        expand=_full_model,
    ),
    ResourceKind(
        name="rule",
        plural="rules",
        place=("routing", "rules"),
        section="RuleSettings",
        name_in=_rule_name,
        expand=_full_rule,
    ),
    ResourceKind(name="customer", plural="customers", place=("governance", "customers"), section="CustomerSettings"),
    ResourceKind(name="team", plural="teams", place=("governance", "teams"), section="TeamSettings"),
    ResourceKind(
        name="access_template",
        plural="access-templates",
        place=("governance", "access_templates"),
        section="AccessTemplateSettings",
    ),
    ResourceKind(
        name="default",
        plural="defaults",
        place=("governance", "defaults"),
        section="DefaultSettings",
        name_in=default_name,
        has_model_names=True,
    ),
    ResourceKind(
        name="price",
        plural="prices",
        place=("pricing", "overrides"),
        section="PriceSettings",
        name_in=price_name,
        has_model_names=True,
    ),
)
KINDS: Mapping[str, ResourceKind] = {kind.name: kind for kind in _ALL}
"""The kinds by name."""
