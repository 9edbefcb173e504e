"""An MCP server of the Python SDK, for clients of both eras.

python server.py [--port N]   # prints: peer ready http://127.0.0.1:PORT/mcp
"""

import argparse
import asyncio
import socket
from typing import Annotated

import uvicorn
from mcp.server.mcpserver import AcceptedElicitation, Context, Elicit, ElicitationResult, MCPServer, Resolve, Sample
from mcp.types import CreateMessageResult, SamplingMessage, TextContent
from pydantic import BaseModel

server = MCPServer("peer-python", version="1.0.0", log_level="WARNING")


class Confirmation(BaseModel):
    yes: bool


def ask_user() -> Elicit[Confirmation]:
    return Elicit("Go on?", Confirmation)


def ask_model() -> Sample:
    question = SamplingMessage(role="user", content=TextContent(type="text", text="Say something."))
    return Sample([question], max_tokens=50)


@server.tool()
def echo(text: str) -> str:
    """Says it again."""
    return text


@server.tool()
async def count(to: int, pause_ms: int, ctx: Context) -> str:
    """Counts and reports each number as progress."""
    for n in range(1, to + 1):
        await asyncio.sleep(pause_ms / 1000)
        await ctx.report_progress(n, to, f"{n} of {to}")
    return f"counted to {to}"


@server.tool()
def confirm(answer: Annotated[ElicitationResult[Confirmation], Resolve(ask_user)]) -> str:
    """Asks the user and says what the answer was."""
    if isinstance(answer, AcceptedElicitation):
        return f"the user said {answer.data.yes}"
    return f"the user did not say: {answer.action}"


@server.tool()
def consult(reply: Annotated[CreateMessageResult, Resolve(ask_model)]) -> str:
    """Asks the client's model and repeats it."""
    return f"the model: {reply.content.text}"


@server.resource("peer://greeting")
def greeting() -> str:
    """A fixed text."""
    return "hello from python"


@server.prompt()
def greet(name: str) -> str:
    """Greets somebody."""
    return f"Say hello to {name}."


def main() -> None:
    parser = argparse.ArgumentParser(description="MCP server of the Python SDK on loopback")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    port = parser.parse_args().port
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    print(f"peer ready http://127.0.0.1:{listener.getsockname()[1]}/mcp", flush=True)
    config = uvicorn.Config(server.streamable_http_app(), log_level="warning", timeout_graceful_shutdown=2)
    asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))


if __name__ == "__main__":
    main()
