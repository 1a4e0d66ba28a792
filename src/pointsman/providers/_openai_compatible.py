"""The row that describes a provider with OpenAI's dialect, and its columns.

`also` are further operations, passed through. `streams_usage` says that it understands `stream_options.include_usage`,
which is otherwise left out. `rename` maps OpenAI's field names to the provider's. `omit` are fields that it rejects and
that do not change an answer: they are left out. `output_bound` is the field for a bound on a chat's answer.
`completion_tokens` is the longest text completion if the request sets no bound. It is `COMPLETION_TOKENS` in OpenAI's
dialect, but some servers go on to the end. `takes_unlimited` says that it accepts -1 for an answer without a bound,
which is otherwise left out. `lists_models` says that it has OpenAI's list of models. `locate` finds the path of a call,
if it is not OpenAI's. `own_fields` prepares the fields of a chat, with the model in them, if the provider takes fewer
values than OpenAI. The other columns are those of `Provider`.
"""

from collections.abc import Callable, Mapping
from functools import partial

from msgspec import Raw
from msgspec.structs import replace

from pointsman.domain.calls import Call, RequestHead
from pointsman.domain.messages import UpstreamRequest
from pointsman.domain.operations import Operation
from pointsman.domain.origin import CredentialKind
from pointsman.domain.snapshots import NO_SNAPSHOT
from pointsman.domain.targets import Candidate, ProviderKey
from pointsman.providers._efforts import fitted_effort
from pointsman.providers._error_table import Rules
from pointsman.providers._openai_codecs import NEWER, OLDER, JsonCodec, Locate, PassthroughCodec, Quirks
from pointsman.providers._quota_headers import openai_quota
from pointsman.providers.api import Auth, Codec, ModelLists, Prefill, Provider, ReadQuota, bearer
from pointsman.wire.dialects.openai_responses.own_fields import own_fields

_OPENAIS = frozenset({"openai", "azure"})  # catalogs of models that reject the older field

# https://platform.openai.com/docs/api-reference/completions/create (`max_tokens`); vLLM and SGLang follow it.
COMPLETION_TOKENS = 16
PASSED_THROUGH: tuple[Operation, ...] = ("responses", "image", "audio", "moderation")
_LIST_HEAD = RequestHead(method="GET", content_type="application/json")
ACCOUNT: tuple[Operation, ...] = ("file", "batch", "other")


def openai_compatible(  # noqa: PLR0913 -- the columns of a row
    name: str,
    title: str,
    base_url: str | None,
    key_env: str | None,
    *,
    chat: bool = True,
    embeddings: bool = True,
    completions: bool = True,
    also: tuple[Operation, ...] = (),
    streams_usage: bool = True,
    rename: Mapping[str, str] | None = None,
    omit: tuple[str, ...] = (),
    output_bound: str = NEWER,
    completion_tokens: int | None = None,
    needs_key: bool = True,
    docs: str = "",
    errors: Rules = (),
    takes_unlimited: bool = False,
    keeps_responses: bool = True,
    is_self_hosted: bool = False,
    quota: ReadQuota = openai_quota,
    lists_models: bool = True,
    auth: Auth = bearer,
    locate: Locate | None = None,
    has_deployments: bool = False,
    credentials: tuple[CredentialKind, ...] = ("value",),
    prefill: Prefill | None = None,
    own_fields: Callable[[dict[str, Raw]], dict[str, Raw]] | None = None,
) -> Provider:
    """Return a provider that speaks OpenAI's dialect, from one row of facts."""
    usual = Quirks(output_bound, tuple((rename or {}).items()), omit)
    passed = PassthroughCodec(errors=errors, takes_unlimited=takes_unlimited, auth=auth, locate=locate)
    plain = JsonCodec(errors=errors, auth=auth, locate=locate)
    generating = replace(
        plain, streams_usage=streams_usage, quirks=usual, takes_unlimited=takes_unlimited, own_fields=own_fields
    )
    codecs: dict[Operation, Codec] = {one: _passed(passed, one) for one in also}
    if chat:
        codecs["chat"] = generating
    if completions:
        codecs["completion"] = generating
    if embeddings:
        codecs["embedding"] = plain
    return Provider(
        name=name,
        title=title,
        base_url=base_url,
        key_env=key_env,
        codecs=codecs,
        lists=ModelLists(request=partial(_listed, passed)) if lists_models else None,
        needs_key=needs_key,
        docs=docs,
        quirks=partial(_quirks, usual),
        default_output={} if completion_tokens is None else {"completion": completion_tokens},
        keeps_responses=keeps_responses,
        is_self_hosted=is_self_hosted,
        errors=errors,
        quota=quota,
        auth=auth,
        has_deployments=has_deployments,
        credentials=credentials,
        prefill=prefill,
        adapt=fitted_effort,
    )


def _listed(
    codec: PassthroughCodec, candidate: Candidate, key: ProviderKey, path: str, now_unix_s: float
) -> UpstreamRequest:
    head = replace(_LIST_HEAD, path=path)
    call = Call(operation="other", head=head, snapshot=NO_SNAPSHOT, model="")
    return codec.encode(call, candidate, key, now_unix_s=now_unix_s)


def _passed(codec: PassthroughCodec, operation: Operation) -> PassthroughCodec:
    if operation != "responses":
        return codec
    return replace(codec, dialect="openai-responses", own_fields=own_fields)


def _quirks(usual: Quirks, catalog: str, output_bound: str | None) -> Quirks:
    """Return the quirks of a server of this kind whose models are in `catalog`. The configuration may set another
    `output_bound` than the usual one of its kind."""
    if output_bound is None:
        return Quirks(NEWER, usual.rename, usual.omit) if catalog in _OPENAIS else usual
    others = tuple(pair for pair in usual.rename if pair[0] != NEWER)
    return Quirks(output_bound, (*others, (NEWER, OLDER)) if output_bound == OLDER else others, usual.omit)
