"""How an API is told who asks: by a token, a key, a password, or a token that is got for an application's secret."""

from __future__ import annotations

from collections.abc import Callable

import requests
from dlt.sources.helpers.rest_client.auth import APIKeyAuth, HttpBasicAuth, OAuth2ClientCredentials

from ingestion.load.extracts import SourceError
from ingestion.readers.rest.endpoint import Endpoint
from ingestion.readers.settings import setting, variable

Authorize = Callable[[requests.PreparedRequest], requests.PreparedRequest]

# The settings that each way of `Endpoint.auth` needs.
SECRETS: dict[str, tuple[str, ...]] = {
    "bearer": ("token",),
    "header": ("token",),
    "basic": ("username", "password"),
    "oauth2": ("token_url", "client_id", "client_secret"),
    "none": (),
}


def authorization(source: str, endpoint: Endpoint) -> Authorize:
    """What writes into each request who asks.

    Raises:
        SourceError: a setting that it needs isn't there.
    """
    secrets = []
    for name in SECRETS[endpoint.auth]:
        value = setting(source, name, secret=True)
        if not value:
            raise SourceError(f"{source}: {variable(source, name)} is not set: set it to the API's {_shown(name)}")
        secrets.append(str(value))
    match endpoint.auth:
        case "bearer":
            return APIKeyAuth("Authorization", f"Bearer {secrets[0]}")
        case "header":
            return APIKeyAuth(endpoint.auth_header, secrets[0])
        case "basic":
            return HttpBasicAuth(*secrets)
        case "oauth2":
            return OAuth2ClientCredentials(
                access_token_url=secrets[0],
                client_id=secrets[1],
                client_secret=secrets[2],
                session=requests.Session(),
            )
    return lambda request: request


def _shown(name: str) -> str:
    return name.replace("_", " ").replace("url", "address")
