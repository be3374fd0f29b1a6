"""The words of the audit record: what can happen, how it ended, and why it was done.

A word never changes its meaning once a row carries it; portal/audit/fhir_shapes.py says how each becomes FHIR.
"""

from enum import StrEnum


class Action(StrEnum):
    """One word for each act that leaves a row."""

    LOGIN_SUCCEEDED = "login.succeeded"
    LOGIN_FAILED = "login.failed"
    LOGIN_STEPPED_UP = "login.stepped-up"
    SESSION_LOCKED = "session.locked"
    SESSION_UNLOCKED = "session.unlocked"
    SESSION_ENDED = "session.ended"
    SESSION_EXPIRED = "session.expired"
    SESSION_REVOKED = "session.revoked"

    ACCOUNT_CREATED = "account.created"
    ACCOUNT_DISABLED = "account.disabled"
    ACCOUNT_ENABLED = "account.enabled"
    ROLE_CHANGED = "role.changed"
    SETTINGS_CHANGED = "settings.changed"
    PHARMACY_CHANGED = "pharmacy.changed"

    RELATION_BOUND = "relation.bound"
    RELATION_CHANGED = "relation.changed"
    RELATION_ENDED = "relation.ended"
    RELATION_UNDONE = "relation.undone"
    CARER_INVITED = "carer.invited"
    CARER_INVITED_AGAIN = "carer.invited-again"
    CARER_UNINVITED = "carer.uninvited"
    CARER_ACCEPTED = "carer.accepted"
    CARER_DECLINED = "carer.declined"
    CARER_REFUSED = "carer.refused"
    INVITATION_CREATED = "invitation.created"
    INVITATION_REDEEMED = "invitation.redeemed"
    INVITATION_REFUSED = "invitation.refused"
    INVITATION_REVOKED = "invitation.revoked"
    STAFF_INVITED = "staff.invited"
    STAFF_INVITED_AGAIN = "staff.invited-again"
    STAFF_JOINED = "staff.joined"
    STAFF_UNINVITED = "staff.uninvited"
    STAFF_LAST_DAY = "staff.last-day"
    STAFF_ENDED = "staff.ended"
    CARE_STARTED = "care.started"
    CARE_ENDED = "care.ended"
    PATIENT_LOOKED_UP = "patient.looked-up"

    THREAD_CREATED = "thread.created"
    THREAD_LISTED = "thread.listed"
    THREAD_READ = "thread.read"
    THREAD_MEMBERS_CHANGED = "thread.members-changed"
    THREAD_ANSWERED = "thread.answered"
    MESSAGE_SENT = "message.sent"
    MESSAGE_READ = "message.read"
    MESSAGE_RETRACTED = "message.retracted"
    RECEIPT_SENT = "receipt.sent"
    ATTACHMENT_STORED = "attachment.stored"
    ATTACHMENT_READ = "attachment.read"
    ATTACHMENT_REMOVED = "attachment.removed"
    NOTICE_SENT = "notice.sent"

    CONTEXT_READ = "context.read"
    EHR_FETCHED = "ehr.fetched"
    EHR_ENTRY_DROPPED = "ehr.entry-dropped"

    DIRECTORY_READ = "directory.read"
    KEY_ENROLLED = "key.enrolled"
    KEY_MADE_AHEAD = "key.made-ahead"
    KEY_ROTATED = "key.rotated"
    KEY_RESET = "key.reset"
    KEY_DEVICE_ADDED = "key.device-added"
    KEY_DEVICE_BOUND = "key.device-bound"
    KEY_DEVICE_ENDED = "key.device-ended"
    KEY_VAULT_READ = "key.vault-read"
    KEY_VAULT_CHANGED = "key.vault-changed"
    KEY_RECOVERY_SET = "key.recovery-set"
    KEY_RECOVERY_REMOVED = "key.recovery-removed"
    KEY_RECOVERY_READ = "key.recovery-read"
    KEY_RECOVERY_TRIED = "key.recovery-tried"
    KEY_STOPPED = "key.stopped"
    KEY_STOP_ENDING = "key.stop-ending"
    KEY_STOP_ENDED = "key.stop-ended"
    OBJECT_STORED = "object.stored"
    OBJECT_READ = "object.read"
    OBJECT_REMOVED = "object.removed"

    TEAM_FOUNDED = "team.founded"
    TEAM_ASKED = "team.asked"
    TEAM_JOINED = "team.joined"
    TEAM_LEFT = "team.left"

    PRINTED = "printed"
    EXPORTED = "exported"
    AUDIT_VIEWED = "audit.viewed"
    AUDIT_SEARCHED = "audit.searched"
    AUDIT_EXPORTED = "audit.exported"
    ACCESS_REFUSED = "access.refused"


class Outcome(StrEnum):
    """How it ended (http://terminology.hl7.org/CodeSystem/audit-event-outcome): refusals are SERIOUS."""

    SUCCESS = "0"
    MINOR = "4"
    SERIOUS = "8"
    MAJOR = "12"


class Purpose(StrEnum):
    """Why it was done (http://terminology.hl7.org/CodeSystem/v3-ActReason)."""

    TREAT = "TREAT"
    PATRQT = "PATRQT"
    FAMRQT = "FAMRQT"
    HOPERAT = "HOPERAT"
    HPAYMT = "HPAYMT"
    HCOMPL = "HCOMPL"
    HSYSADMIN = "HSYSADMIN"
