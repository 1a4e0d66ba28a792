"""The complexity of a request: `simple`, `medium` or `complex`, judged by the words and the form of its last question.

A linear model weighs some fifty features. `wire.complexity_words` has the words that it knows, and
`wire.complexity_weights` has the weights, which `tools.complexity` fits. docs/decisions/0050-complexity.md has the
accuracy.
"""

import re
from collections.abc import Mapping
from math import log2
from typing import Literal, get_args

from pointsman.domain.calls import Call
from pointsman.wire.complexity_weights import WEIGHTS
from pointsman.wire.complexity_words import PARTS, WORDS
from pointsman.wire.last_question import LastQuestion, last_question

Complexity = Literal["simple", "medium", "complex"]
LEVELS: tuple[Complexity, ...] = get_args(Complexity)

_TASK_CHARS = 600  # of a paragraph that may be the task
_MARGIN = 0.5  # of promise by which the last paragraph must exceed the first: most tasks come first
_MATERIAL_CHARS = 300  # beyond the task: less is a part of it
_SEARCHED = 1000  # characters, for signs of code
_LEADING = 3  # words: a task begins with its verb
_BEGINNINGS = range(2, 11)  # letters of a known beginning of a word

_WORD = re.compile(r"\w+(?:['\u2019&+-]\w+)*")
_WIDE = re.compile("[\u0590-\u1fff\u2e80-\ud7ff\uf900-\ufaff]")  # scripts that `PARTS` has words of
_OPENED, _CLOSED = '"\u201c\u201e\u00ab\u300c', '"\u201c\u201d\u00bb\u300d'
_QUOTED = re.compile(f"[{_OPENED}][^{_CLOSED}]{{8}}|: ?[{_OPENED}]")
_FORMAL = re.compile("[\u0391-\u03c9\u2200-\u22ff^=]")  # Greek letters and signs of mathematics
_CODE = re.compile(r"```|[;{}] *(?:\n|$)|\b(?:def|void|const|import|return|class|func) \w|</\w|=>|::|\(\)|!=|==")
_BREAK = re.compile(r"\n\s*\n")
_FENCED = re.compile(r"```.*?(?:```|$)", re.DOTALL)
_LIMITS = tuple((limit, f"over_{limit}") for limit in (40, 80, 140, 250))  # characters
_LONG = 8  # letters after the first
_COMMAS = (",", ";", "\u3001", "\uff0c", "\uff1b")
_STOPS = (". ", "? ", "! ", ": ", "\n", "\u3002", "\uff1f", "\u0964")
_QUESTION = ("?", "\uff1f", "\u061f")

_LEADERS = frozenset({"look_up", "transform", "write", "explain", "plan", "hard_task"})


def _index() -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]], dict[str, list[tuple[list[str], str]]]]:
    """Return the groups of whole words, of beginnings, and the phrases by their first word."""
    whole: dict[str, tuple[str, ...]] = {}
    beginnings: dict[str, tuple[str, ...]] = {}
    phrases: dict[str, list[tuple[list[str], str]]] = {}
    for group, text in WORDS.items():
        for word in text.split():
            first, *rest = word.split("_")
            if rest:
                phrases.setdefault(first, []).append((rest, group))
            else:
                known = beginnings if word.endswith("*") else whole
                key = word.removesuffix("*")
                if group not in known.get(key, ()):
                    known[key] = (*known.get(key, ()), group)
    return whole, beginnings, phrases


_GROUPS, _STARTS, _PHRASES = _index()
_PARTS = [(part.replace("_", " "), group) for group, text in PARTS.items() for part in text.split()]


def complexity(call: Call) -> Complexity | Literal[""]:
    """Return the complexity of a request, or "" if its operation has no prompt for an answer in words."""
    question = last_question(call)
    return judge(question) if question is not None else ""


def judge(question: LastQuestion) -> Complexity:
    """Return the complexity of a question. One without words is simple."""
    if not question.head.strip():
        return "simple"
    scores = [0.0] * len(LEVELS)
    for name, value in features(question).items():
        for index, weight in enumerate(WEIGHTS.get(name, ())):
            scores[index] += value * weight
    return LEVELS[scores.index(max(scores))]


def features(question: LastQuestion) -> Mapping[str, float]:
    """Return the features of a question that are not zero, each at most about two."""
    task, material = _split(question)
    found = {"bias": 1.0}
    written = _WORD.findall(task)
    words = [word.lower() for word in written]
    is_wide = _WIDE.search(task) is not None
    counts = _counts(words, found)
    if is_wide:
        for part, group in _PARTS:
            if part in task:
                counts[group] = counts.get(group, 0) + 1
    for group, count in counts.items():
        found[group] = (count + 1) / 2 if count < 3 else 2.0
    size = len(task) * (2.5 if is_wide else 1)
    _add_form(task, size, written, found)
    _add_material(question, material, size, found)
    return found


def _split(question: LastQuestion) -> tuple[str, int]:
    """Return the task and the number of other characters. A task with material is its first or its last paragraph."""
    head, tail = question.head.strip(), question.tail.strip()
    total = question.chars
    if total <= _TASK_CHARS and "```" not in head and not _BREAK.search(head):
        return head, 0
    paragraphs = [part for part in _BREAK.split(_FENCED.sub("\n\n", head)) if part.strip()] or [head]
    last = [part for part in _BREAK.split(tail or head) if part.strip()][-1:] or [head]
    first_task, last_task = _clipped(paragraphs[0], from_end=False), _clipped(last[0], from_end=True)
    task = last_task if _promise(last_task) > _promise(first_task) + _MARGIN else first_task
    rest = total - len(task)
    if rest < _MATERIAL_CHARS:
        return head[: 2 * _TASK_CHARS], rest
    return task, rest


def _clipped(paragraph: str, *, from_end: bool) -> str:
    paragraph = paragraph.strip()
    if len(paragraph) <= _TASK_CHARS:
        return paragraph
    lines = paragraph.splitlines()
    line = lines[-1] if from_end else lines[0]
    return line[-_TASK_CHARS:] if from_end else line[:_TASK_CHARS]


def _promise(text: str) -> float:
    """Return how much a paragraph looks like a task."""
    groups: dict[str, float] = {}
    counts = _counts(_WORD.findall(text.lower()[:200]), groups)
    found = 2.0 if text.rstrip().endswith(_QUESTION) else 0.0
    found += sum(1.5 for name in groups if name.startswith("lead_"))
    found += sum(0.5 for name in ("look_up", "transform", "hard_task", "explain", "write") if name in counts)
    return found - len(text) / 400


def _counts(words: list[str], found: dict[str, float]) -> dict[str, int]:
    """Count the words of each group, and add the groups of the first words to the features."""
    counts: dict[str, int] = {}
    for at, word in enumerate(words):
        groups = _GROUPS.get(word) or _groups_of(word)
        for rest, group in _PHRASES.get(word, ()):
            if words[at + 1 : at + 1 + len(rest)] == rest:
                groups = (*groups, group)
        for group in groups:
            counts[group] = counts.get(group, 0) + 1
            if at < _LEADING and group in _LEADERS:
                found["lead_" + group] = 1.0
    return counts


def _groups_of(word: str) -> tuple[str, ...]:
    for length in _BEGINNINGS:
        if length > len(word):
            break
        groups = _STARTS.get(word[:length])
        if groups is not None:
            return groups
    return ()


def _add_form(task: str, size: float, words: list[str], found: dict[str, float]) -> None:
    found["length"] = log2(1 + size) / 5
    for limit, name in _LIMITS:
        if size > limit:
            found[name] = 1.0
    if task.endswith(_QUESTION):
        found["asks"] = 1.0
    if task[:1].islower():
        found["lower_case"] = 1.0
    inner = [word[1:] for word in words]
    for name, count, most in (
        ("commas", sum(map(task.count, _COMMAS)), 6),
        ("numbers", sum(word[0].isdecimal() for word in words), 6),
        ("sentences", sum(map(task.count, _STOPS)), 5),
        ("acronyms", sum(rest != rest.lower() for rest in inner), 4),
        ("formal", len(_FORMAL.findall(task)), 3),
    ):
        if count:
            found[name] = min(count, most) / 3
    if words:
        found["long_words"] = 3 * sum(len(rest) >= _LONG for rest in inner) / len(words)
    for name, pattern in (("quoted", _QUOTED), ("has_code", _CODE)):
        if pattern.search(task):
            found[name] = 1.0


def _add_material(question: LastQuestion, rest: int, size: float, found: dict[str, float]) -> None:
    if rest >= _MATERIAL_CHARS:
        found["material"] = 1.0
        if size <= 90:
            found["material_short_task"] = 1.0
        elif size > 160:
            found["material_long_task"] = 1.0
        if _CODE.search(question.head[:_SEARCHED]):
            found["material_code"] = 1.0
    if question.turns > 1:
        found["follow_up"] = 1.0
    if question.system_bytes > 2000:
        found["long_system"] = 1.0
