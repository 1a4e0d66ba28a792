"""OpenAI's Responses API as a dialect of its own.

https://platform.openai.com/docs/api-reference/responses
"""

from pointsman.wire.dialect import Dialect
from pointsman.wire.dialects.openai import continues_unread, is_free, needs, service_tier, takes_bound
from pointsman.wire.dialects.openai_responses._resuming import RESUMING
from pointsman.wire.dialects.openai_responses._shapes import NAME
from pointsman.wire.dialects.openai_responses.answer_reader import StreamReader, read_answer
from pointsman.wire.dialects.openai_responses.answer_writer import ResponseWriter, write_answer
from pointsman.wire.dialects.openai_responses.own_fields import own_fields
from pointsman.wire.dialects.openai_responses.request import read_request, write_request
from pointsman.wire.dialects.openai_responses.stored import stored
from pointsman.wire.errors import error_body, error_headers
from pointsman.wire.tokens import about_tokens
from pointsman.wire.translation import Halves
from pointsman.wire.unbounded import unbounded_in

HALVES = Halves(
    read_request=read_request,
    write_request=write_request,
    reader=StreamReader,
    read_answer=read_answer,
    writer=ResponseWriter,
    write_answer=write_answer,
    own_fields=own_fields,
    bounds=("max_output_tokens",),
    resuming=RESUMING,
)

DIALECT = Dialect(
    name=NAME,
    error_body=error_body,
    error_headers=error_headers,
    needs=needs,
    prompt_tokens=about_tokens,
    unbounded=unbounded_in,
    service_tier=service_tier,
    takes_bound=takes_bound,
    is_free=is_free,
    continues_unread=continues_unread,
    halves=HALVES,
    stored=stored,
    operation="responses",
    path="/responses",
)
