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
    """Why an account is closed: the operator by hand, its last day of work, or that nobody has come by it yet."""

    OPERATOR = "operator"
    LAST_DAY = "last-day"
    # The row of somebody who is invited (portal/accounts/awaited.py), and of one whose invitation is over.
    INVITED = "invited"
    NEVER_CAME = "never-came"


class Kind(StrEnum):
    """How an account stands to the patient it acts for."""

    SELF = "self"
    CHILD = "child"
    PARENT = "parent"
    GUARDIAN = "guardian"
    CARER = "carer"


class Scope(StrEnum):
    """What a relation reaches: steps, each with all that the ones before it reach (docs/decisions/0019).

    Orders and where they are; also the medicines, to look after refills; also conversations and the rest of the
    context; everything, as the patient in person: who looked, which pharmacies there are.
    """

    ORDERS = "orders"
    REFILLS = "refills"
    MESSAGES = "messages"
    ALL = "all"

    def reaches(self, other: "Scope") -> bool:
        """Whether acts of the scope `other` are covered by this one."""
        return _STEPS.index(self) >= _STEPS.index(other)


_STEPS = tuple(Scope)
# What somebody may be invited to; `all` is for the patient in person and who acts for a child without an account.
INVITED_TO = _STEPS[:-1]


def scopes_reaching(scope: Scope) -> tuple[str, ...]:
    """The scopes, as they are stored, that cover acts of `scope`."""
    return tuple(one.value for one in Scope if one.reaches(scope))


def role_in_records(role: Role) -> str:
    """The word for a role inside signed records (docs/protocol.md section 1): patient, pharmacist or staff."""
    if role is Role.PATIENT or role is Role.PHARMACIST:
        return role.value
    return "staff"
