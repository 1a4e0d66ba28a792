"""Conditions for the rows that a caller with a limited permission may see."""

from typing import Any

from sqlalchemy import ColumnElement, false, or_

from pointsman.domain.rights import LEVELS, AccessScope


def conditions_of(scope: AccessScope, of: Any) -> list[ColumnElement[bool]]:
    """Return the condition on the columns of a table or subquery, or nothing for a scope that has everything. Columns
    have the names of the levels of owners. A row without an owner, and a table without these columns, are in no limited
    scope."""
    if scope.is_everything:
        return []
    named = [of[level].in_(names) for level in LEVELS if level in of and (names := scope.names(level))]
    return [or_(false(), *named)]
