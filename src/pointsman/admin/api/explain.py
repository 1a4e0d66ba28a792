"""POST /api/v1/explain: the decision on a request that is not sent."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Response
from pydantic import Field

from pointsman.admin.permissions import Need, Permission
from pointsman.admin.problems import ApiError
from pointsman.admin.services import Has, Moment, Name, StrictModel, as_json
from pointsman.control.inquiries.explain import Explained, ExplainInquiry
from pointsman.engine.questions import Question

router = APIRouter(prefix="/api/v1", tags=["requests"], dependencies=[Depends(Need(Permission.REQUESTS_READ))])

Percent = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]


class ExplainRequest(StrictModel):
    """A request, and the circumstances to assume."""

    body: Annotated[dict[str, Any], Field(description="The body of the request.")]
    path: Annotated[str, Field(max_length=2048)] = "/v1/chat/completions"
    headers: Annotated[
        dict[str, str], Field(default_factory=dict, max_length=64, description="Headers that routing reads.")
    ]
    key: Annotated[Name | None, Field(description="The name of the virtual key.")] = None
    client: Annotated[str, Field(max_length=64, description="The address of the client.")] = ""
    at: Annotated[Moment | None, Field(description="The time in Unix seconds; now if absent.")] = None
    seed: Annotated[int, Field(ge=0, description="Repeats random choices.")] = 0
    failing: Annotated[
        list[Name], Field(default_factory=list, max_length=64, description="Failed targets, as provider/model.")
    ]
    used: Annotated[
        dict[Name, Percent],
        Field(
            default_factory=dict,
            max_length=64,
            description="Used percentages by owner, such as `team:research`, instead of the present ones.",
        ),
    ]


@router.post("/explain")
async def explain(services: Has, asked: ExplainRequest) -> Response:
    """Return how a request would be routed: the rules with their results and facts, the attempts in order with the most
    that each can cost, the reason for each excluded candidate, and the limits with their use. `text` has the same as
    lines for people.

    Nothing is sent. Limits have the use that is stored, without that of running requests. Every provider counts as
    healthy unless it is in `failing`.
    """
    values = asked.model_dump(exclude={"body"})
    question = Question(**values, body=msgspec.json.encode(asked.body))
    (found,) = await services.control.ask(ExplainInquiry(msgspec.json.encode(question)), Explained)
    if found.problem is not None:
        raise ApiError(422, "invalid_request", found.problem)
    return as_json({**msgspec.json.decode(found.decision), "text": found.lines})
