"""Kinds of conditions, a file each: `checks(settings)` returns the checks of a rule.

The type of `settings` is the schema of the configuration beside the kind's name. Every setting has a default. A plain
value in the configuration sets the first one.
"""

from collections.abc import Callable, Sequence
from typing import cast, get_type_hints

from pointsman.alerting.api import AlertKind, Check
from pointsman.registry import modules

KINDS: dict[str, AlertKind] = {
    name: AlertKind(
        cast("Callable[[object], Sequence[Check]]", module.checks),
        get_type_hints(module.checks)["settings"],
        (module.__doc__ or "").strip(),
        get_type_hints(module.checks)["settings"].__struct_fields__[0],
    )
    for name, module in modules(__name__)
}
