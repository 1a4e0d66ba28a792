"""OpenAI's chat completions as a dialect that is translated: the four halves, and the name of the dialect."""

from functools import partial

from msgspec.structs import replace

from pointsman.wire.openai_chat._reasoning import NAME
from pointsman.wire.openai_chat._resuming import RESUMING
from pointsman.wire.openai_chat.read_answer import read_answer, reader
from pointsman.wire.openai_chat.read_request import read_request
from pointsman.wire.openai_chat.write_answer import write_answer, writer
from pointsman.wire.openai_chat.write_request import write_request
from pointsman.wire.translation import Halves

HALVES = Halves(
    read_request=read_request,
    write_request=write_request,
    reader=reader,
    read_answer=read_answer,
    writer=writer,
    write_answer=write_answer,
    ends_with_finish=True,
    bounds=("max_completion_tokens", "max_tokens"),
    resuming=RESUMING,
)
# For servers that accept marks of prefixes to be cached, such as OpenRouter.
WITH_CACHE_MARKS = replace(HALVES, write_request=partial(write_request, marks=True))

__all__ = ["HALVES", "NAME", "WITH_CACHE_MARKS"]
