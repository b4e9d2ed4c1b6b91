"""The shop's users and their addresses: signing up, changing, moving house, leaving, coming back."""

from __future__ import annotations

import uuid
from typing import Any

from ingestion.demo.agenda import on, schedule
from ingestion.demo.clock import DAY, HOUR, MINUTE, stamp

from .company import Company, Row, audit, delete, insert, new_id, update
from .vocabulary import COUNTRIES, EMAIL_DOMAINS, FIRST_NAMES, LAST_NAMES, STREETS, plain

STATUSES = ("active", "inactive", "suspended")
_COUNTRY_CODES = tuple(COUNTRIES)
_COUNTRY_WEIGHTS = tuple(country[0] for country in COUNTRIES.values())


def new_email(company: Company, first_name: str, last_name: str) -> str:
    """An address that nobody has had."""
    rng = company.rng
    name = f"{plain(first_name)}.{plain(last_name)}"
    email = f"{name}@{rng.choice(EMAIL_DOMAINS)}"
    while email in company.used_emails:
        email = f"{name}{rng.randrange(10, 10_000)}@{rng.choice(EMAIL_DOMAINS)}"
    company.used_emails[email] = 1
    return email


def pick_user(company: Company) -> Row | None:
    """Any user whose record is in order."""
    for _ in range(20):
        if company.shoppers:
            user_id = company.rng.choice(company.shoppers)
            if ("users", user_id) not in company.broken:
                return company.users[user_id]
    return None


def place(company: Company, country_code: str) -> Row:
    """The columns of an address that say where it is."""
    rng = company.rng
    city, region = rng.choice(COUNTRIES[country_code][3])
    return {
        "line_1": f"{rng.randrange(1, 240)} {rng.choice(STREETS)}",
        "line_2": f"Flat {rng.randrange(1, 40)}" if rng.random() < 0.2 else None,
        "city": city,
        "postal_code": f"{city[:2].upper()}{rng.randrange(1, 20)} {rng.randrange(1, 10)}AB"
        if country_code in ("GB", "IE")
        else f"{rng.randrange(10_000, 99_999)}",
        "region": region,
        "country_code": country_code,
    }


def add_address(company: Company, t: int, user_id: str, kind: str, is_default: int, country_code: str) -> None:
    """Insert an address; the default one comes first among the user's."""
    address_id = new_id(company, "addresses")
    row = {
        "id": address_id,
        "user_id": user_id,
        "kind": kind,
        **place(company, country_code),
        "is_default": is_default,
        **audit(t),
    }
    company.addresses[address_id] = row
    company.homes.setdefault(user_id, []).insert(0 if is_default else 1, address_id)
    insert(company, "addresses", row, t)


@on("user.sign_up")
def sign_up(company: Company, t: int, given_email: str | None = None, broken: str | None = None) -> Row:
    """Somebody signs up: a user with a default shipping address and perhaps a billing address.

    `broken` is 'status' or 'email': the record is broken from its first version on.
    """
    rng = company.rng
    user_id = str(uuid.UUID(int=rng.getrandbits(128), version=4))
    first_name, last_name = rng.choice(FIRST_NAMES), rng.choice(LAST_NAMES)
    by = rng.choice(("sign-up", "sign-up", "sign-up", "support"))
    row: Row = {
        "id": user_id,
        "email": given_email or new_email(company, first_name, last_name),
        "password_hash": f"pbkdf2${rng.getrandbits(64):016x}",
        "first_name": first_name,
        "last_name": last_name,
        "status": "active",
        "created_at": stamp(t),
        "updated_at": stamp(t),
        "created_by": by,
        "updated_by": by,
        "version": 1,
    }
    company.users[user_id] = row
    company.shoppers.append(user_id)
    company.shop_emails[row["email"]] = user_id
    good = _spoil(company, row, broken) if broken else None
    insert(company, "users", row, t)
    country_code = rng.choices(_COUNTRY_CODES, _COUNTRY_WEIGHTS)[0]
    add_address(company, t, user_id, "shipping", 1, country_code)
    if rng.random() < 0.12:
        add_address(company, t, user_id, "billing", 0, country_code)
    if good:
        return good | {"id": user_id}
    if rng.random() < 0.29:
        schedule(company, t + rng.randrange(5 * MINUTE, 5 * DAY), "account.open", user_id)
    return row


@on("user.sign_up_broken")
def sign_up_broken(company: Company, t: int, what: str, days: int | None) -> None:
    """A user whose record is broken from the start, who buys all the same."""
    good = sign_up(company, t, None, what)
    for wait in (2 * HOUR, DAY):
        schedule(company, t + wait, "order.place", good["id"])
    if days is not None:
        schedule(company, t + days * DAY, "user.mend", good["id"], {what: good[what]})


@on("user.sign_up_again")
def sign_up_reusing(company: Company, t: int) -> None:
    """Somebody signs up with an address that somebody else has given up."""
    if company.free_emails:
        email = company.free_emails.pop(0)
        if email not in company.shop_emails:
            sign_up(company, t, email)


def change(company: Company, t: int, row: Row, by: str, **values: Any) -> None:
    """Change a user; nothing happens if the user has left meanwhile."""
    if row["id"] in company.users:
        update(company, "users", row, t, updated_by=by, **values)


@on("user.set")
def set_values(company: Company, t: int, user_id: str, values: Row) -> None:
    """Set values that were planned before, unless the record is broken meanwhile."""
    row = company.users.get(user_id)
    if row and ("users", user_id) not in company.broken:
        change(company, t, row, "support", **values)


@on("user.marry")
def marry(company: Company, t: int) -> None:
    """Anybody takes another last name."""
    row = pick_user(company)
    if row:
        change(company, t, row, "self", last_name=company.rng.choice(LAST_NAMES))


@on("user.new_password")
def new_password(company: Company, t: int) -> None:
    """A change that only the secret column shows."""
    row = pick_user(company)
    if row:
        change(company, t, row, "self", password_hash=f"pbkdf2${company.rng.getrandbits(64):016x}")


@on("user.new_email")
def change_email(company: Company, t: int) -> None:
    """A new address; the account follows later, or never. The old address may become somebody else's."""
    row, rng = pick_user(company), company.rng
    if not row:
        return
    old = row["email"]
    change(company, t, row, "self", email=new_email(company, row["first_name"], row["last_name"]))
    company.shop_emails[row["email"]] = company.shop_emails.pop(old)
    if old not in company.account_emails:
        company.free_emails.append(old)
    elif rng.random() < 0.4:
        schedule(company, t + rng.randrange(HOUR, 5 * DAY), "account.follow", company.account_emails[old], row["email"])


@on("user.status")
def change_status(company: Company, t: int) -> None:
    """Anybody's status changes: mostly away from active, and back."""
    row, rng = pick_user(company), company.rng
    if row:
        status = "active" if row["status"] != "active" else rng.choice(STATUSES[1:])
        change(company, t, row, "support", status=status)


@on("user.flip")
def flip(company: Company, t: int, wait: int) -> None:
    """A -> B -> A: suspended, and `wait` seconds later as before."""
    row = pick_user(company)
    if row:
        before = row["status"]
        change(company, t, row, "support", status="suspended" if before != "suspended" else "active")
        schedule(company, t + wait, "user.set", row["id"], {"status": before})


@on("user.same_second")
def same_second(company: Company, t: int) -> None:
    """Several changes in one second, the last of which counts."""
    row = pick_user(company)
    if row:
        last_name = company.rng.choice(LAST_NAMES)
        for value in (last_name.upper(), f"{last_name} ", last_name):
            change(company, t, row, "self", last_name=value.strip())
    row = pick_user(company)
    if row:
        before = row["status"]
        change(company, t, row, "support", status="inactive" if before != "inactive" else "active")
        change(company, t, row, "support", status=before)


@on("user.move")
def move_house(company: Company, t: int) -> None:
    """Mostly the default address changes in place; sometimes a new one takes its place."""
    row, rng = pick_user(company), company.rng
    if not row:
        return
    address = company.addresses[company.homes[row["id"]][0]]
    country_code = address["country_code"] if rng.random() < 0.95 else rng.choices(_COUNTRY_CODES, _COUNTRY_WEIGHTS)[0]
    if rng.random() < 0.8:
        update(company, "addresses", address, t, **place(company, country_code))
    else:
        update(company, "addresses", address, t, is_default=0)
        add_address(company, t, row["id"], "shipping", 1, country_code)


@on("user.delete")
def delete_user(company: Company, t: int, back_after_days: int | None) -> None:
    """Delete a user who has bought something, with the addresses; the orders stay. Some come back under the same id."""
    rng = company.rng
    buyers = [order["row"]["user_id"] for order in company.orders.values()]
    buyers = [user_id for user_id in buyers if user_id in company.users and ("users", user_id) not in company.broken]
    if not buyers:
        return
    row = company.users.pop(rng.choice(buyers))
    user_id = row["id"]
    company.shoppers.remove(user_id)
    addresses = [company.addresses.pop(address_id) for address_id in company.homes.pop(user_id)]
    for address in addresses:
        delete(company, "addresses", address, t)
    delete(company, "users", row, t)
    if back_after_days is None:
        del company.shop_emails[row["email"]]
        if row["email"] not in company.account_emails:
            company.free_emails.append(row["email"])
    else:
        company.deleted[user_id] = {"row": row, "addresses": addresses}
        schedule(company, t + back_after_days * DAY, "user.restore", user_id)


@on("user.restore")
def restore_user(company: Company, t: int, user_id: str) -> None:
    """A deleted user comes back: same id, same address."""
    kept = company.deleted.pop(user_id)
    row = kept["row"]
    row.update(updated_at=stamp(t), updated_by="support", version=row["version"] + 1)
    company.users[user_id] = row
    company.shoppers.append(user_id)
    insert(company, "users", row, t)
    company.homes[user_id] = []
    for address in kept["addresses"]:
        address.update(updated_at=stamp(t), version=address["version"] + 1)
        company.addresses[address["id"]] = address
        company.homes[user_id].append(address["id"])
        insert(company, "addresses", address, t)


@on("user.break")
def break_user(company: Company, t: int, what: str, days: int | None) -> None:
    """A record breaks; while it is broken it changes once more."""
    row = pick_user(company)
    if not row:
        return
    good = _spoil(company, row, what)
    change(company, t, row, "import", **{what: row[what]})
    if days is not None:
        schedule(company, t + DAY, "user.touch", row["id"])
        schedule(company, t + days * DAY, "user.mend", row["id"], {what: good[what]})


@on("user.touch")
def touch(company: Company, t: int, user_id: str) -> None:
    """A change of name, whatever state the record is in."""
    row = company.users.get(user_id)
    if row:
        change(company, t, row, "self", first_name=company.rng.choice(FIRST_NAMES))


@on("user.mend")
def mend_user(company: Company, t: int, user_id: str, values: Row) -> None:
    """The record gets its good value back."""
    company.broken.pop(("users", user_id))
    change(company, t, company.users[user_id], "data quality", **values)


def _spoil(company: Company, row: Row, what: str) -> Row:
    """Break a user's row in place; returns it as it was."""
    good = dict(row)
    if what == "status":
        row["status"] = "frozen"
    else:
        row["email"] = good["email"].replace("@", " at ")
    company.broken[("users", row["id"])] = {"status": "value:status", "email": "format:email"}[what]
    return good
