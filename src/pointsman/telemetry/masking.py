"""Masks secrets and personal data in texts and in JSON.

All patterns run on RE2, in a time that grows with the length of the text alone. So no text and no pattern of the
configuration can make it slow. Import this module late: the library takes memory that most processes need not spend.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from math import log2
from typing import Any, Literal

import re2

Kind = Literal["secrets", "email", "phone", "card"]
KINDS: tuple[Kind, ...] = ("secrets", "email", "phone", "card")
IDS = frozenset({"request_id", "mirror_of", "traceparent"})  # fields of records that the gateway fills itself
MAX_DEPTH = 64  # of JSON, and of JSON in its texts; anything deeper is masked as a whole
MOST_PATTERN_BYTES = 16 << 20  # of memory for a compiled pattern

# Keys of services by their form, and credentials in addresses and headers.
_FORMS = (
    r"\b(?:sk|pk|rk|pm|xai|nvapi|csk)[-_][A-Za-z0-9_\-]{10,}",
    r"\b(?:fw_|gsk_|hf_|r8_|tgp_v1_|jina_)[A-Za-z0-9_\-]{10,}",
    r"\b(?:pplx-[A-Za-z0-9]{32,}|pa-[A-Za-z0-9_\-]{40,}|key-[0-9a-f]{32})",
    r"\b(?:gh[oprsu]_|github_pat_|glpat-|npm_|pypi-|dop_v1_|shpat_|whsec_|xox[abeoprs]-|SG\.)[A-Za-z0-9_.\-+/=]{10,}",
    r"\b(?:AKIA|ASIA|ABSK|AROA)[A-Za-z0-9+/=]{10,}",
    r"\bAIza[A-Za-z0-9_\-]{20,}",
    r"\bya29\.[A-Za-z0-9_\-.]{10,}",
    r"\beyJ[A-Za-z0-9_\-]{4,}\.[A-Za-z0-9_\-]{4,}(?:\.[A-Za-z0-9_\-]*)?",
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)",
    r"(?i:\b(?:bearer|basic)\s+[A-Za-z0-9._~+/=\-]{10,})",
    r"://[^\s:/@\"']*:[^\s/@\"']+@",
    r"(?i:\b(?:api[_-]?key|access[_-]?token|secret|password|passwd|token)[\"']?\s*[:=]\s*[\"']?[^\s\"',;&]{8,})",
)
_SECRETS = "|".join(_FORMS)
# A message of the gateway may say "token: " without a secret behind it.
_ASSIGNED = (
    r"(?i:\b(?:api[_-]?key|access[_-]?token|secret|password|passwd|token)(?:[\"']\s*:\s*[\"']|=[\"']?)[^\s\"',;&]{8,})"
)
_KEYS = "|".join((*_FORMS[:-1], _ASSIGNED))
_EMAIL = r"[A-Za-z0-9._%+\-]+@[A-Za-z0-9.\-]+\.[A-Za-z]{2,24}"
_PHONE = (
    r"(?:\+|\b00)[1-9](?:[ ().\-/]{0,2}[0-9]){6,14}\b|\(\d{3}\)[ .\-]?\d{3}[ .\-]\d{4}\b|\b\d{3}[.\-]\d{3}[.\-]\d{4}\b"
)
_CARD = r"\b[2-6]\d{3}(?:[ \-]\d{4}){2}[ \-]\d{1,7}\b|\b3\d{3}[ \-]\d{6}[ \-]\d{4,5}\b|\b[2-6]\d{12,18}\b"
_TOKEN = r"[A-Za-z0-9+/_\-]{32,}={0,2}"  # noqa: S105 -- may be a key of an unknown form, see `_is_random`
_SEPARATORS = re.compile("[-_/]")
_LONG_PART = 12  # characters
_BITS = 4.0  # of entropy for each character: words and digests in hexadecimal have fewer

_ESCAPED = re.compile(r"\\u00([2-7][0-9a-fA-F])")
_ID = re.compile(rb'"request_id":"([^"]*)"')

Repair = Callable[[str], str]


class Masker:
    """Masks the kinds of data in `kinds`, the matches of `patterns` by name, and the values of the `fields` of JSON
    with these names, in any case of letters. The kind `keys` is the part of `secrets` that has a known form. Raises
    `ValueError` for a pattern that RE2 does not take."""

    def __init__(
        self, kinds: Iterable[str] = KINDS, patterns: Mapping[str, str] | None = None, fields: Iterable[str] = ()
    ) -> None:
        chosen = set(kinds)
        self._fields = frozenset(name.lower() for name in fields)
        self._steps: list[tuple[Any, Repair]] = []
        sources = list((patterns or {}).values())
        if self._fields:  # of JSON that was cut off, or that is part of a text
            names = "|".join(re.escape(name) for name in sorted(self._fields))
            pattern = rf'(?i)"(?:{names})"\s*:\s*(?:"(?:[^"\\]|\\[\s\S])*"?|[\[{{][\s\S]*|[^",}}\]\s]+)'
            self._steps.append((compiled(pattern), lambda text: f'{text[: text.index(":") + 1]}"[field]"'))
            sources.append(pattern)
        for name, pattern in (patterns or {}).items():
            self._steps.append((compiled(pattern), lambda _, label=name: f"[{label}]"))  # type: ignore[misc]
        if not chosen.isdisjoint(("keys", "secrets")):
            forms = _SECRETS if "secrets" in chosen else _KEYS
            self._steps.append((compiled(forms), lambda text: "://[secret]@" if text[0] == ":" else "[secret]"))
            sources.append(forms)
        if "secrets" in chosen:
            self._steps.append((compiled(_TOKEN), lambda text: "[secret]" if _is_random(text) else text))
            sources.append(_TOKEN)
        if "email" in chosen:
            self._steps.append((compiled(_EMAIL), lambda _: "[email]"))
            sources.append(_EMAIL)
        if "card" in chosen:
            self._steps.append((compiled(_CARD), lambda text: "[card]" if _is_card(text) else text))
            sources.append(_CARD)
        if "phone" in chosen:
            self._steps.append((compiled(_PHONE), lambda _: "[phone]"))
            sources.append(_PHONE)
        # Finds out with one search if there may be anything to mask.
        self._any = compiled("|".join(f"(?:{one})" for one in sources)) if sources else None
        self.count = 0  # of masks that were set

    def may_mask(self, text: str) -> bool:
        """Return whether a text may have something to mask, by one search."""
        return "\\" in text or (self._any is not None and self._any.search(text) is not None)

    def lines(self, text: str) -> str:
        """Return a text that is no JSON with its masks."""
        if self._any is None or self._any.search(text) is None:
            return text
        for pattern, repair in self._steps:
            if pattern.search(text) is not None:
                text = pattern.sub(lambda match, repair=repair: self._repaired(match[0], repair), text)
        return text

    def text(self, text: str, depth: int = 0) -> str:
        """Return a text with its masks. A text that is JSON is masked as such, so that its escapes hide nothing."""
        if text[:1] in ("{", "[", '"') and (found := _parsed(text)) is not None:
            if depth >= MAX_DEPTH:
                return self._masked("[too deep]")
            clean = self.value(found[0], depth + 1)
            return text if clean == found[0] else json.dumps(clean, ensure_ascii=False, separators=(",", ":"))
        if "\\" in text:  # JSON that was cut off, or that is part of a text
            plain = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text).replace("\\/", "/")
            if self._any is not None and self._any.search(plain) is not None:
                text = plain
        return self.lines(text)

    def value(self, value: Any, depth: int = 0) -> Any:
        """Return a value of JSON with the masks of all its texts, also those of names."""
        if isinstance(value, str):
            return self.text(value, depth)
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) >= 10**11:
            shown = self.text(str(value), depth)  # a number of a card without quotes
            return value if shown == str(value) else shown
        if not isinstance(value, dict | list):
            return value
        if depth >= MAX_DEPTH:
            return self._masked("[too deep]")
        if isinstance(value, list):
            return [self.value(one, depth + 1) for one in value]
        return {
            self.text(name, depth): self._masked("[field]")
            if name.lower() in self._fields
            else self.value(one, depth + 1)
            for name, one in value.items()
        }

    def record(self, line: bytes) -> bytes:
        """Return the record of a request in JSON with its masks. Its ids and numbers stay as they are."""
        found = _ID.search(line)
        rest = line.replace(found[1], b"") if found is not None else line  # a search would take it for a secret
        if not self._fields and b"\\" not in rest and (self._any is None or self._any.search(rest.decode()) is None):
            return line
        fields: dict[str, Any] = json.loads(line)
        clean = self._of_record(fields)
        return line if clean == fields else json.dumps(clean, ensure_ascii=False, separators=(",", ":")).encode()

    def _of_record(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self._of_record(one) for one in value]
        if not isinstance(value, dict):
            return value
        return {
            name if name in IDS else self.text(name): one
            if name in IDS
            else self._masked("[field]")
            if name.lower() in self._fields and isinstance(one, str)
            else self._of_record(one)
            for name, one in value.items()
        }

    def body(self, body: bytes) -> str:
        """Return a body as text with its masks, whether it is JSON or not."""
        return self.text(body.decode("utf-8", "replace").lstrip("\ufeff \t\r\n"))

    def _repaired(self, text: str, repair: Repair) -> str:
        found = repair(text)
        if found != text:
            self.count += 1
        return found

    def _masked(self, mask: str) -> str:
        self.count += 1
        return mask


def compiled(pattern: str) -> Any:
    """Return a compiled pattern. Raises `ValueError` with the reason if RE2 does not take it."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MOST_PATTERN_BYTES
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        raise ValueError(reason.decode() if isinstance(reason, bytes) else str(reason)) from None


def _parsed(text: str) -> tuple[Any] | None:
    try:
        return (json.loads(text),)
    except (ValueError, RecursionError):
        return None


def _is_card(text: str) -> bool:
    digits = [int(one) for one in text if one.isdigit()]
    if not 13 <= len(digits) <= 19:
        return False
    doubled = (two if (two := one * 2) < 10 else two - 9 for one in digits[-2::-2])
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_random(text: str) -> bool:
    """Return whether a word looks drawn by chance: a long part of it mixes digits and both cases of letters, without
    any order. Names such as those of models consist of short parts."""
    parts = [part for part in _SEPARATORS.split(text) if len(part) >= _LONG_PART]
    if not any(re.search("[a-z]", part) and re.search("[A-Z]", part) and re.search("[0-9]", part) for part in parts):
        return False
    size = len(text)
    return -sum(count / size * log2(count / size) for count in Counter(text).values()) >= _BITS
