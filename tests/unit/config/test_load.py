"""All errors of form are reported at once, each with a remedy and without the value."""

import pytest

from pointsman.config.load import load
from pointsman.config.sections import Section


def problems(text: str) -> list[tuple[int | None, str]]:
    return [(problem.line, str(problem)) for problem in load(text.encode()).problems]


WRITTEN_OUT = "; write it without a decimal point and an exponent"


def test_every_error_has_a_line() -> None:
    text = """
version: 2
providers:
  openai:
    keys:
      primary: {value: env.A, wieght: 3}
      spare: {weight: "1"}
models:
  chat:
    targets:
      - {modle: openai/x}
    fallbacks: openai/y
routng: {}
"""
    assert problems(text) == [
        (2, "version: must be 1"),
        (6, "providers.openai.keys.primary.wieght: unknown field; did you mean 'weight'?"),
        (7, "providers.openai.keys.spare.weight: must be a number, not text"),
        (11, "models.chat.targets[0].model: this field is required"),
        (11, "models.chat.targets[0].modle: unknown field; did you mean 'model'?"),
        (12, "models.chat.fallbacks: must be a list, not text"),
        (13, "routng: unknown field; did you mean 'routing'?"),
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("providers: 3", "providers: must be a mapping, not a number"),
        ("providers: {a: [x]}", "providers.a: must be a mapping, not a list"),
        (
            "providers: {a: x}\nmodels: {b: {targets: [{model: x, weight: -1}]}}",
            "models.b.targets[0].weight: must be greater than or equal to 0",
        ),
        (
            "providers: {a: x}\nmodels: {b: {targets: [{model: x, weight: .nan}]}}",
            "models.b.targets[0].weight: must be a finite number, not infinity or not-a-number",
        ),
        (
            "providers: {a: x}\nmodels: {b: {targets: [{model: x, weight: true}]}}",
            "models.b.targets[0].weight: must be a number, not true or false (put it in quotes if it is text)",
        ),
        ("providers: {a: x}\nmodels: {b: []}", "models.b: must not be empty"),
        ("providers: {a: x}\nmodels: {b: [no]}", None),
        (
            "providers: {a: x}\nserver: {workers: 1.5}",
            f"server.workers: must be a whole number, not a number{WRITTEN_OUT}",
        ),
        ("providers: {a: x}\nserver: {workers: 1e1}", f"server.workers: must be a whole number, not text{WRITTEN_OUT}"),
        ("providers: {a: x}\nserver: {workers: sk-1}", "server.workers: must be a whole number, not text"),
        (
            "providers: {a: x}\nserver: {drain_s: 1e1}",
            "server.drain_s: must be a number, not text; write an exponent with point and sign, as in `1.5e+6`",
        ),
        (
            "providers: {a: x}\ndata_dir: 2024-01-01",
            "data_dir: must be text, not a date or time (put it in quotes if it is text)",
        ),
        ("providers: {a: x}\nserver:", "server: must be a mapping, not nothing"),
        ("providers: {a: x}\nserver: {listen: ''}", "server.listen: must not be empty"),
        ("providers: {a: x}\nserver: {drain_s: 0}", "server.drain_s: must be greater than 0"),
        (
            "providers: {a: x}\nlogging: {level: loud}",
            "logging.level: must be 'debug', 'info', 'warning' or 'error'",
        ),
        (
            "providers: {'a/b': x}",
            (
                'providers."a/b": a name must have 1 to 64 letters, digits, dots, dashes or underscores, '
                "and must begin with a letter or digit"
            ),
        ),
        (
            "providers: {a: x}\nmodels: {'a b': [x]}",
            'models."a b": a model name must have 1 to 256 characters and no spaces',
        ),
        (
            "providers: {a: x}\ngovernance: {key_headers: ['a b']}",
            "governance.key_headers[0]: must be the name of an HTTP header",
        ),
        (
            'providers: {a: x}\nmodels: {"b\\u2028": [x]}',
            (
                'models."b\u2028": a model name must have 1 to 256 characters and no spaces; '
                "the character U+2028 is not allowed, remove it"
            ),
        ),
        ("providers: {a: {region: 'é'}}", "providers.a.region: must match ^[a-z0-9-]{1,64}$"),
        (
            "providers: {a: {keys: {b: {aws: {role_arn: x}}}}}",
            (
                "providers.a.keys.b.aws.role_arn: must be the ARN of a role, such as "
                "arn:aws:iam::123456789012:role/gateway"
            ),
        ),
        (
            "providers: {a: {keys: {b: {entra: {tenant: 1}}}}}",
            "providers.a.keys.b.entra.tenant: must be text, not a number",
        ),
        (
            "providers: {a: {keys: {b: {aws: machine}}}}",
            "providers.a.keys.b.aws: must be 'ambient'",
        ),
    ],
)
def test_errors_of_form_have_plain_messages(text: str, problem: str | None) -> None:
    found = [message for _, message in problems(text)]
    if problem is None:
        assert found == ["models.b[0]: must be a mapping, not true or false (put it in quotes if it is text)"]
    else:
        assert found == [problem]


@pytest.mark.parametrize(
    ("text", "path", "name"),
    [
        ("cache: {}", "cache", "cache"),
    ],
)
def test_planned_fields_are_rejected_as_unsupported(text: str, path: str, name: str) -> None:
    assert problems(f"providers: {{a: x}}\n{text}") == [(2, f"{path}: {name!r} is not supported by this version")]


def test_no_planned_field_is_also_a_field() -> None:
    sections = Section.__subclasses__()
    assert len(sections) > 10
    for section in sections:
        assert not section.PLANNED & section.model_fields.keys()


def test_exponent_with_a_sign_is_a_number() -> None:
    assert problems("providers: {a: x}\nserver: {drain_s: 1.5e+1}") == []


def test_messages_never_quote_values() -> None:
    secret = "sk-live-0123456789"
    text = f"""
providers:
  openai: [{secret}]
  groq: {{keys: {{a: {{value: [{secret}]}}}}, base_url: {{x: {secret}}}}}
server: {{workers: {secret}, limits: {secret}}}
logging: {{level: {secret}}}
governance: {{key_headers: ["{secret} x"], require_key: {secret}}}
version: {secret}
"""
    found = problems(text)
    assert len(found) == 9
    assert secret not in str(found)


def test_valid_parts_of_a_faulty_document_are_kept() -> None:
    loaded = load(b"providers: {openai: {bse_url: x, keys: 3}}\n")
    assert loaded.document is not None
    assert loaded.document.providers["openai"].keys == {}
    assert loaded.lost == (("providers", "openai", "keys"),)
    assert load(b"providers: 3").lost == (("providers",),)
    nested = load(b"providers: {openai: env.A}\nmodels: {a: [{model: openai/x, wieght: 1}], b: [openai/y]}")
    assert nested.document is not None
    assert nested.document.models.keys() == {"a", "b"}


def test_only_parts_that_require_a_faulty_field_are_omitted() -> None:
    loaded = load(b"""
providers: {openai: 5, groq: {keys: {a: {}, b: env.B}}, "a b": env.C}
models: {one: [], two: [5, openai/x, {modl: y}], three: {targets: [{model: openai/z}], fallbacks: [{}]}}
governance:
  teams: {red: [], blue: {budgets: [{per: day}, {limit_usd: 1, per: day}, {limit_usd: 1}]}}
  virtual_keys: {me: {team: red}, you: {value: env.YOU, team: blue}}
""")
    document = loaded.document
    assert document is not None
    assert list(document.providers) == ["openai", "groq"], "models refer to groq, so it is kept"
    assert list(document.providers["groq"].keys) == ["a", "b"]
    assert {name: [one.model for one in model.targets] for name, model in document.models.items()} == {
        "two": ["openai/x"],
        "three": ["openai/z"],
    }
    teams = document.governance.teams
    assert {name: [one.limit_usd for one in team.budgets] for name, team in teams.items()} == {"red": [], "blue": [1]}
    assert list(document.governance.virtual_keys) == ["you"]
    assert ("models", "two", "targets") in loaded.lost, "the other targets have new indexes"
    assert ("governance", "teams", "blue", "budgets") in loaded.lost


def test_duplicate_keys_hide_no_other_errors() -> None:
    found = problems("providers: {a: x, a: y}\nversion: 2\nserver: {workers: 1, workers: 2}")
    assert [message for _, message in found] == [
        "providers.a: duplicate key; the first is on line 1",
        "version: must be 1",
        "server.workers: duplicate key; the first is on line 3",
    ]


def test_short_forms_equal_their_full_forms() -> None:
    short = load(b"""
providers: {openai: env.A, ollama: , groq: {keys: {b: env.B}}}
models: {one: openai/x, two: [openai/x, ollama/y], three: {targets: [openai/x]}}
governance: {virtual_keys: {me: env.ME}}
""")
    full = load(b"""
providers:
  openai: {keys: {default: {value: env.A}}}
  ollama: {}
  groq: {keys: {b: {value: env.B}}}
models:
  one: {strategy: priority, targets: [{model: openai/x}]}
  two: {strategy: priority, targets: [{model: openai/x}, {model: ollama/y}]}
  three: {targets: [{model: openai/x}]}
governance: {virtual_keys: {me: {value: env.ME}}}
""")
    assert short.problems == full.problems == ()
    assert short.document == full.document
