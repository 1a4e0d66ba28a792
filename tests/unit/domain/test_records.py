"""Records of older versions stay readable."""

import msgspec
import pytest

from pointsman.domain.records import AttemptRecord, RequestRecord

# From the log of the version before records were declared once.
WRITTEN = (
    b'{"event":"request","time":1790000000.25,"request_id":"0199aaaa-0000-7000-8000-000000000001","method":"POST",'
    b'"path":"/v1/chat/completions","status":200,"duration_us":95000,"gateway_us":1200,"operation":"chat",'
    b'"model":"fast","stream":true,"virtual_key":"me","provider":"openai","upstream_model":"gpt-4o-mini",'
    b'"key":"spare","variant":"trial","strategy":"weighted","source":"models.fast","verdicts":["x/y: is down"],'
    b'"attempts":[{"provider":"groq","model":"llama-3.1-8b","key":"main","outcome":"rate_limited","start_us":120,'
    b'"duration_us":4500,"status":429,"first_byte_us":4400,"message":"slow down","retry_after_s":1.5},'
    b'{"provider":"openai","model":"gpt-4o-mini","key":"spare","outcome":"ok","start_us":4800,"duration_us":90000,'
    b'"status":200,"first_byte_us":30000,"cost_nano":123456,"usage_source":"estimated","tokens_in":11,'
    b'"tokens_out":7,"max_tokens":64,"held_nano":1000,"events_left_out":2}],"tokens_in":11,"tokens_out":7,'
    b'"tokens_cached":3,"tokens_reasoning":2,"bytes_in":456,"bytes_out":789,"session":"s-1","tags":{"env":"dev"},'
    b'"client_request_id":"theirs-1","team":"red","customer":"acme","cost_nano":123456,"estimated_nano":123456,'
    b'"client":"127.0.0.1","client_retries":"1"}'
)
# Control wrote this for a worker that died, with null for unknown facts.
OF_A_DEAD_WORKER = (
    b'{"event":"request","time":1790000000.25,"request_id":"0199aaaa-0000-7000-8000-000000000002","method":"POST",'
    b'"path":"","status":0,"code":"worker_died","message":"the worker died","virtual_key":null,"team":null,'
    b'"customer":null,"provider":"openai","upstream_model":"gpt-4o-mini","attempts":[{"provider":"openai",'
    b'"model":"gpt-4o-mini","key":null,"outcome":"worker_died","start_us":0,"duration_us":0,"cost_nano":5,'
    b'"usage_source":"reserved","tokens_in":0,"tokens_out":0,"held_nano":0}],"cost_nano":5,"estimated_nano":0,'
    b'"reserved_nano":5}'
)


def test_record_of_older_version_keeps_every_field() -> None:
    record = msgspec.json.decode(WRITTEN, type=RequestRecord)
    assert msgspec.json.encode(record) == WRITTEN


def test_record_of_dead_worker_of_older_version_is_read() -> None:
    record = msgspec.json.decode(OF_A_DEAD_WORKER, type=RequestRecord)
    assert (record.code, record.virtual_key, record.reserved_nano) == ("worker_died", None, 5)
    assert [(one.outcome, one.cost_nano) for one in record.attempts] == [("worker_died", 5)]


@pytest.mark.parametrize("struct", [AttemptRecord, RequestRecord])
def test_new_fields_have_a_default(struct: type[AttemptRecord | RequestRecord]) -> None:
    required = {field.name for field in msgspec.structs.fields(struct) if field.required}
    first = {"provider", "model", "key", "outcome", "start_us", "duration_us", "time", "request_id", "method", "path"}
    assert required <= first | {"status"}
