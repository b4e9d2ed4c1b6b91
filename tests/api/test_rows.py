"""Every login reads by its key what a session of its own reads, in every format, and nothing else."""

from __future__ import annotations

from tests.api.served import Served


def test_hello(api: Served) -> None:
    answer = api.get("/catalog")
    print(answer.status_code, answer.text[:1500])
    print(api.log.read_text())
    for path in ("/marts/tiny/fct_visits?limit=3", "/marts/tiny/fct_visits?page_size=5", "/marts/tiny/fct_visits?format=csv", "/marts/tiny/dim_members?sort=-valid_from&limit=2&tier.in=gold"):
        for login in api.keys:
            answer = api.get(path, login)
            print(login, path, answer.status_code, dict(answer.headers), answer.text[:700])
    print(api.log.read_text())
    print(len(api.rows("/marts/tiny/fct_visits", page_size=5)))
    assert 0
