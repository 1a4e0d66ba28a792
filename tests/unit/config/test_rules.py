"""Rules of the configuration are compiled, and each fault names its place."""

import json

import pytest

from fakes.configuration import OPEN, checked, compiled, errors, found
from pointsman.domain.rules import Rule
from pointsman.domain.targets import Strategy

BASE = (
    OPEN
    + """
providers: {openai: {keys: {prod: {value: env.OPENAI_API_KEY}}}, groq: env.GROQ_API_KEY}
models: {chat: [openai/gpt-4o-mini]}
routing:
  rules:
"""
)
GOES = "targets: [groq/llama-3.3-70b-versatile]"


def with_rules(*rules: str) -> str:
    return BASE + "".join(f"    - {rule}\n" for rule in rules)


def rule(text: str) -> Rule:
    (found,) = compiled(with_rules(text)).snapshot.rules
    return found


def test_value_alone_makes_a_rule() -> None:
    assert rule("{name: one, when: 'stream', value: 2.5}").value == 2.5
    assert errors(with_rules("{name: one, when: 'stream', value: 0}"))


def test_all_fields_are_compiled() -> None:
    made = rule(
        "{name: one, when: 'stream', chain: true, on_unknown: refuse, provider_key: prod, "
        "targets: [{model: openai/gpt-4o, weight: 3}, {model: groq/llama-3.3-70b-versatile, weight: 1, variant: v}], "
        "fallbacks: [openai/gpt-4o-mini], timeouts: {commit_s: 9}, set: {temperature: 0, user: x}, drop: [seed], "
        "require: {region: [eu]}}"
    )
    assert (made.name, made.level, made.owner, made.condition) == ("one", "global", "", "stream")
    assert (made.chain, made.refuses_unknown, made.provider_key) == (True, True, "prod")
    assert [(item.id, item.weight, item.variant) for item in made.targets] == [
        ("openai/gpt-4o", 3.0, None),
        ("groq/llama-3.3-70b-versatile", 1.0, "v"),
    ]
    assert made.strategy == Strategy("weighted")
    assert [item.id for item in made.fallbacks or ()] == ["openai/gpt-4o-mini"]
    assert (made.timeouts, made.dropped) == ({"commit_s": 9.0}, ("seed",))
    assert {name: bytes(value) for name, value in made.settings.items()} == {"temperature": b"0", "user": b'"x"'}
    assert [(str(one), one.origin) for one in made.requirements] == [("region=eu", "routing rule one")]


@pytest.mark.parametrize(("strategy", "is_warned"), [("", False), ("strategy: priority, ", True)])
def test_weights_of_targets_make_a_rule_weighted(strategy: str, is_warned: bool) -> None:
    text = f"{{name: one, when: stream, {strategy}targets: [{{model: openai/gpt-4o, weight: 3}}]}}"
    problems = [str(problem) for problem in checked(with_rules(text)).problems]
    assert any("has no effect with the strategy `priority`" in problem for problem in problems) == is_warned


def test_headers_of_conditions_are_read() -> None:
    text = with_rules(
        '{name: a, when: \'headers["X-Tier"] == "a" || present(headers, "x-b")\', refuse: {message: denied}}',
        f"{{name: b, when: 'headers.x == \"1\"', {GOES}}}",
    )
    assert compiled(text).snapshot.read_headers == ("x", "x-b", "x-tier")


def test_disabled_rule_is_checked_and_left_out() -> None:
    assert compiled(with_rules(f"{{name: a, enabled: false, {GOES}}}")).snapshot.rules == ()
    assert errors(with_rules(f"{{name: a, enabled: false, when: 'x', {GOES}}}"))


@pytest.mark.parametrize(
    ("when", "problem"),
    [
        ("headrs['x'] == '1'", "unknown variable 'headrs'; did you mean 'headers'? (at column 1 of the condition)"),
        (
            "stream &&\n modle == 'x'",
            "unknown variable 'modle'; did you mean 'model'? (at line 2, column 2 of the condition)",
        ),
        ("headers['x-y'] == 'a' && zzqq", "unknown variable 'zzqq'; the variables are model, "),
        (
            "model == 1",
            "found no matching overload for '_==_' applied to '(string, int)' (at column 7 of the condition)",
        ),
        ("headers['x-a'] == 'b' && model == 1", "'(string, int)' (at column 32 of the condition)"),
        ("model", "must be true or false, but is of type string"),
        ("model ==", "Syntax error: mismatched input '<EOF>'"),
        ("model.matches('[')", "invalid regular expression: missing ]: [ (at column 7 of the condition)"),
        ("in_cidr(client_ip, '10.0.0.0/99')", "'10.0.0.0/99' is not a network; write one such as 10.0.0.0/8"),
        ("sticky(101, user)", "the first argument of sticky is a percentage from 0 to 100"),
        ("headers[model] == 'a'", 'headers takes a literal key, such as headers["x-tier"]'),
        ("headers.exists(x, true)", 'headers takes a literal key, such as headers["x-tier"], and has no functions'),
        ("has(headers.x)", 'use present(headers, "name") to test whether a key exists'),
        ("present(model, 'x')", 'write present(headers, "name"); the other maps with keys are request_tags, params'),
        ("headers.authorization == ''", "the header authorization holds a secret and cannot be read; use key.name"),
        ("headers['X-Goog-Api-Key'] == ''", "the header x-goog-api-key carries virtual keys and cannot be read"),
        ("budget_used.teem > 1", "unknown scope 'teem'; use one of virtual_key, team, customer, max, or provider:NAME"),
        ("budget_used['provider:opnai'] > 1", "unknown provider 'opnai'; did you mean 'openai'?"),
        ("health.opnai == 'failed'", "unknown provider 'opnai'; did you mean 'openai'?"),
        ("price.openai > 1", "'openai' must be provider/model"),
        ("time['Mars'].hour == 1", "unknown time zone 'Mars'; use an IANA name, such as Europe/Berlin"),
        ("time.day == 1", "time alone has no value; write one of time.hour, time.minute, time.weekday"),
        ("key == 'x'", "key alone has no value; write one of key.labels, key.name"),
        ("1 == 2", "the condition is always false, so no request reaches this rule"),
        ("1 / 0 == 1", "the condition always fails: "),
    ],
)
def test_faulty_condition_is_an_error_with_its_position(when: str, problem: str) -> None:
    (message,) = errors(with_rules(f"{{name: a, when: {json.dumps(when)}, {GOES}}}"))
    assert message.startswith("routing.rules[0].when: ")
    assert problem in message


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        ("{name: a, when: 'stream'}", "", "the rule changes nothing; set model, targets, refuse or another change"),
        (f"{{name: a, model: chat, {GOES}}}", "", "set only one of model, targets"),
        (
            "{name: a, refuse: {message: x}, set: {top_p: 1}}",
            "",
            "a rule that refuses requests can change nothing else",
        ),
        (f"{{name: a, scope: 'team:blue', {GOES}}}", ".scope", "unknown team 'blue'"),
        (f"{{name: a, scope: 'teem:blue', {GOES}}}", ".scope", ""),
        (
            "{name: a, model: caht}",
            ".model",
            "no public name and no configured provider serves 'caht'; did you mean 'chat'?",
        ),
        ("{name: a, targets: [nowhere/x]}", ".targets[0]", "unknown provider 'nowhere'"),
        (
            "{name: a, provider_key: prood}",
            ".provider_key",
            "no configured provider has a key 'prood'; did you mean 'prod'?",
        ),
        ("{name: a, set: {messages: x}}", ".set", "the gateway acts on 'messages' before rules are evaluated"),
        ("{name: a, drop: [model]}", ".drop", "the gateway acts on 'model' before rules are evaluated"),
        ("{name: a, set: {max_tokens: 0.5}}", ".set.max_tokens", "must be a whole number of tokens, at least 1"),
        (f"{{name: a, on_unknown: maybe, {GOES}}}", ".on_unknown", ""),
        ("{name: a, strategy: wieghted}", ".strategy", "unknown strategy 'wieghted'"),
    ],
)
def test_faulty_rule_is_an_error_with_its_place(text: str, place: str, problem: str) -> None:
    problems = errors(with_rules(text))
    assert any(one.startswith(f"routing.rules[0]{place}") and problem in one for one in problems), problems


def test_duplicate_name_is_an_error() -> None:
    (message,) = errors(with_rules(f"{{name: a, when: stream, {GOES}}}", f"{{name: a, when: has_tools, {GOES}}}"))
    assert message == "routing.rules[1].name: duplicate rule 'a'; choose another name"


@pytest.mark.parametrize(
    ("first", "second", "is_unreachable"),
    [
        ("when: stream", "when: ' stream '", True),
        ("when: stream, on_unknown: refuse", "when: stream", True),
        ("when: stream", "when: stream, on_unknown: refuse", False),
        ("when: stream, chain: true", "when: stream", False),
        ("when: stream, enabled: false", "when: stream", False),
        ("when: stream", "when: '!stream'", False),
        ("when: 'sticky(50, user)'", "when: 'sticky(50, user)'", False),
    ],
)
def test_rule_with_the_condition_of_an_earlier_one_is_unreachable(
    first: str, second: str, *, is_unreachable: bool
) -> None:
    outcome = checked(with_rules(f"{{name: a, {first}, {GOES}}}", f"{{name: b, {second}, {GOES}}}"))
    message = "no request reaches this rule, because the rule 'a' before it has the same condition"
    assert found(outcome) == ([f"routing.rules[1]: {message}"] if is_unreachable else [])


def test_rule_after_one_that_always_matches_is_unreachable() -> None:
    (message,) = errors(with_rules(f"{{name: all, {GOES}}}", f"{{name: late, when: stream, {GOES}}}"))
    assert message == (
        "routing.rules[1]: no request reaches this rule, because the rule 'all' before it matches every request"
    )
    chained = with_rules("{name: all, set: {top_p: 1}, chain: true}", f"{{name: late, when: stream, {GOES}}}")
    assert checked(chained).compiled is not None
    others = "{name: mine, scope: 'team:red', drop: [seed]}"
    text = with_rules(others, f"{{name: late, when: stream, {GOES}}}") + "governance: {teams: {red: {}}}\n"
    assert checked(text.replace(OPEN, "").replace("teams", "require_key: false, teams")).compiled is not None


def with_facts(*facts: str) -> str:
    return BASE.partition("routing:")[0] + f"logging: {{facts: {json.dumps(facts)}}}\n"


def test_logged_facts_are_named_with_dots_or_brackets() -> None:
    facts = (
        "headers.X-Tier", 'headers["x-team"]', "params.temperature", 'params["store"]', "team", "key.labels.plan",
        'time["Europe/Berlin"].hour', 'present(headers, "x-a")', "price.groq/llama-3.3-70b-versatile",
        'headers["x-tier"]',
    )  # fmt: skip
    snapshot = compiled(with_facts(*facts)).snapshot
    assert snapshot.logged_facts == (
        'headers["x-tier"]', 'headers["x-team"]', 'params["temperature"]', 'params["store"]', "team",
        'key.labels["plan"]', 'time["Europe/Berlin"].hour', 'present(headers, "x-a")',
        'price["groq/llama-3.3-70b-versatile"]',
    )  # fmt: skip
    assert snapshot.read_headers == ("x-a", "x-team", "x-tier")


@pytest.mark.parametrize(
    ("fact", "message"),
    [
        ("header.x-tier", "did you mean 'headers'?"),
        ("modle", "did you mean 'model'?"),
        ("zzzz", "is not a fact; the facts are model, request_type"),
        ("headers", 'takes a literal key, such as headers["x-tier"]'),
        ("headers.Authorization", "holds a secret"),
        ('headers["cookie"]', "holds a secret"),
        ("headers.x-goog-api-key", "carries virtual keys"),
        ("budget_used.planet", "unknown scope 'planet'"),
        ("health.grok", "did you mean 'groq'?"),
        ('team == "a"', "is not a fact"),
        ("team team", "is not a fact"),
        ('time["Mars/Base"].hour', "unknown time zone"),
        ("time.minutes", "time alone has no value; write one of time.hour, time.minute, time.weekday"),
    ],
)
def test_faulty_fact_is_an_error_with_its_place(fact: str, message: str) -> None:
    (problem,) = errors(with_facts("team", fact))
    assert problem.startswith("logging.facts[1]: ")
    assert message in problem
