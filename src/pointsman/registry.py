"""Finds the members of a package: providers, strategies, policies and commands, one file each.

A member is a module of the package without a leading underscore in its name. It defines one named constant (`PROVIDER`,
`order`, `check` …). A module without it is an error, so a typo cannot silently drop a member. `api` is no member: it
has the types that members share with other packages.
"""

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType


def modules(package: str) -> Iterator[tuple[str, ModuleType]]:
    """Yield name and module for every member of `package`, in alphabetical order."""
    paths = importlib.import_module(package).__path__
    for module in sorted(pkgutil.iter_modules(paths), key=lambda found: found.name):
        if not module.name.startswith("_") and module.name != "api":
            yield module.name, importlib.import_module(f"{package}.{module.name}")


def members(package: str, attribute: str) -> Iterator[tuple[str, object]]:
    """Yield `(module name, value of its attribute)` for every member of `package`, in alphabetical order.

    Raise `AttributeError` for a member without the attribute.
    """
    for name, module in modules(package):
        yield name, getattr(module, attribute)
