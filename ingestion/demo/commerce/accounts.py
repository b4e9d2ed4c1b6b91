"""The accounts behind the HTTP API: their clean state, and the messy record that the API shows of it."""

from __future__ import annotations

import json
import random
from typing import Any

from ingestion.demo.agenda import on, schedule
from ingestion.demo.clock import DAY, iso, stamp

from .company import Company
from .people import new_email
from .truth import count, note_broken, note_gone, note_mended
from .vocabulary import FIRST_NAMES, LAST_NAMES

Account = dict[str, Any]

STATUS_SPELLINGS = {
    "active": ("active", "active", "active", "enabled", "Active", "ENABLED"),
    "inactive": ("inactive", "inactive", "disabled"),
    "suspended": ("suspended", "blocked", " blocked "),
}
DEFAULTS = {"newsletter": False, "language": "en", "theme": "light"}
REASONS = {
    "status": "value:status",
    "email": "format:email",
    "id": "missing:id",
    "updated_at": "type:updated_at",
    "status_number": "value:status",  # a number has a text, which is no known status
}
_BIOS = (
    "Collector of mugs.",
    "I love tea, gardens & old clocks.",
    "Zwischen Büchern zu Hause.",
    'They call me "Boss".',
    None,
)
_PLACES = ("London", "Zürich", "Galway", "Portland, OR", "Łódź", None)


@on("account.open")
def open_account(company: Company, t: int, user_id: str | None = None, broken: str | None = None) -> Account | None:
    """Somebody opens an account: a shop user under the same address, or somebody unknown to the shop."""
    rng = company.rng
    if user_id is None:
        first_name, last_name = rng.choice(FIRST_NAMES), rng.choice(LAST_NAMES)
        email = new_email(company, first_name, last_name)
    else:
        user = company.users.get(user_id)
        if not user or ("users", user_id) in company.broken or user["email"] in company.account_emails:
            return None
        email, first_name, last_name = user["email"], user["first_name"], user["last_name"]
    number = len(company.accounts) + 1
    account: Account = {
        "number": number,
        "email": email,
        "first_name": first_name,
        "last_name": last_name,
        "status": "active",
        "avatar": f"https://images.example.com/avatars/{number}.png",
        "bio": rng.choice(_BIOS),
        "location": rng.choice(_PLACES),
        "newsletter": rng.random() < 0.4,
        "language": rng.choice(("en", "en", "en", "de", "fr")),
        "theme": rng.choice(("light", "dark")),
        "created": t,
        "fault": broken,  # what is wrong with the record: a key of REASONS
        "good": None,  # the cleansed state that the last good record shows
    }
    company.accounts[number] = account
    company.account_emails[email] = number
    if broken:
        company.broken[("accounts", number)] = REASONS[broken]
    # A few accounts appear twice on every listing, as if the service's pages overlapped.
    account["copies"] = 2 if number % 40 == 7 and not broken else 1
    count(company.truth, "accounts", "users", account["copies"])
    write(company, t, account)
    return account


@on("account.change")
def change_account(company: Company, t: int) -> None:
    """One or more values of any account in order change."""
    rng = company.rng
    account = _pick(company)
    if not account:
        return
    what = rng.choice(("profile", "profile", "preferences", "name", "email", "status"))
    if what == "profile":
        account.update(bio=rng.choice(_BIOS), location=rng.choice(_PLACES))
    elif what == "preferences":
        account.update(newsletter=not account["newsletter"], theme=rng.choice(("light", "dark")))
    elif what == "name":
        account["last_name"] = rng.choice(LAST_NAMES)
    elif what == "status":
        account["status"] = rng.choice(list(STATUS_SPELLINGS))
    elif rng.random() < 0.3:
        _set_email(company, account, new_email(company, account["first_name"], account["last_name"]))
    write(company, t, account)


@on("account.follow")
def follow_email(company: Company, t: int, number: int, email: str) -> None:
    """A shop user's new address reaches the account, unless somebody else's account has it meanwhile."""
    if email not in company.account_emails and ("accounts", number) not in company.broken:
        _set_email(company, company.accounts[number], email)
        write(company, t, company.accounts[number])


@on("account.join_shop")
def join_shop(company: Company, t: int) -> None:
    """Somebody who has only an account signs up in the shop, under the same address."""
    for _ in range(20):
        account = _pick(company)
        if account and account["email"] not in company.shop_emails:
            schedule(company, t, "user.sign_up", account["email"])
            return


@on("account.break")
def break_account(company: Company, t: int, what: str, days: int | None, born: bool = False) -> None:
    """An account's record breaks, or a new account's is broken from the start."""
    account = open_account(company, t, None, what) if born else _pick(company, single=True)
    if not account:
        return
    if not born:
        company.broken[("accounts", account["number"])] = REASONS[what]
        account["fault"] = what
        write(company, t, account)
    if days is not None:
        schedule(company, t + days * DAY, "account.mend", account["number"])


@on("account.mend")
def mend_account(company: Company, t: int, number: int) -> None:
    """The record is in order again."""
    company.broken.pop(("accounts", number))
    write(company, t, company.accounts[number])


def _pick(company: Company, single: bool = False) -> Account | None:
    """Any account in order; `single`: one that isn't listed twice."""
    for _ in range(20):
        if company.accounts:
            account = company.accounts[company.rng.randrange(len(company.accounts)) + 1]
            if ("accounts", account["number"]) not in company.broken and not (single and account["copies"] > 1):
                return account
    return None


def _set_email(company: Company, account: Account, email: str) -> None:
    del company.account_emails[account["email"]]
    company.account_emails[email] = account["number"]
    account["email"] = email


def write(company: Company, t: int, account: Account) -> None:
    """Write an account's record as the API will show it, and note the truth that it should come to."""
    number = account["number"]
    record, shown = render(company.rng, account, t)
    reason = company.broken.get(("accounts", number))
    note_gone(company.truth, "users", number)
    if reason:
        _spoil(record, account["fault"])
        note_broken(company.truth, "accounts", "users", number, record.get("id"), t, reason)
    else:
        note_mended(company.truth, "users", number, t)
        account["good"] = shown
    account.update(updated=t, record=json.dumps(record, ensure_ascii=False), current=reason is None)
    company.batch.accounts[number] = None


def render(rng: random.Random, account: Account, t: int) -> tuple[dict[str, Any], tuple[Any, ...]]:
    """An account's messy record, and the cleansed values that it should come to (the columns of truth_accounts)."""
    preferences: dict[str, Any] = {key: account[key] for key in DEFAULTS}
    profile: dict[str, Any] = {key: account[key] for key in ("avatar", "bio", "location")}
    for part in (preferences, profile):
        for key in list(part):
            _omit(rng, part, key, 0.03)
    shown = {**dict.fromkeys(("avatar", "bio", "location")), **profile}
    chosen: dict[str, Any] = {
        key: default if preferences.get(key) is None else preferences[key] for key, default in DEFAULTS.items()
    }
    profile["preferences"] = preferences
    if _omit(rng, profile, "preferences", 0.05):
        chosen = dict(DEFAULTS)
    record: dict[str, Any] = {
        "id": f"acc_{account['number']:06}",
        "email": _messy_email(rng, account["email"]),
        "first_name": _messy_name(rng, account["first_name"]),
        "last_name": _messy_name(rng, account["last_name"]),
        "status": rng.choice(STATUS_SPELLINGS[account["status"]]),
        "profile": profile,
        "created_at": iso(account["created"], rng.choice((0, 0, 2))),
        "updated_at": iso(t, rng.choice((0, 0, 2))),
    }
    if _omit(rng, record, "profile", 0.04):
        shown, chosen = dict.fromkeys(shown), dict(DEFAULTS)
    clean = (
        record["id"],
        *(account[key] for key in ("email", "first_name", "last_name", "status")),
        *(shown[key] for key in ("avatar", "bio", "location")),
        int(chosen["newsletter"]),
        chosen["language"],
        chosen["theme"],
        stamp(account["created"]),
        stamp(t),
    )
    return record, clean


def _omit(rng: random.Random, part: dict[str, Any], key: str, chance: float) -> bool:
    """Perhaps leave a key out, or set it to null; says whether."""
    draw = rng.random()
    if draw < chance / 2:
        del part[key]
    elif draw < chance:
        part[key] = None
    return draw < chance


def _messy_email(rng: random.Random, email: str) -> str:
    if rng.random() < 0.2:
        email = email.upper() if rng.random() < 0.3 else email.title()
    return rng.choice((f" {email}", f"{email} ", f"  {email}\t")) if rng.random() < 0.1 else email


def _messy_name(rng: random.Random, name: str) -> str:
    if " " in name and rng.random() < 0.5:
        name = name.replace(" ", rng.choice(("  ", " \t ", "\t")))
    return rng.choice((f" {name}", f"{name}  ", f"\t{name}")) if rng.random() < 0.08 else name


def _spoil(record: dict[str, Any], what: str) -> None:
    """Break a record in exactly this way."""
    if what == "status":
        record["status"] = "pending_review"
    elif what == "email":
        record["email"] = record["email"].strip().replace("@", "#")
    elif what == "id":
        del record["id"]
    elif what == "updated_at":
        record["updated_at"] = "yesterday"
    else:
        record["status"] = 3
