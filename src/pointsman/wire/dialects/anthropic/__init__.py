"""Anthropic's dialect: the Messages API. https://platform.claude.com/docs/en/api/messages"""

from pointsman.wire.dialect import Dialect
from pointsman.wire.dialects.anthropic._blocks import NAME
from pointsman.wire.dialects.anthropic._resuming import RESUMING
from pointsman.wire.dialects.anthropic.answer_reader import AnthropicReader, read_answer
from pointsman.wire.dialects.anthropic.answer_writer import MessagesWriter, write_answer
from pointsman.wire.dialects.anthropic.errors import error_body
from pointsman.wire.dialects.anthropic.own_fields import own_fields
from pointsman.wire.dialects.anthropic.prompts import (
    about_tokens,
    continues_unread,
    counts_tokens,
    needs,
    own_answer,
    service_tier,
    takes_bound,
    unbounded,
)
from pointsman.wire.dialects.anthropic.request_reader import read_request
from pointsman.wire.dialects.anthropic.request_writer import write_request
from pointsman.wire.errors import error_headers
from pointsman.wire.translation import Halves

HALVES = Halves(
    read_request=read_request,
    write_request=write_request,
    reader=AnthropicReader,
    read_answer=read_answer,
    writer=MessagesWriter,
    write_answer=write_answer,
    own_fields=own_fields,
    holds_many=True,
    resuming=RESUMING,
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
    is_free=counts_tokens,
    continues_unread=continues_unread,
    halves=HALVES,
    path="/messages",
    id_header="request-id",
    own_answer=own_answer,
)
