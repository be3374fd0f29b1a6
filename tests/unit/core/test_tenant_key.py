"""A database that is spread over several machines keeps what is one pharmacy's together: by the pharmacy's key."""

from portal.core import migrating

# Keyed otherwise, as decided: by account, by patient, by owner of keys, or of the whole server.
OF_NO_PHARMACY = {
    "of accounts": {
        "account_stop",
        "device",
        "key_vault",
        "login_attempt",
        "login_session",
        "logout_token_seen",
        "notice_choice",
        "notice_sent",
    },
    "of accounts, on shared computers": {"browser_tile", "device_guard"},
    "of accounts, their recovery": {"device_offer", "recovery_read", "recovery_wrap", "redeem_failure"},
    "of patients, whom several pharmacies may care for": {"carer_invitation", "patient", "patient_record", "relation"},
    "of who owns keys, people and teams": {"directory_entry", "sealed_object"},
    "of the server": {"audit_checkpoint", "audit_leaf", "pharmacy"},
}


def test_every_table_of_a_pharmacys_data_has_the_pharmacys_key() -> None:
    without = {table.name for table in migrating.metadata().sorted_tables if "pharmacy_id" not in table.columns}
    assert without == set().union(*OF_NO_PHARMACY.values())
