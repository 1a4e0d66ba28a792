"""Cohere's dialect: `/v2/chat`. https://docs.cohere.com/reference/chat"""

from pointsman.wire.translation import ProviderHalves
from pointsman.wire.upstreams.cohere.answer_reader import CohereReader, read_answer
from pointsman.wire.upstreams.cohere.request_writer import write_request

HALVES = ProviderHalves(
    write_request=write_request,
    reader=CohereReader,
    read_answer=read_answer,
    holds_many=True,
    calls_freely=True,
)
