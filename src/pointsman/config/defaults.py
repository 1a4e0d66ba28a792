"""The configuration of a gateway without a file: every provider whose usual variable is set, and one key."""

import json
import secrets
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from msgspec import Struct

from pointsman.config.compile import Checked, compile_document
from pointsman.config.load import Loaded, load
from pointsman.config.overrides import default_data_dir
from pointsman.config.problems import Problem
from pointsman.config.resource import Resource
from pointsman.config.schema import Document
from pointsman.config.source import Source
from pointsman.providers import PROVIDERS

SMALLEST_FILE = """\
version: 1
providers:
  openai: env.OPENAI_API_KEY
governance:
  virtual_keys:
    me: {value: env.MY_GATEWAY_KEY}
"""


class Default(Struct, frozen=True):
    """A configuration made from the environment. `virtual_key` is the key that clients present, if it is new: only its
    digest is kept, so it must be shown."""

    document: Document
    virtual_key: str | None


def default_document(environ: Mapping[str, str], kept: str | None = None) -> Default | Problem:
    """Configure every known provider with an address whose variable is set, and one virtual key. The key is new, or the
    one whose SHA-256 was `kept`, as 64 hexadecimal digits. Return a problem if no variable is set."""
    variables = {
        provider.key_env: name
        for name, provider in sorted(PROVIDERS.items())
        if provider.key_env is not None and provider.base_url is not None
    }
    found = {name: f"env.{variable}" for variable, name in variables.items() if environ.get(variable)}
    if not found:
        message = (
            "there is no configuration file, and no provider's variable is set. "
            f"Set one of {', '.join(sorted(variables))}; or write a file and name it with --config. "
            f"The smallest one is:\n\n{SMALLEST_FILE}"
        )
        return Problem("", message)
    providers: dict[str, object] = dict(found)
    if len(found) == 1:
        # With a single provider, a bare model name is unambiguous.
        providers = {name: {"keys": {"default": value}, "serves": ["*"]} for name, value in found.items()}
    virtual_key = f"pm-{secrets.token_urlsafe(32)}" if kept is None else None
    digest = kept if virtual_key is None else sha256(virtual_key.encode()).hexdigest()
    data = {
        "data_dir": str(default_data_dir(environ)),
        "providers": providers,
        "governance": {"virtual_keys": {"default": {"value": f"sha256:{digest}"}}},
    }
    return Default(Document.model_validate(data), virtual_key)


def compile_default(
    default: Default, environ: Mapping[str, str], folder: Path = Path(), resources: Sequence[Resource] = ()
) -> Checked:
    """Compile it with the resources that were made by API; relative paths start at `folder`."""
    content = json.dumps(default.document.model_dump(mode="json", exclude_unset=True)).encode()
    loaded = Loaded(default.document, Source({}, {}), content=content)
    return compile_document(load(content, resources) if resources else loaded, folder, environ)
