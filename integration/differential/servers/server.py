"""An MCP server of the Python SDK whose tools write down what they were called with.

The first line on stdout says where it is; the process ends with its standard input.
"""

import json
import logging
import os
import socket
import sys
import threading
from typing import Any

import mcp_types as types
import uvicorn
from mcp.server import Server
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

calls: list[dict[str, Any]] = []


def canon(v: Any) -> Any:
    """Tags every value with its kind, so that numbers beyond JSON's survive."""
    if v is None or isinstance(v, (bool, str)):
        return v
    if isinstance(v, int):
        return ["#", hex(v)]  # decimal conversion is limited in length
    if isinstance(v, float):
        return ["#", repr(v)]
    if isinstance(v, (list, tuple)):
        return ["[", *map(canon, v)]
    return ["{", *([str(k), canon(x)] for k, x in v.items())]


async def call_tool(ctx: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
    arguments = ["undefined"] if params.arguments is None else canon(params.arguments)
    calls.append({"tool": params.name, "arguments": arguments})
    return types.CallToolResult(content=[types.TextContent(type="text", text="ran " + params.name)])


async def drain(_: Request) -> JSONResponse:
    got = calls[:]
    calls.clear()
    return JSONResponse(got)


def die_with_stdin() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def main() -> None:
    logging.disable(logging.CRITICAL)
    server = Server("python", version="1", on_call_tool=call_tool)
    app = server.streamable_http_app(streamable_http_path="/", json_response=True, stateless_http=True)
    app.router.routes.insert(0, Route("/calls", drain))
    # With the protocol named, asyncio turns off Nagle's algorithm.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    threading.Thread(target=die_with_stdin, daemon=True).start()
    print(json.dumps({"python": f"http://127.0.0.1:{listener.getsockname()[1]}/"}), flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="critical")).run(sockets=[listener])


main()
