"""Virtual keys are compiled into digests, and open mode is limited to loopback."""

from hashlib import sha256

import pytest

from fakes.configuration import ENVIRON, checked, compiled, errors, found

BASE = "providers: {openai: env.OPENAI_API_KEY}\n"
DIGEST = sha256(ENVIRON["CLIENT_KEY"].encode())


def test_only_digests_are_kept() -> None:
    snapshot = compiled(BASE + "governance: {virtual_keys: {me: env.CLIENT_KEY}}").snapshot
    assert snapshot.require_key
    assert snapshot.virtual_keys.keys() == {DIGEST.digest()}
    assert snapshot.virtual_keys[DIGEST.digest()].name == "me"
    assert ENVIRON["CLIENT_KEY"] not in repr(snapshot)


def test_a_digest_in_the_file() -> None:
    text = f"governance: {{virtual_keys: {{me: {{value: 'sha256:{DIGEST.hexdigest().upper()}'}}}}}}"
    assert compiled(BASE + text).snapshot.virtual_keys.keys() == {DIGEST.digest()}


def test_near_limit_is_set_globally_and_for_one_key() -> None:
    text = "governance: {%svirtual_keys: {me: {value: env.CLIENT_KEY%s}}}"
    for setting, of_key, all_of_them, one in (
        ("", "", "refuse", None),
        ("near_limit: shorten, ", "", "shorten", None),
        ("near_limit: shorten, ", ", near_limit: refuse", "shorten", "refuse"),
    ):
        snapshot = compiled(BASE + text % (setting, of_key)).snapshot
        assert (snapshot.near_limit, snapshot.virtual_keys[DIGEST.digest()].near_limit) == (all_of_them, one)


def test_key_has_the_labels_of_its_team_and_customer_and_its_own() -> None:
    text = """governance:
  customers: {acme: {labels: {plan: gold, region: eu, tier: one}}}
  teams: {red: {customer: acme, labels: {region: us, tier: two}}}
  virtual_keys: {me: {value: env.CLIENT_KEY, team: red, labels: {tier: three}}}
"""
    assert compiled(BASE + text).snapshot.virtual_keys[DIGEST.digest()].labels == {
        "plan": "gold",
        "region": "us",
        "tier": "three",
    }


def test_key_headers_are_lower_case_and_in_order() -> None:
    text = "governance: {require_key: false, key_headers: [X-My-Key, authorization]}"
    assert compiled(BASE + text).snapshot.key_headers == ("x-my-key", "authorization")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{virtual_keys: {a: env.MISSING}}", "governance.virtual_keys.a: the environment variable MISSING is not set"),
        ("{virtual_keys: {a: ''}}", "governance.virtual_keys.a: a virtual key must not be empty"),
        ("{virtual_keys: {a: 'sha256:12'}}", "governance.virtual_keys.a: `sha256:` must be followed by 64"),
        (
            "{virtual_keys: {a: pm-live}}",
            (
                "governance.virtual_keys.a: a secret must not be in this file; "
                "use env.NAME or file:PATH, or `sha256:` and the key's SHA-256"
            ),
        ),
        (
            f"{{virtual_keys: {{a: env.CLIENT_KEY, b: 'sha256:{DIGEST.hexdigest()}'}}}}",
            "governance.virtual_keys.b: is also the value of the key 'a'; give each key its own",
        ),
        (
            "{virtual_keys: {a: 'file:must not be in'}}",
            "governance.virtual_keys.a: file:must not be in cannot be read: No such file or directory",
        ),
        (
            "{require_key: false, key_headers: [Cookie]}",
            "governance.key_headers[0]: this header has another use and cannot carry a key; choose another",
        ),
        ("{require_key: false, key_headers: [x-a, X-A]}", "governance.key_headers[1]: duplicate header"),
    ],
)
def test_invalid_virtual_keys_are_errors(text: str, problem: str) -> None:
    (message,) = errors(f"{BASE}governance: {text}")
    assert message.startswith(problem)
    assert "pm-live" not in message
    assert ("SHA-256" in message) == ("SHA-256" in problem)


@pytest.mark.parametrize("listen", [":8080", "0.0.0.0:8080", "[::]:8080", "gateway.example:8080"])
def test_open_mode_requires_a_loopback_address(listen: str) -> None:
    (message,) = errors(f"{BASE}governance: {{require_key: false}}\nserver: {{listen: '{listen}'}}")
    assert message.startswith("governance.require_key: must be `true`, or server.listen must be a loopback address")


def test_short_key_is_a_warning_and_an_optional_one_a_note() -> None:
    text = BASE + "governance: {require_key: false, virtual_keys: {a: env.SHORT}}"
    outcome = checked(text, {**ENVIRON, "SHORT": "letmein"})
    assert found(outcome, "warning") == [
        "governance.virtual_keys.a: has fewer than 20 characters and can be guessed; use a longer random key"
    ]
    assert found(outcome, "note") == [
        "governance.require_key: virtual keys are defined, but requests without a key are also accepted"
    ]


def test_key_with_a_previous_value_has_two_digests_and_is_one_object() -> None:
    text = "governance: {virtual_keys: {me: {value: env.CLIENT_KEY, previous_value: env.OLD_KEY}}}"
    keys = compiled(BASE + text, {**ENVIRON, "OLD_KEY": "pm-the-key-of-last-month"}).snapshot.virtual_keys
    assert keys.keys() == {DIGEST.digest(), sha256(b"pm-the-key-of-last-month").digest()}
    assert len(set(map(id, keys.values()))) == 1, "one object, so rights and limits are shared"


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        (
            "{me: {value: env.CLIENT_KEY, previous_value: env.CLIENT_KEY}}",
            "me.previous_value: is the same as `value`; set `value` to the new key",
        ),
        (
            "{me: {value: env.CLIENT_KEY}, you: {value: env.OPENAI_API_KEY, previous_value: env.CLIENT_KEY}}",
            "you.previous_value: is also the value of the key 'me'; give each key its own",
        ),
        (
            "{me: {value: env.CLIENT_KEY, previous_value: pm-plain}}",
            "me.previous_value: a secret must not be in this file",
        ),
    ],
)
def test_previous_value_is_checked_like_a_value(keys: str, problem: str) -> None:
    (error,) = errors(BASE + f"governance: {{virtual_keys: {keys}}}")
    assert error.startswith(f"governance.virtual_keys.{problem}")


def test_provider_entry_may_name_keys_of_its_provider() -> None:
    text = """
providers: {openai: {keys: {prod: env.OPENAI_API_KEY, dev: env.GROQ_API_KEY}}}
governance: {virtual_keys: {a: {value: env.OPENAI_API_KEY, providers: {openai: {keys: [%s]}}}}}
"""
    (key,) = compiled(text % "dev").snapshot.virtual_keys.values()
    assert key.entries["openai"].keys == frozenset({"dev"})
    (error,) = errors(text % "pord")
    assert error.startswith("governance.virtual_keys.a.providers.openai.keys[0]: unknown key of openai 'pord'")
    assert "prod" in error
    assert errors(text % "")


def test_key_has_the_rights_of_its_template_where_it_sets_none_itself() -> None:
    text = """governance:
  teams: {red: {}}
  access_templates:
    members: {team: red, budgets: [{limit_usd: 5, per: day}], allow_models: [gpt-4o], near_limit: shorten}
  virtual_keys: {me: {value: env.CLIENT_KEY, template: members, allow_models: [gpt-4o-mini]}}
"""
    outcome = compiled(BASE + text)
    key = outcome.snapshot.virtual_keys[DIGEST.digest()]
    assert (key.team, key.allow_models, key.near_limit) == ("red", ("gpt-4o-mini",), "shorten")
    assert [(one.owner, one.amount) for one in key.limits] == [("virtual_key:me", 5_000_000_000)]
    assert [(one.name, one.team, one.at_most) for one in outcome.templates] == [("members", "red", 3)]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("access_templates: {t: {}}", "governance.access_templates.t.team: this field is required"),
        ("access_templates: {t: {team: nope}}", "governance.access_templates.t.team: unknown team 'nope'"),
        (
            "teams: {a: {}}, access_templates: {t: {team: a, providers: [nope]}}",
            "governance.access_templates.t.providers: unknown provider 'nope'",
        ),
        (
            "virtual_keys: {me: {value: env.CLIENT_KEY, template: nope}}",
            "governance.virtual_keys.me.template: unknown access template 'nope'",
        ),
        (
            "teams: {a: {},b: {}},access_templates: {t: {team: a}},virtual_keys: {m: {team: b, template: t, value: x}}",
            "governance.virtual_keys.m.team: the template 't' is for the team 'a'; remove one of the two",
        ),
    ],
)
def test_faulty_template_is_an_error(text: str, problem: str) -> None:
    assert any(one.startswith(problem) for one in errors(f"{BASE}governance: {{require_key: false, {text}}}"))
