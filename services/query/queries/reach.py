"""The first of the two locks on what a caller may see: the filter that every statement has."""

from sqlalchemy import ColumnElement

from shared.http.reach import Reach
from shared.models import Property


def properties_within(reach: Reach) -> list[ColumnElement[bool]]:
    """Conditions on `property`, which every statement joins."""
    conditions: list[ColumnElement[bool]] = [Property.tenant_id == reach.tenant_id]
    if reach.property_ids is not None:
        conditions.append(Property.id.in_(reach.property_ids))
    return conditions
