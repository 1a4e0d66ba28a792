"""Blocks of a prompt that providers may have cached: a hash for each block, which covers all of the prompt before it.

Providers cache the beginnings of prompts from 1,024 tokens on, in the order of tools, instructions and messages:
https://platform.openai.com/docs/guides/prompt-caching, https://docs.claude.com/en/docs/build-with-claude/prompt-caching.
Requests of one client repeat the bytes of earlier messages exactly, so the bytes are hashed as they came. The hash is
CRC-32: it is fast and the same in every process, and a collision only misleads a guess. After `WHOLE_BYTES`, blocks are
longer and only their beginnings are hashed, which bounds the time.
"""

from zlib import crc32

from pointsman.domain.calls import Call, Prefix
from pointsman.domain.operations import GENERATING

BLOCK_TOKENS, FAR_BLOCK_TOKENS = 512, 2048
BLOCK_BYTES, FAR_BLOCK_BYTES = 4 * BLOCK_TOKENS, 4 * FAR_BLOCK_TOKENS  # of text, at the usual four bytes for a token
LEAST_BLOCKS = 2  # that are cached
LEAST_BYTES = LEAST_BLOCKS * BLOCK_BYTES
WHOLE_BYTES, MOST_BYTES = 64 * 1024, 320 * 1024  # of a prompt that are hashed, and of one that has blocks
FAR_HASHED_BYTES = 512  # of each block after `WHOLE_BYTES`

_NEAR_BLOCKS = WHOLE_BYTES // BLOCK_BYTES
_BEGINNINGS = ("tools", "functions", "system", "systemInstruction", "instructions")
_PROMPTS = ("messages", "contents", "input", "prompt")
_PARTS = (*_BEGINNINGS, *_PROMPTS)
_GROUP = "prompt_cache_key"
_NULL = b"null"

# Fields that change the price or the cache of a single request.
FIELDS_APART = frozenset({"service_tier", "tools", "prompt_cache_key", "web_search_options"})


def tokens_of(blocks: int) -> int:
    """Return the tokens of so many blocks from the beginning of a prompt, at four bytes for a token."""
    if blocks <= _NEAR_BLOCKS:
        return blocks * BLOCK_TOKENS
    return _NEAR_BLOCKS * BLOCK_TOKENS + (blocks - _NEAR_BLOCKS) * FAR_BLOCK_TOKENS


def prefix_of(call: Call) -> Prefix | None:
    """Return the beginning of a prompt, or `None` if it is too short to be cached or does not hold text. Its group is
    the hash of `prompt_cache_key`, else of the session."""
    if call.size < LEAST_BYTES or call.operation not in GENERATING:
        return None
    fields = call.fields
    parts = [memoryview(fields[name])[:MOST_BYTES] for name in _PARTS if name in fields]
    text = parts[0] if len(parts) == 1 else memoryview(b"".join(parts))
    size = min(len(text), MOST_BYTES)
    if size < LEAST_BYTES:
        return None
    blocks, found = [], 0
    for start in range(0, min(size, WHOLE_BYTES) - BLOCK_BYTES + 1, BLOCK_BYTES):
        found = crc32(text[start : start + BLOCK_BYTES], found)
        blocks.append(found)
    for start in range(WHOLE_BYTES, size - FAR_BLOCK_BYTES + 1, FAR_BLOCK_BYTES):
        found = crc32(text[start : start + FAR_HASHED_BYTES], found)
        blocks.append(found)
    return Prefix(tuple(blocks), _group_of(call))


def _group_of(call: Call) -> int:
    raw = call.fields.get(_GROUP)
    if raw is not None and (value := bytes(raw)) != _NULL:
        return crc32(value) or 1
    session = call.head.session
    return crc32(session.encode("utf-8", "surrogatepass")) or 1 if session else 0
