"""Who a person is to the portal. The portal's own row decides; a login's claim may only take a role away."""

from enum import StrEnum


class Role(StrEnum):
    """The role of an account."""

    PATIENT = "patient"
    PHARMACIST = "pharmacist"
    TECHNICIAN = "technician"
    SUPERVISOR = "supervisor"
    PRIVACY = "privacy"
    OPERATOR = "operator"


# Those who work at a pharmacy; an operator runs the server and works at none.
STAFF = frozenset({Role.PHARMACIST, Role.TECHNICIAN, Role.SUPERVISOR, Role.PRIVACY})

# Those who judge medicines and therefore see the whole clinical context of a patient in care.
CLINICAL = frozenset({Role.PHARMACIST, Role.SUPERVISOR})


class ClosedBy(StrEnum):
    """Who has closed an account: the operator by hand, or its last day of work."""

    OPERATOR = "operator"
    LAST_DAY = "last-day"


class Kind(StrEnum):
    """How an account stands to the patient it acts for."""

    SELF = "self"
    CHILD = "child"
    PARENT = "parent"
    CARER = "carer"


class Scope(StrEnum):
    """What a relation reaches: everything, or only the threads, or only medicines and orders."""

    ALL = "all"
    MESSAGES = "messages"
    CONTEXT = "context"


def role_in_records(role: Role) -> str:
    """The word for a role inside signed records (docs/protocol.md section 1): patient, pharmacist or staff."""
    if role is Role.PATIENT or role is Role.PHARMACIST:
        return role.value
    return "staff"
