"""Takes the Python SDK, given the URL of an MCP server, through OAuth.

python oauth.py

Reads one JSON line, the task of integration/oauth. Prints {"authorize": url} when a person is to
open it, and reads {"redirect": url} of where their browser was sent; prints one step a line.
"""

import asyncio
import json
import sys
from typing import Any
from urllib.parse import parse_qs, urlparse

from driver import fault
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken

LIMIT = 120.0


def show(value: dict[str, Any]) -> None:
    print(json.dumps(value), flush=True)


class Memory:
    """Holds the client's registration and its tokens."""

    def __init__(self, client: OAuthClientInformationFull | None) -> None:
        self.client = client
        self.tokens: OAuthToken | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


async def opened(url: str) -> None:
    show({"authorize": url})


async def back() -> AuthorizationCodeResult:
    line = await asyncio.to_thread(sys.stdin.readline)
    query = {k: v[0] for k, v in parse_qs(urlparse(json.loads(line)["redirect"]).query).items()}
    return AuthorizationCodeResult(code=query["code"], state=query.get("state"), iss=query.get("iss"))


def provider(task: dict[str, Any]) -> OAuthClientProvider:
    if task["grant"] == "client_credentials":
        return ClientCredentialsOAuthProvider(
            server_url=task["url"],
            storage=Memory(None),
            client_id=task["client"],
            client_secret=task["secret"],
            token_endpoint_auth_method="client_secret_post",
            issuer=task["issuer"],
        )
    about: dict[str, Any] = {
        "redirect_uris": [task["redirect"]],
        "grant_types": ["authorization_code"],
        "token_endpoint_auth_method": "none",
    }
    registered = OAuthClientInformationFull(client_id=task["client"], issuer=task["issuer"], **about)
    return OAuthClientProvider(task["url"], OAuthClientMetadata(client_name="peer", **about), Memory(registered), opened, back)


async def run(task: dict[str, Any]) -> None:
    connected = False
    try:
        http = create_mcp_http_client(auth=provider(task))
        async with asyncio.timeout(LIMIT), http, Client(streamable_http_client(task["url"], http_client=http)) as client:
            connected = True
            show({"step": "connect", "ok": True})
            for name in task["calls"]:
                try:
                    result = await client.call_tool(name, {})
                    if result.is_error:
                        raise RuntimeError("tool error: " + result.content[0].text)
                    show({"step": name, "ok": True, "detail": result.content[0].text})
                except Exception as error:  # whatever the SDK raises is what its caller gets
                    show({"step": name, "ok": False, "error": fault(error)})
    except Exception as error:
        show({"step": "close" if connected else "connect", "ok": False, "error": fault(error)})


if __name__ == "__main__":
    asyncio.run(run(json.loads(sys.stdin.readline())))
    show({"end": True})
