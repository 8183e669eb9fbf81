"""Who may do what: people and the keys of programs."""

from __future__ import annotations

from dataclasses import dataclass

from charging.database.audit import Asker
from charging.database.connection import Connection
from operations import api_keys, people
from operations.api.endpoints import Body, endpoint
from operations.api_keys import ApiKey
from operations.people import Person, Role


class NewPerson(Body):
    """An account to be made."""

    person: str
    role: Role


class NewKey(Body):
    """A key to be made."""

    name: str
    role: Role


class RoleChange(Body):
    """What somebody may do from now on."""

    role: Role


class Disabling(Body):
    """Whether an account is disabled."""

    disabled: bool


@dataclass(frozen=True)
class Password:
    """An account's password, which is kept nowhere else."""

    person: str
    password: str


@dataclass(frozen=True)
class Key:
    """A key, which is kept nowhere else."""

    name: str
    key: str


@endpoint("GET", "/people", Role.ADMINISTRATOR)
def list_people(connection: Connection) -> list[Person]:
    """List the accounts of the console."""
    return people.list_all(connection)


@endpoint("POST", "/people", Role.ADMINISTRATOR, status=201)
def add_person(connection: Connection, by: Asker, body: NewPerson) -> Password:
    """Make an account; its password is in the answer, and nowhere else."""
    return Password(body.person, people.add(connection, body.person, body.role, by=by))


@endpoint("PUT", "/people/{person}/role", Role.ADMINISTRATOR, status=204)
def set_person_role(connection: Connection, by: Asker, person: str, body: RoleChange) -> None:
    """Change what somebody may do."""
    people.set_role(connection, person, body.role, by=by)


@endpoint("PUT", "/people/{person}/disabled", Role.ADMINISTRATOR, status=204)
def set_person_disabled(connection: Connection, by: Asker, person: str, body: Disabling) -> None:
    """Sign somebody out and let them in no more, or let them in again."""
    people.set_disabled(connection, person, body.disabled, by=by)


@endpoint("POST", "/people/{person}/password", Role.ADMINISTRATOR, status=201)
def renew_person_password(connection: Connection, by: Asker, person: str) -> Password:
    """Replace a password; the new one is in the answer, and nowhere else."""
    return Password(person, people.set_password(connection, person, by=by))


@endpoint("GET", "/api-keys", Role.ADMINISTRATOR)
def list_api_keys(connection: Connection) -> list[ApiKey]:
    """List the keys of programs, also those that were revoked."""
    return api_keys.list_all(connection)


@endpoint("POST", "/api-keys", Role.ADMINISTRATOR, status=201)
def add_api_key(connection: Connection, by: Asker, body: NewKey) -> Key:
    """Make a key; it is in the answer, and nowhere else."""
    return Key(body.name, api_keys.add(connection, body.name, body.role, by=by))


@endpoint("DELETE", "/api-keys/{api_key}", Role.ADMINISTRATOR, status=204)
def revoke_api_key(connection: Connection, by: Asker, api_key: int) -> None:
    """Let a key open nothing any more."""
    api_keys.revoke(connection, api_key, by=by)
