"""Who may what: one pure function for each act, asked first by every domain function.

The facts that need the database (in care? sits in the team?) are looked up by the caller and given here, so that
every rule can be read and tested without one. A rule raises NotFound where the thing must look as if it did not
exist (anything about a patient the actor has no business with), Forbidden where its existence is no secret, and
Unprocessable where the actor may do such things but not in this state. An operator, who runs the server, sees no
patient: every line below ends in NotFound for that role. A pharmacy's settings, and who works there, the operator sees
too; bringing people in is the operator's only where there is no team yet.

| act                       | patient's side                     | pharmacy's side                              |
| ------------------------- | ---------------------------------- | -------------------------------------------- |
| read the context          | acting; by scope orders only, also | in care; pharmacist and supervisor whole,    |
|                           | medicines, or whole                | technician without medicines                 |
| start a thread            | acting, scope messages, active     | in care, in the topic's team, active         |
| read a thread             | member of it, acting               | own pharmacy, in care, in a member team      |
| write in a thread         | as reading, and the patient active | as reading, and the patient active           |
| make a history record     | the patient in person              | as reading                                   |
| let in who started again  | never                              | pharmacist; privacy officer in own threads   |
| end an emergency stop     | own, a day after asking            | not own; pharmacist, supervisor, privacy     |
| read the directory        | shares thread or care              | shares thread, pharmacy or care              |
| see a pharmacy's teams    | never                              | own pharmacy                                 |
| sit in a team             | never                              | own pharmacy, role fits the team             |
| read the audit record     | acting, scope all                  | privacy officer, own pharmacy                |
| invite and end carers     | the patient in person              | pharmacist and supervisor, on a Consent      |
| see who works there       | never                              | own pharmacy                                 |
| invite, set a last day    | never                              | pharmacist and supervisor in a team there    |
| make recovery sheets      | never                              | pharmacist and supervisor in a team there    |
| ask to use the sheets     | never                              | own pharmacy                                 |
| say yes to that           | never                              | own pharmacy or operator, never who asked    |
| list patients             | never                              | own pharmacy, not the privacy officer        |
| invite a patient          | never                              | own pharmacy, not the privacy officer        |
| ask to be found           | patients                           | never                                        |
| part a wrong account      | never                              | own pharmacy, in care                        |
| take up helping somebody  | patients                           | never                                        |
| start or end care         | start and end own                  | own pharmacy, end: pharmacist and supervisor |
| open a pharmacy, its EHR  | never                              | operator                                     |
| a pharmacy's settings     | never                              | pharmacist and supervisor there; operator    |
| search its audit record   | never                              | privacy officer, own pharmacy                |
| sealed objects            | own                                | own, and those of teams one sits in          |
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from enum import StrEnum

from portal.accounts.actor import Actor
from portal.accounts.roles import CLINICAL, Kind, Role, Scope
from portal.core import clock
from portal.core.errors import Forbidden, NotFound, StepUpNeeded, Unprocessable

STEP_UP_AGE = timedelta(minutes=5)
# A provider's clock may be ahead of ours by this much.
CLOCKS_APART = timedelta(seconds=30)


class Sight(StrEnum):
    """How much of a patient's context a person sees. `desk`: who it is, allergies and orders, but no medicines;
    `orders`: who it is, and orders without what is in them; `refills`: orders and medicines."""

    WHOLE = "whole"
    DESK = "desk"
    REFILLS = "refills"
    ORDERS = "orders"


# What each scope of the patient's side sees of the context.
_SIGHTS = {
    Scope.ORDERS: Sight.ORDERS,
    Scope.REFILLS: Sight.REFILLS,
    Scope.MESSAGES: Sight.WHOLE,
    Scope.ALL: Sight.WHOLE,
}


def needs_step_up(actor: Actor, *, at: datetime | None = None) -> None:
    """Raises StepUpNeeded unless the actor logged in at most five minutes ago."""
    if not fresh_login(actor, at=at):
        raise StepUpNeeded()


def fresh_login(actor: Actor, *, at: datetime | None = None) -> bool:
    """Whether the actor's login is at most five minutes old. A login from the future is not fresh."""
    if actor.auth_time is None:
        return False
    age = (at or clock.now()) - actor.auth_time
    return -CLOCKS_APART <= age <= STEP_UP_AGE


def allow_context(actor: Actor, *, patient_id: str, pharmacy_id: str, in_care: bool) -> Sight:
    """Reading the medication and order context of a patient through a pharmacy's connection."""
    acting = actor.relation(patient_id)
    if actor.role is Role.PATIENT and acting is not None:
        return _SIGHTS[Scope(acting.scope)]
    _pharmacy_cares(actor, pharmacy_id=pharmacy_id, in_care=in_care)
    if actor.role in CLINICAL:
        return Sight.WHOLE
    if actor.role is Role.TECHNICIAN:
        return Sight.DESK
    raise Forbidden("context-not-for-role")


def allow_start_thread(
    actor: Actor, *, patient_id: str, pharmacy_id: str, in_care: bool, in_team: bool, patient_active: bool
) -> None:
    """Starting a thread about a patient with a pharmacy; `in_team`: the actor sits in the team the topic names.

    A patient may write to any pharmacy of the portal: writing is what begins the care relation.
    """
    if not _acts_for(actor, patient_id, Scope.MESSAGES):
        _pharmacy_cares(actor, pharmacy_id=pharmacy_id, in_care=in_care)
        if not in_team:
            raise Forbidden("not-in-team")
    _may_be_sent_to(patient_active)


def allow_read_thread(
    actor: Actor, *, patient_id: str, pharmacy_id: str, in_care: bool, is_member: bool, in_team: bool
) -> None:
    """Reading a thread: its records, receipts and attachments.

    `is_member`: the actor's own id is in the thread's last epoch. `in_team`: the actor sits, in the newest
    generation, in a team that is in the thread's last epoch. A key the actor does not hold is never replaced by a
    role: a supervisor outside the team reads nothing.
    """
    if actor.role is Role.PATIENT:
        if is_member and _acts_for(actor, patient_id, Scope.MESSAGES):
            return
        raise NotFound()
    _pharmacy_cares(actor, pharmacy_id=pharmacy_id, in_care=in_care)
    if not (is_member or in_team):
        raise NotFound()


def allow_post(
    actor: Actor,
    *,
    patient_id: str,
    pharmacy_id: str,
    in_care: bool,
    is_member: bool,
    in_team: bool,
    patient_active: bool,
) -> None:
    """Appending to a thread. Nothing is ever sent to a patient who is deceased, inactive or merged."""
    allow_read_thread(
        actor,
        patient_id=patient_id,
        pharmacy_id=pharmacy_id,
        in_care=in_care,
        is_member=is_member,
        in_team=in_team,
    )
    _may_be_sent_to(patient_active)


def allow_history(actor: Actor, *, patient_id: str) -> None:
    """Handing the keys of earlier epochs to a member: staff, who have checked who it is, and the patient in person, who
    lets a carer of her own in. A carer hands nothing over."""
    acting = actor.relation(patient_id)
    if not actor.staff and (acting is None or acting.kind != Kind.SELF):
        raise Forbidden("history-by-staff-only")


def may_vouch(actor: Actor, *, team_kinds: Collection[str]) -> bool:
    """Whether the actor may say who a person is that started again, in a thread with these teams of the actor's own.

    A pharmacist may: it is the pharmacy that knows its patients. In threads with the privacy team, where no pharmacist
    is, the privacy officer may. A technician passes the question on (docs/protocol.md section 5).
    """
    return (actor.role is Role.PHARMACIST and bool(team_kinds)) or (
        actor.role is Role.PRIVACY and "privacy" in team_kinds
    )


def allow_end_stops(actor: Actor) -> None:
    """Ending somebody's emergency stop: staff who make sure who people are. Whose, the pharmacy's care decides."""
    if not actor.staff or actor.role not in CLINICAL | {Role.PRIVACY}:
        raise Forbidden("stops-not-for-role")


def allow_check_identity(actor: Actor) -> None:
    """Saying how it was made sure who somebody is that started again: whoever may let them in (`may_vouch`)."""
    if not actor.staff or actor.role not in (Role.PHARMACIST, Role.PRIVACY):
        raise Forbidden("check-not-for-role")


def allow_directory(actor: Actor, *, owner: str, shares_thread: bool, shares_pharmacy: bool, shares_care: bool) -> None:
    """Reading the public keys of a person or a team."""
    if owner == actor.account_id:
        return
    if actor.role is Role.OPERATOR or not (shares_thread or shares_pharmacy or shares_care):
        raise NotFound()


def allow_see_teams(actor: Actor, *, pharmacy_id: str) -> None:
    """Seeing who sits in the teams of a pharmacy."""
    _works_at(actor, pharmacy_id)


def allow_team_act(actor: Actor, *, pharmacy_id: str, role_fits: bool) -> None:
    """Asking for a seat, founding, approving, removing or leaving; `role_fits`: the team's kind takes this role."""
    _works_at(actor, pharmacy_id)
    if not role_fits:
        raise Forbidden("team-not-for-role")


def allow_open_pharmacy(actor: Actor) -> None:
    """Adding a pharmacy to the portal, and saying which EHR it reads: the operator of the server."""
    if actor.role is not Role.OPERATOR:
        raise Forbidden("pharmacy-by-operator")


def allow_pharmacy_settings(actor: Actor, *, pharmacy_id: str) -> None:
    """Profile, hours, holidays, topics of a pharmacy: the operator, and the pharmacists and supervisors there."""
    if actor.role is Role.OPERATOR:
        return
    _works_at(actor, pharmacy_id)
    if actor.role not in CLINICAL:
        raise Forbidden("settings-not-for-role")


def allow_see_staff(actor: Actor, *, pharmacy_id: str) -> None:
    """Seeing who works at a pharmacy: everybody there, and the operator of the server."""
    if actor.role is not Role.OPERATOR:
        _works_at(actor, pharmacy_id)


def allow_invite_staff(actor: Actor, *, pharmacy_id: str, in_team: bool, founded: bool) -> None:
    """Bringing colleagues in, and saying until when: pharmacists and supervisors who sit in a team there (`in_team`).

    The operator brings in the first people; once a team was `founded` the pharmacy looks after itself.
    """
    if actor.role is Role.OPERATOR:
        if founded:
            raise Forbidden("staff-by-the-pharmacy")
        return
    _works_at(actor, pharmacy_id)
    if actor.role not in CLINICAL:
        raise Forbidden("staff-not-for-role")
    if not in_team:
        raise Forbidden("staff-team-first")


def allow_see_recovery(actor: Actor, *, pharmacy_id: str) -> None:
    """Seeing whether a pharmacy has recovery sheets, who holds them, and what was done with them."""
    allow_see_staff(actor, pharmacy_id=pharmacy_id)


def allow_make_sheets(actor: Actor, *, pharmacy_id: str, in_team: bool) -> None:
    """Making recovery sheets, and trying them out: pharmacists and supervisors who sit in a team there (`in_team`)."""
    _works_at(actor, pharmacy_id)
    if actor.role not in CLINICAL:
        raise Forbidden("sheets-not-for-role")
    if not in_team:
        raise Forbidden("not-in-team")


def allow_ask_recovery(actor: Actor, *, pharmacy_id: str) -> None:
    """Asking that somebody be let into teams with the recovery sheets: everybody who works there."""
    _works_at(actor, pharmacy_id)


def allow_decide_recovery(actor: Actor, *, pharmacy_id: str, asked_by: str) -> None:
    """Saying yes or no to that: a second person of the pharmacy, or the operator. Nobody confirms the own ask."""
    allow_see_recovery(actor, pharmacy_id=pharmacy_id)
    if actor.account_id == asked_by:
        raise Forbidden("recovery-second-person")


def allow_patients(actor: Actor, *, pharmacy_id: str) -> None:
    """Listing the patients in a pharmacy's care."""
    _works_at(actor, pharmacy_id)
    if actor.role is Role.PRIVACY:
        raise Forbidden("patients-not-for-role")


def allow_invite(actor: Actor, *, pharmacy_id: str) -> None:
    """Making an invitation that binds an account to a patient of the pharmacy."""
    allow_patients(actor, pharmacy_id=pharmacy_id)


def allow_carers(actor: Actor, *, patient_id: str) -> None:
    """Seeing, inviting, changing and ending who acts for a patient: the patient in person."""
    acting = actor.relation(patient_id)
    if actor.role is not Role.PATIENT or acting is None or acting.kind != Kind.SELF or not acting.reaches(Scope.ALL):
        raise NotFound()


def allow_invite_on_consent(actor: Actor, *, pharmacy_id: str) -> None:
    """Asking somebody to act for a patient on a Consent: pharmacists and supervisors, who answer for having read it.

    That the pharmacy's EHR knows the patient is looked up by the caller.
    """
    _works_at(actor, pharmacy_id)
    if actor.role not in CLINICAL:
        raise Forbidden("consent-not-for-role")


def allow_act_for_others(actor: Actor) -> None:
    """Taking up what a patient invites to: accounts of patients. Staff act in their own role, and only in that."""
    if actor.role is not Role.PATIENT:
        raise Forbidden("carer-for-patients")


def allow_ask_to_be_matched(actor: Actor) -> None:
    """Asking a pharmacy to find the own record: patients."""
    if actor.role is not Role.PATIENT:
        raise Forbidden("invitation-for-patients")


def allow_start_care(actor: Actor, *, patient_id: str) -> None:
    """Putting a patient into a pharmacy's care from the patient's side: by picking the pharmacy."""
    if not _acts_for(actor, patient_id, Scope.ALL):
        raise NotFound()


def allow_end_care(actor: Actor, *, patient_id: str, pharmacy_id: str, in_care: bool) -> None:
    """Ending a care relation, by either side."""
    if _acts_for(actor, patient_id, Scope.ALL):
        if not in_care:
            raise NotFound()
        return
    _pharmacy_cares(actor, pharmacy_id=pharmacy_id, in_care=in_care)
    if actor.role not in CLINICAL:
        raise Forbidden("end-care-not-for-role")


def allow_unbind(actor: Actor, *, pharmacy_id: str, in_care: bool) -> None:
    """Parting the wrong account from a patient: everybody who works at a pharmacy that cares for the patient.

    It cannot wait for a role that is not there; it takes no data away, is on record, and is told the privacy officer.
    """
    _pharmacy_cares(actor, pharmacy_id=pharmacy_id, in_care=in_care)


def allow_patient_audit(actor: Actor, *, patient_id: str, pharmacy_ids: frozenset[str] = frozenset()) -> None:
    """Reading who looked at a patient's data. `pharmacy_ids`: the pharmacies that have had the patient in care."""
    if _acts_for(actor, patient_id, Scope.ALL):
        return
    if actor.role is Role.PRIVACY and actor.pharmacy_id is not None and actor.pharmacy_id in pharmacy_ids:
        return
    raise NotFound()


def allow_pharmacy_audit(actor: Actor, *, pharmacy_id: str) -> None:
    """Searching the audit record of a pharmacy: its privacy officer only."""
    _works_at(actor, pharmacy_id)
    if actor.role is not Role.PRIVACY:
        raise Forbidden("audit-not-for-role")


def allow_sealed_objects(actor: Actor, *, owner: str, in_team: bool) -> None:
    """Reading and writing sealed objects of an owner: oneself, or a team one sits in."""
    if owner != actor.account_id and not in_team:
        raise NotFound()


def _acts_for(actor: Actor, patient_id: str, scope: Scope) -> bool:
    relation = actor.relation(patient_id)
    return actor.role is Role.PATIENT and relation is not None and relation.reaches(scope)


def _works_at(actor: Actor, pharmacy_id: str) -> None:
    if not actor.staff or actor.pharmacy_id != pharmacy_id:
        raise NotFound()


def _pharmacy_cares(actor: Actor, *, pharmacy_id: str, in_care: bool) -> None:
    _works_at(actor, pharmacy_id)
    if not in_care:
        raise NotFound()


def _may_be_sent_to(patient_active: bool) -> None:
    if not patient_active:
        raise Unprocessable("patient-not-active")
