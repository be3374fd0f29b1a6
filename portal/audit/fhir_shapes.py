"""How each act looks as a FHIR AuditEvent (IHE BALP): one table, from the vocabulary to types, subtypes and roles.

The roles of the two machines turn round: who creates, changes or asks sends (Source), the other side receives; who
reads receives (Destination), and the other side sends. Deleting has neither: an Application asks a Custodian.
"""

from dataclasses import dataclass
from enum import StrEnum

from portal.audit.vocabulary import Action

DICOM = "http://dicom.nema.org/resources/ontology/DCM"
EVENT_TYPE = "http://terminology.hl7.org/CodeSystem/audit-event-type"
INTERACTION = "http://hl7.org/fhir/restful-interaction"
LIFECYCLE = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle"
PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
PROVENANCE = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"


@dataclass(frozen=True)
class Code:
    """A code of a code system."""

    system: str
    code: str


SOURCE, DESTINATION, APPLICATION = Code(DICOM, "110153"), Code(DICOM, "110152"), Code(DICOM, "110150")
CUSTODIAN = Code(PROVENANCE, "custodian")
AUTHOR, RECIPIENT = Code(PARTICIPATION, "AUT"), Code(PARTICIPATION, "IRCP")


class Kind(StrEnum):
    """What the parts of an event are about: FHIR resources, a query, a disclosure, or security."""

    RESOURCE = "resource"
    QUERY = "query"
    DISCLOSURE = "disclosure"
    SECURITY = "security"


@dataclass(frozen=True)
class Shape:
    """Type, subtype and action of an event, and the roles of the person and the two machines in it.

    `outward`: the portal is the client and an EHR the server; otherwise the browser asks the portal.
    """

    kind: Kind
    type: Code
    subtype: Code | None
    action: str
    client: Code
    server: Code | None
    user: Code
    outward: bool = False


_REST = Code(EVENT_TYPE, "rest")
_CREATE = Shape(Kind.RESOURCE, _REST, Code(INTERACTION, "create"), "C", SOURCE, DESTINATION, AUTHOR)
_READ = Shape(Kind.RESOURCE, _REST, Code(INTERACTION, "read"), "R", DESTINATION, SOURCE, RECIPIENT)
_UPDATE = Shape(Kind.RESOURCE, _REST, Code(INTERACTION, "update"), "U", SOURCE, DESTINATION, AUTHOR)
_DELETE = Shape(Kind.RESOURCE, _REST, Code(INTERACTION, "delete"), "D", APPLICATION, CUSTODIAN, AUTHOR)
_QUERY = Shape(Kind.QUERY, _REST, Code(INTERACTION, "search-type"), "E", SOURCE, DESTINATION, RECIPIENT)
_EHR_QUERY = Shape(Kind.QUERY, _REST, Code(INTERACTION, "search-type"), "E", SOURCE, DESTINATION, RECIPIENT, True)
_EHR_READ = Shape(Kind.RESOURCE, _REST, Code(INTERACTION, "read"), "R", DESTINATION, SOURCE, RECIPIENT, True)
# A disclosure as its source records it: here the portal sends and the browser receives.
_DISCLOSE = Shape(
    Kind.DISCLOSURE, Code(DICOM, "110106"), Code(LIFECYCLE, "disclose"), "R", DESTINATION, SOURCE, RECIPIENT
)
_AUDIT_USED = Shape(Kind.SECURITY, Code(DICOM, "110101"), None, "R", APPLICATION, None, RECIPIENT)


def _authentication(subtype: str) -> Shape:
    return Shape(Kind.SECURITY, Code(DICOM, "110114"), Code(DICOM, subtype), "E", APPLICATION, None, RECIPIENT)


def _security(subtype: str) -> Shape:
    return Shape(Kind.SECURITY, Code(DICOM, "110113"), Code(DICOM, subtype), "E", APPLICATION, None, RECIPIENT)


_LOGIN, _LOGOUT = _authentication("110122"), _authentication("110123")
_CONFIGURATION, _RESTRICTED = _security("110129"), _security("110132")
_OBJECT_SECURITY, _ROLES, _PERSON_SECURITY = _security("110135"), _security("110136"), _security("110137")

SHAPES: dict[Action, Shape] = {
    Action.LOGIN_SUCCEEDED: _LOGIN,
    Action.LOGIN_FAILED: _LOGIN,
    Action.LOGIN_STEPPED_UP: _LOGIN,
    Action.SESSION_LOCKED: _LOGOUT,
    Action.SESSION_UNLOCKED: _LOGIN,
    Action.SESSION_ENDED: _LOGOUT,
    Action.SESSION_EXPIRED: _LOGOUT,
    Action.SESSION_REVOKED: _LOGOUT,
    Action.ACCOUNT_CREATED: _PERSON_SECURITY,
    Action.ACCOUNT_DISABLED: _PERSON_SECURITY,
    Action.ACCOUNT_ENABLED: _PERSON_SECURITY,
    Action.ROLE_CHANGED: _ROLES,
    Action.SETTINGS_CHANGED: _PERSON_SECURITY,
    Action.PHARMACY_CHANGED: _CONFIGURATION,
    Action.JOB_RETRIED: _CONFIGURATION,
    Action.JOB_GIVEN_UP: _CONFIGURATION,
    Action.RELATION_BOUND: _PERSON_SECURITY,
    Action.RELATION_CHANGED: _PERSON_SECURITY,
    Action.RELATION_ENDED: _PERSON_SECURITY,
    Action.RELATION_UNDONE: _PERSON_SECURITY,
    Action.CARER_INVITED: _CREATE,
    Action.CARER_INVITED_AGAIN: _UPDATE,
    Action.CARER_UNINVITED: _DELETE,
    Action.CARER_ACCEPTED: _UPDATE,
    Action.CARER_DECLINED: _UPDATE,
    Action.CARER_REFUSED: _RESTRICTED,
    Action.CARER_CONSENT_ENDED: _PERSON_SECURITY,
    Action.INVITATION_CREATED: _CREATE,
    Action.INVITATION_REDEEMED: _UPDATE,
    Action.INVITATION_REFUSED: _RESTRICTED,
    Action.INVITATION_REVOKED: _DELETE,
    Action.MATCH_ASKED: _CREATE,
    Action.MATCH_WITHDRAWN: _DELETE,
    Action.MATCH_CONFIRMED: _PERSON_SECURITY,
    Action.MATCH_DECLINED: _UPDATE,
    Action.STAFF_INVITED: _ROLES,
    Action.STAFF_INVITED_AGAIN: _ROLES,
    Action.STAFF_JOINED: _ROLES,
    Action.STAFF_UNINVITED: _ROLES,
    Action.STAFF_LAST_DAY: _ROLES,
    Action.STAFF_ENDED: _ROLES,
    Action.CARE_STARTED: _CREATE,
    Action.CARE_ENDED: _UPDATE,
    Action.PATIENT_LOOKED_UP: _QUERY,
    Action.THREAD_CREATED: _CREATE,
    Action.THREAD_LISTED: _QUERY,
    Action.THREAD_READ: _READ,
    Action.THREAD_MEMBERS_CHANGED: _UPDATE,
    Action.THREAD_ANSWERED: _UPDATE,
    Action.MESSAGE_SENT: _CREATE,
    Action.MESSAGE_READ: _READ,
    Action.MESSAGE_RETRACTED: _DELETE,
    Action.RECEIPT_SENT: _CREATE,
    Action.ATTACHMENT_STORED: _CREATE,
    Action.ATTACHMENT_READ: _READ,
    Action.ATTACHMENT_REMOVED: _DELETE,
    Action.NOTICE_SENT: _CREATE,
    Action.CONTEXT_READ: _READ,
    Action.EHR_FETCHED: _EHR_QUERY,
    Action.EHR_ENTRY_DROPPED: _EHR_READ,
    Action.DIRECTORY_READ: _READ,
    Action.KEY_ENROLLED: _PERSON_SECURITY,
    Action.KEY_MADE_AHEAD: _PERSON_SECURITY,
    Action.KEY_ROTATED: _PERSON_SECURITY,
    Action.KEY_RESET: _PERSON_SECURITY,
    Action.KEY_DEVICE_ADDED: _PERSON_SECURITY,
    Action.KEY_DEVICE_BOUND: _PERSON_SECURITY,
    Action.KEY_DEVICE_RENAMED: _PERSON_SECURITY,
    Action.KEY_DEVICE_ENDED: _PERSON_SECURITY,
    Action.KEY_GUARD_SET: _PERSON_SECURITY,
    Action.KEY_GUARD_GIVEN: _PERSON_SECURITY,
    Action.KEY_GUARD_GONE: _PERSON_SECURITY,
    Action.KEY_VAULT_READ: _OBJECT_SECURITY,
    Action.KEY_VAULT_CHANGED: _OBJECT_SECURITY,
    Action.KEY_RECOVERY_SET: _PERSON_SECURITY,
    Action.KEY_RECOVERY_READ: _PERSON_SECURITY,
    Action.KEY_RECOVERY_TRIED: _PERSON_SECURITY,
    Action.KEY_RECOVERY_REMOVED: _PERSON_SECURITY,
    Action.KEY_OFFERED: _PERSON_SECURITY,
    Action.KEY_OFFER_TAKEN: _PERSON_SECURITY,
    Action.KEY_OFFER_ENDED: _PERSON_SECURITY,
    Action.KEY_STOPPED: _PERSON_SECURITY,
    Action.KEY_STOP_ENDING: _PERSON_SECURITY,
    Action.KEY_STOP_ENDED: _PERSON_SECURITY,
    Action.IDENTITY_CHECKED: _PERSON_SECURITY,
    Action.IDENTITY_OBJECTED: _PERSON_SECURITY,
    Action.OBJECT_STORED: _UPDATE,
    Action.OBJECT_READ: _READ,
    Action.OBJECT_REMOVED: _DELETE,
    Action.SHEETS_MADE: _OBJECT_SECURITY,
    Action.SHEETS_TRIED: _OBJECT_SECURITY,
    Action.SHEETS_ASKED: _ROLES,
    Action.SHEETS_CONFIRMED: _ROLES,
    Action.SHEETS_REFUSED: _ROLES,
    Action.SHEETS_CANCELLED: _ROLES,
    Action.SHEETS_USED: _ROLES,
    Action.TEAM_FOUNDED: _ROLES,
    Action.TEAM_ASKED: _ROLES,
    Action.TEAM_JOINED: _ROLES,
    Action.TEAM_LEFT: _ROLES,
    Action.PRINTED: _DISCLOSE,
    Action.EXPORTED: _DISCLOSE,
    Action.AUDIT_VIEWED: _AUDIT_USED,
    Action.AUDIT_SEARCHED: _AUDIT_USED,
    Action.AUDIT_EXPORTED: _AUDIT_USED,
    Action.ACCESS_REFUSED: _RESTRICTED,
}
