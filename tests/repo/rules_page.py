"""The reference page of rules: every fact that a condition can read, with an example, and the functions."""

from collections.abc import Iterator

from pointsman.routing.conditions.facts import ABSENT, FACTS, MAPS
from pointsman.routing.conditions.programs import Compiler
from pointsman.routing.rulebook import MAX_CHAIN
from pointsman.wire.params import FIXED, MAX_BYTES, Kind

INTRODUCTION = f"""# Routing rules

A rule has a condition (`when`), and the changes to requests that match it. [The guide](../guides/rules.md) begins
with examples. [The configuration](config.md#routingrules) lists all fields of a rule.

## Evaluation

1. The scopes come in this order: the virtual key of the request, its team, its customer, `global`.
2. Within a scope, the order of the list counts. Rules with `enabled: false` are left out.
3. The first rule that matches changes the request, and no other rule is evaluated.
4. If that rule has `chain: true`, all rules are evaluated again for the changed request. Each rule matches a
   request at most once, so there are no cycles. At most {MAX_CHAIN} rules match one request.
5. In a chain, the last match counts for each field. `require`, `set`, `drop` and `timeouts` of all matches are
   merged. A rule that sets `model` or `targets` replaces earlier targets and fallbacks.

A rule never widens rights. Its targets must be among the `providers` and `allow_models` of the virtual key, and
must meet all requirements. `model` replaces the requested model, but the public name's `require` still holds.

A rule without `when` always matches. `pointsman check` reports a rule after it in the same scope, since no request
can reach that one. It also reports unknown names, wrong types, and conditions that are always false, each with its
place.

## Results

Only a condition that is true matches. There are two other cases:

| case | example | result |
|---|---|---|
| a fact is unknown now | a used share while control is away, or a price that nobody set | `unknown` |
| the evaluation fails | a division by zero | `error` |

The rule then does not match, and the next one is evaluated. With `on_unknown: refuse`, the request is rejected with
503 `rule_undecided`. A part of a condition that decides alone is enough: `stream || budget_used.team > 80` holds
for a stream, even if the used share is unknown. `pointsman explain`, the request's record and the metric
`pointsman_rule_results_total` show such results.

## Variables

A value that the request does not have is not unknown. It has the value in the column *absent*.
"""

TYPES: dict[Kind, str] = {
    "text": "text",
    "number": "number",
    "integer": "whole number",
    "flag": "true or false",
}

# Absent values that differ from those of their type. Facts in `ALWAYS` always have a value.
ABSENCES = {
    "client_ip": "unknown, as in `explain` without `--client`",
    "budget_used": "`0` if there is no such limit; unknown if control is away",
    "tokens_used": "`0` if there is no such limit; unknown if control is away",
    "requests_used": "`0` if there is no such limit; unknown if control is away",
    "health": '`"healthy"` before the first attempt',
    "price": "unknown if the model has no price",
    "params": '`""`, `-1` or `false`, by its use',
}
ALWAYS = frozenset({"request_type", "stream", "prompt_tokens", "has_tools", "has_images"})

EXAMPLES = {
    "model": 'model.startsWith("gpt-")',
    "request_type": 'request_type in ["embedding", "image"]',
    "stream": "!stream",
    "prompt_tokens": "prompt_tokens > 8000",
    "max_tokens": "max_tokens > 0 && max_tokens <= 256",
    "has_tools": "has_tools && !stream",
    "has_images": "has_images",
    "complexity": 'complexity == "complex"',
    "user": "sticky(10, user)",
    "client_ip": 'in_cidr(client_ip, "10.0.0.0/8")',
    "key.name": 'key.name == "nightly"',
    "team": 'team in ["research", "support"]',
    "customer": 'customer == "acme"',
    "time.hour": 'time["Europe/Berlin"].hour >= 18',
    "time.minute": "time.minute < 30",
    "time.weekday": 'time["Europe/Berlin"].weekday >= 6',
    "headers": 'headers["x-tier"] == "premium"',
    "params": 'params["temperature"] > 0.5',
    "request_tags": 'request_tags["feature"] == "search"',
    "key.labels": 'key.labels["environment"] == "dev"',
    "budget_used": "budget_used.team >= 80",
    "tokens_used": "tokens_used.virtual_key > 50",
    "requests_used": 'requests_used["provider:openai"] > 90',
    "health": 'health["openai"] in ["degraded", "failed"]',
    "price": 'price["openai/gpt-4o"] > 0.05',
}

FUNCTIONS = (
    (
        'present(headers, "x-tier")',
        "True if the request has this key, even an empty one. Also for `params`, `request_tags` and `key.labels`.",
        'present(headers, "x-tier")',
    ),
    (
        "sticky(percent, value)",
        "True for this percentage of all values, always the same ones. An empty value never matches.",
        "sticky(12.5, user)",
    ),
    (
        'in_cidr(address, "network")',
        "True if the address is in the network, of IPv4 or IPv6. A text that is no address is in none.",
        'in_cidr(client_ip, "2001:db8::/32")',
    ),
    (
        "matches(pattern)",
        "True if a part of the text matches the regular expression, in RE2's syntax.",
        'headers["user-agent"].matches("^curl/")',
    ),
    (
        "startsWith, endsWith, contains",
        "Compare a part of a text.",
        'model.endsWith("-mini") || model.contains("haiku")',
    ),
    (
        "lowerAscii, upperAscii, trim, replace, split, substring, size",
        "CEL's functions of texts, with its extension for strings.",
        'headers["x-tier"].trim().lowerAscii() == "premium"',
    ),
    (
        "exists, all, exists_one, filter, map",
        "CEL's macros, which work on lists.",
        '["eu-", "uk-"].exists(prefix, team.startsWith(prefix))',
    ),
    (
        "int, double, string",
        "Convert a value. A text that is no number is an error, so the rule does not match.",
        'int(headers["x-priority"]) >= 3',
    ),
    (
        "math.greatest, math.least, math.abs, math.ceil, math.floor",
        "CEL's extension for numbers.",
        "math.greatest(max_tokens, prompt_tokens) > 4000",
    ),
    (
        "&&, ||, !, ?:, in, ==, !=, <, <=, >, >=, +, -, *, /, %",
        "CEL's operators. `//` begins a comment.",
        "has_tools ? stream : !stream",
    ),
)

NUMBERS = (
    ("budget_used.team >= 80", "A whole literal on the right of a fraction becomes one."),
    ("80.0 <= budget_used.team", "On the left, write the fraction yourself."),
    ('params["n"] in [1.0, 2.0]', "In a list, too."),
    ('price["openai/gpt-4o"] * 1000.0 > 2.5', "In arithmetic, too."),
    ("double(prompt_tokens) > tokens_used.max", "`double` converts a whole number."),
)


def page() -> str:
    """Return the page. Every example on it has compiled."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    assert EXAMPLES.keys() == FACTS.keys() | MAPS.keys(), "each fact has an example"
    yield INTRODUCTION
    yield "| variable | type | absent | meaning | example |"
    yield "|---|---|---|---|---|"
    for name, fact in FACTS.items():
        yield _row(name, TYPES[fact.kind], _absence(name, fact.kind), fact.meaning, EXAMPLES[name])
    yield "\n## Maps\n"
    yield 'A key is a literal text, as in `headers["x-tier"]` or `key.labels.tier`. It cannot be a variable.\n'
    yield "| map | type | absent | meaning | example |"
    yield "|---|---|---|---|---|"
    for name, kind in MAPS.items():
        yield _row(
            name, TYPES[kind.kind] if kind.kind else "any", _absence(name, kind.kind), kind.meaning, EXAMPLES[name]
        )
    yield _TYPE_OF_PARAMETERS
    yield "| function | meaning | example |"
    yield "|---|---|---|"
    for usage, meaning, example in FUNCTIONS:
        yield f"| `{_cell(usage)}` | {_cell(meaning)} | {_code(example)} |"
    yield _NUMBERS_HEADING
    yield "| condition | reason |"
    yield "|---|---|"
    for example, reason in NUMBERS:
        yield f"| {_code(example)} | {reason} |"
    yield _PARAMETERS
    yield ", ".join(f"`{name}`" for name in sorted(FIXED)) + ".\n"


_TYPE_OF_PARAMETERS = f"""
A parameter has the type of the literal that it is compared with. Without one, its name decides: `temperature` is a
number, `store` is true or false, and unknown names are texts. A value of another type is unknown. A list, an object,
and a value of more than {MAX_BYTES:,} bytes are absent.

Headers that carry secrets (`authorization`, `cookie`, those of virtual keys) cannot be read.

## Functions
"""

_NUMBERS_HEADING = """
`sticky` is salted with the name of its rule, so two rules split independently. A higher percentage keeps all values of
a lower one. CEL's `has()` is not available; use `present`.

## Whole and fractional numbers

CEL does not compare a whole number with a fraction. Used shares, prices and numeric parameters are fractions;
tokens and times are whole numbers."""

_PARAMETERS = """
## Parameters that a rule changes

`set` and `drop` change fields at the top of the body. `max_tokens` is the bound of the answer in every dialect,
whatever its name there is; `user` is the end user. A body that the gateway passes on unread, such as a form, stays
as it is.

The gateway acts on these fields before rules are evaluated, so a rule cannot change them:
"""


def _absence(name: str, kind: Kind | None) -> str:
    if name in ALWAYS or name.startswith("time."):
        return ""
    if name in ABSENCES:
        return ABSENCES[name]
    assert kind is not None, name
    value = ABSENT[kind]
    return '`""`' if value == "" else f"`{value:g}`"


def _row(name: str, kind: str, absent: str, meaning: str, example: str) -> str:
    return f"| `{name}` | {kind} | {absent} | {_cell(meaning)} | {_code(example)} |"


def _code(example: str) -> str:
    """Return a condition as a cell of a table, after it has compiled."""
    compiler = Compiler()
    compiler.check(example, compiler.declare(example, "example"))
    return f"`{_cell(example)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
