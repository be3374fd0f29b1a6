"""What a thread is about, and which team of the pharmacy it is sealed to (design decision 13)."""

from enum import StrEnum

from portal.e2ee.directory import RECOVERY


class TeamKind(StrEnum):
    """The teams a pharmacy can have, each with a key of its own."""

    PHARMACISTS = "pharmacists"
    DESK = "desk"
    SUPERVISORS = "supervisors"
    PRIVACY = "privacy"


class Topic(StrEnum):
    """The fixed list of topics; the server sees the topic and nothing else of a question."""

    MEDICINE = "medicine"
    SIDE_EFFECT = "side_effect"
    REFILL = "refill"
    OTHER = "other"
    ORDER = "order"
    BILLING = "billing"
    ACCOUNT = "account"
    PRIVACY = "privacy"


TEAM_OF_TOPIC = {
    Topic.MEDICINE: TeamKind.PHARMACISTS,
    Topic.SIDE_EFFECT: TeamKind.PHARMACISTS,
    Topic.REFILL: TeamKind.PHARMACISTS,
    Topic.OTHER: TeamKind.PHARMACISTS,
    Topic.ORDER: TeamKind.DESK,
    Topic.BILLING: TeamKind.DESK,
    Topic.ACCOUNT: TeamKind.DESK,
    Topic.PRIVACY: TeamKind.PRIVACY,
}


def team_id(pharmacy_id: str, kind: TeamKind) -> str:
    """The directory id of a pharmacy's team: `<pharmacy>_<kind>` (docs/protocol.md section 3)."""
    return f"{pharmacy_id}_{kind.value}"


def team_of(pharmacy_id: str, topic: Topic) -> str:
    """The directory id of the team a thread of `topic` is sealed to."""
    return team_id(pharmacy_id, TEAM_OF_TOPIC[topic])


def recovery_id(pharmacy_id: str) -> str:
    """The directory id of a pharmacy's recovery key, which is a member of its teams (docs/protocol.md section 3)."""
    return pharmacy_id + RECOVERY


def pharmacy_of_recovery(id: str) -> str | None:
    """The pharmacy of a recovery's directory id; None when `id` has no such form."""
    pharmacy_id = id.removesuffix(RECOVERY)
    return pharmacy_id if id != pharmacy_id and pharmacy_id else None


def split_team_id(team: str) -> tuple[str, TeamKind] | None:
    """Pharmacy and kind of a team's directory id; None when `team` has no such form."""
    pharmacy_id, found, kind = team.partition("_")
    if not found or not pharmacy_id or kind not in set(TeamKind):
        return None
    return pharmacy_id, TeamKind(kind)
