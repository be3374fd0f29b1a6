"""Why something is refused: the vocabulary of docs/protocol.md section 4, and the one exception that carries it."""

from enum import StrEnum


class Reason(StrEnum):
    """Whole words; both implementations and the vectors use the same ones."""

    # The thread ends at the record before.
    FORM = "form"
    VERSION = "version"
    TYPE = "type"
    THREAD = "thread"
    SEQUENCE = "sequence"
    CHAIN = "chain"
    UNKNOWN_DEVICE = "unknown device"
    UNKNOWN_USER = "unknown user"
    CERTIFICATE = "certificate"
    REVOKED = "revoked"
    EPOCH_NUMBER = "epoch number"
    SUITE = "suite"
    CREATOR = "creator"
    MEMBERSHIP = "membership"
    DUPLICATE = "duplicate"
    MEMBER_KEY = "member key"
    COMMITMENT_REUSED = "commitment reused"
    WRAP_LIST = "wrap list"
    WRAP_HASH = "wrap hash"
    SIGNATURE = "signature"
    EPOCH = "epoch"
    NOT_A_MEMBER = "not a member"
    CIPHERTEXT_HASH = "ciphertext hash"
    HISTORY = "history"
    REDACT = "redact"
    ROLLBACK = "rollback"
    FORK = "fork"
    # Only this reader is concerned; the thread goes on.
    WRAP = "wrap"
    EPOCH_COMMITMENT = "epoch commitment"
    KEY_COMMITMENT = "key commitment"
    AEAD = "aead"
    PADDING = "padding"
    FRANK = "frank"
    BODY = "body"
    # Beside the threads: revocations, stored objects, recovery, attachments.
    REVOCATION = "revocation"
    OBJECT = "object"
    PARAMETERS = "parameters"
    CODE = "code"
    ATTACHMENT = "attachment"


class Refused(ValueError):
    """Something was not accepted, for one reason. `seq` names the record of a thread, where there is one."""

    def __init__(self, reason: Reason, seq: int | None = None) -> None:
        self.reason = reason
        self.seq = seq
        super().__init__(reason.value if seq is None else f"{reason.value} at {seq}")
