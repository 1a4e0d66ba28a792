"""The dialect of Amazon Bedrock's Converse API.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
"""

from pointsman.wire.translation import ProviderHalves
from pointsman.wire.upstreams.bedrock.answer_reader import ConverseReader, read_answer
from pointsman.wire.upstreams.bedrock.request_writer import write_request

HALVES = ProviderHalves(
    write_request=write_request,
    reader=ConverseReader,
    read_answer=read_answer,
    ends_with_finish=True,
    holds_many=True,
    calls_freely=True,
)
