"""Gemini's dialect: `generateContent`. https://ai.google.dev/api/generate-content"""

from pointsman.wire.translation import ProviderHalves
from pointsman.wire.upstreams.gemini.answer_reader import GeminiReader, read_answer
from pointsman.wire.upstreams.gemini.request_writer import write_request

HALVES = ProviderHalves(
    write_request=write_request,
    reader=GeminiReader,
    read_answer=read_answer,
    ends_with_finish=True,
    holds_many=True,
    calls_freely=True,
)
