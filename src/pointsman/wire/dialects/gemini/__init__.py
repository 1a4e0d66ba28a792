"""Gemini's dialect: `generateContent`. https://ai.google.dev/api/generate-content"""

from pointsman.wire.dialect import Dialect
from pointsman.wire.dialects.gemini import embeddings
from pointsman.wire.dialects.gemini._resuming import RESUMING
from pointsman.wire.dialects.gemini._signatures import NAME
from pointsman.wire.dialects.gemini.answer_reader import GeminiReader, read_answer
from pointsman.wire.dialects.gemini.answer_writer import GenerateWriter, write_answer
from pointsman.wire.dialects.gemini.failed import error_body
from pointsman.wire.dialects.gemini.own_fields import own_fields
from pointsman.wire.dialects.gemini.prompts import (
    GENERATING,
    about_tokens,
    continues_unread,
    is_free,
    lists_events,
    needs,
    own_answer,
    service_tier,
    takes_bound,
    unbounded,
)
from pointsman.wire.dialects.gemini.request_reader import read_request
from pointsman.wire.dialects.gemini.request_writer import write_request
from pointsman.wire.errors import error_headers
from pointsman.wire.translation import Halves

HALVES = Halves(
    read_request=read_request,
    write_request=write_request,
    reader=GeminiReader,
    read_answer=read_answer,
    writer=GenerateWriter,
    write_answer=write_answer,
    own_fields=own_fields,
    resuming=RESUMING,
    ends_with_finish=True,
    holds_many=True,
    calls_freely=True,
    heartbeat=b"\n",  # Google's SDK for Python takes a comment for an error in JSON
)
DIALECT = Dialect(
    name=NAME,
    error_body=error_body,
    error_headers=error_headers,
    needs=needs,
    prompt_tokens=about_tokens,
    unbounded=unbounded,
    service_tier=service_tier,
    takes_bound=takes_bound,
    is_free=is_free,
    continues_unread=continues_unread,
    halves=HALVES,
    path=GENERATING,
    own_answer=own_answer,
    lists_events=lists_events,
    embeddings=embeddings.HALVES,
)
