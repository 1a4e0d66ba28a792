"""The complexity of requests: clear cases in many languages and every dialect, bounded time."""

import json
from collections.abc import Callable
from time import thread_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.clock import pace
from fakes.wire import parse
from pointsman.domain.calls import Call
from pointsman.wire.complexity import LEVELS, complexity, features, judge
from pointsman.wire.complexity_weights import WEIGHTS
from pointsman.wire.complexity_words import PARTS, WORDS
from pointsman.wire.last_question import LastQuestion

CONTRACT = "The parties agree on the following terms, which replace all earlier ones. " * 40
SIMPLE = "What is the capital of Finland?"
HARD = "Prove that every finite integral domain is a field, and generalise the argument."


def ask(text: str) -> Call:
    return parse({"model": "m", "messages": [{"role": "user", "content": text}]})


@pytest.mark.parametrize(
    ("level", "text"),
    [
        ("simple", SIMPLE),
        ("simple", "Translate into Spanish: good morning"),
        ("simple", "Wie viele Minuten hat ein Tag?"),
        ("simple", "Traduis en anglais : « Il fait froid. »"),
        ("simple", "¿Cuál es la capital de Chile?"),
        ("simple", "Сколько дней в неделе?"),
        ("simple", "德国的首都是哪里?"),
        ("simple", "「猫」を英語に訳してください。"),
        ("simple", "जापान की राजधानी क्या है?"),
        ("simple", f"Translate this into French.\n\n{CONTRACT}"),
        ("simple", f"{CONTRACT}\n\nWhat is the name of the seller?"),
        ("medium", "Write a friendly invitation to a housewarming party, about 80 words."),
        ("medium", "Explain the difference between weather and climate with an example."),
        ("medium", "Schreibe eine höfliche E-Mail an meinen Vermieter wegen der kaputten Heizung."),
        ("medium", "Explique la différence entre un virus et une bactérie avec des exemples."),
        ("medium", "Escribe una carta breve para pedir vacaciones en agosto."),
        ("medium", "请写一封邮件,邀请客户参加我们的产品发布会。"),
        ("medium", "जलवायु और मौसम का अंतर उदाहरण के साथ समझाइए।"),
        ("medium", f"Summarise this in five bullet points for my team, with an example.\n\n{CONTRACT}"),
        ("complex", HARD),
        (
            "complex",
            "Design a distributed lock service with failover across three regions, and justify its guarantees.",
        ),
        ("complex", "Beweise, dass es unendlich viele Primzahlen gibt, und verallgemeinere den Beweis."),
        ("complex", "Démontrez que toute fonction continue sur un compact est bornée."),
        ("complex", "Demuestra que la raíz de 5 es irracional y analiza el caso general."),
        ("complex", "Докажите, что множество простых чисел бесконечно."),
        ("complex", "证明:素数有无限多个,并分析证明的推广。"),
        ("complex", "√5が無理数であることを証明せよ。"),
        ("complex", f"Analyse which of these clauses are void, assess our liability and the risks.\n\n{CONTRACT}"),
    ],
)
def test_clear_case(level: str, text: str) -> None:
    assert complexity(ask(text)) == level


@pytest.mark.parametrize(
    ("path", "dialect", "body"),
    [
        ("/chat/completions", "openai", lambda text: {"messages": [{"role": "user", "content": text}]}),
        ("/responses", "openai", lambda text: {"input": text}),
        (
            "/responses",
            "openai",
            lambda text: {"input": [{"role": "user", "content": [{"type": "input_text", "text": text}]}]},
        ),
        ("/completions", "openai", lambda text: {"prompt": text}),
        (
            "/messages",
            "anthropic",
            lambda text: {"max_tokens": 9, "system": "be kind", "messages": [{"role": "user", "content": text}]},
        ),
        (
            "/messages",
            "anthropic",
            lambda text: {"max_tokens": 9, "messages": [{"role": "user", "content": [{"type": "text", "text": text}]}]},
        ),
    ],
)
def test_every_dialect_is_judged_alike(path: str, dialect: str, body: Callable[[str], dict[str, object]]) -> None:
    for text, level in ((SIMPLE, "simple"), (HARD, "complex")):
        assert complexity(parse({"model": "m", **body(text)}, path, dialect=dialect)) == level


def test_request_without_a_prompt_has_no_complexity() -> None:
    assert complexity(parse({"model": "m", "input": HARD}, "/embeddings")) == ""
    assert complexity(parse({"model": "m", "prompt": HARD}, "/images/generations")) == ""
    assert complexity(parse({"model": "m", "input": [1, 2]}, "/responses")) == ""


@pytest.mark.parametrize("text", ["", "   \n"])
def test_empty_prompt_is_simple(text: str) -> None:
    assert complexity(ask(text)) == "simple"


def test_only_the_last_question_counts() -> None:
    messages = [
        {"role": "user", "content": HARD},
        {"role": "assistant", "content": "Let R be a finite integral domain."},
        {"role": "user", "content": SIMPLE},
    ]
    assert complexity(parse({"model": "m", "messages": messages})) == "simple"


@given(st.text(max_size=3000))
def test_any_text_has_the_same_complexity_each_time(text: str) -> None:
    question = LastQuestion(text, "", len(text))
    level = judge(question)
    assert level in LEVELS
    assert judge(question) == level
    assert all(abs(value) <= 4 for value in features(question).values())


def test_usual_prompt_takes_microseconds() -> None:
    calls = [ask(text) for text in (SIMPLE, HARD, f"Translate this into French.\n\n{CONTRACT}")]
    assert _least_s(lambda: [complexity(call) for call in calls * 20]) / 60 < 0.000_3 * pace()


@pytest.mark.parametrize(
    "unit", ["a", "a ", "prove ", "\n", " \n", "\n \n", "; ", "```", '"', ": ", "\\", "{", "é'", "証", "\u0301", "?"]
)
def test_time_of_a_hostile_text_is_bounded(unit: str) -> None:
    call = ask(unit * (1_000_000 // len(unit.encode())))
    assert _least_s(lambda: complexity(call)) < 0.01 * pace()


def test_time_of_many_messages_is_bounded() -> None:
    turns = [{"role": "user", "content": "and?"}, {"role": "assistant", "content": "so"}] * 15_000
    for messages in (turns, [{"role": "user", "content": [{"type": "text", "text": "x"}] * 30_000}]):
        call = parse(json.dumps({"model": "m", "messages": messages}).encode())
        assert _least_s(lambda call=call: complexity(call)) < 0.02 * pace()  # type: ignore[misc]


def test_weights_and_words_fit_together() -> None:
    assert set(PARTS) <= set(WORDS)
    assert set(WORDS) <= set(WEIGHTS)
    assert len(WEIGHTS) < 100


def _least_s(work: Callable[[], object]) -> float:
    found = []
    for _ in range(3):
        began_at = thread_time()
        work()
        found.append(thread_time() - began_at)
    return min(found)
