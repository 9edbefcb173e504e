"""Clients of the Python SDK that the test asks, one line of JSON for each connection.

{"key", "era", "url", "case", "limit"}: it connects, makes the odd call, then an ordinary
one, and answers with a line that says what it was handed. It ends with its standard input.
"""

import asyncio
import json
import logging
import sys
import warnings
from typing import Any

import mcp.types as types
from mcp import Client


def canon(v: Any) -> Any:
    """Tags every value with its kind, as in server.py."""
    if v is None or isinstance(v, (bool, str)):
        return v
    if isinstance(v, int):
        return ["#", hex(v)]
    if isinstance(v, float):
        return ["#", repr(v)]
    if isinstance(v, (list, tuple)):
        return ["[", *map(canon, v)]
    return ["{", *([str(k), canon(x)] for k, x in v.items())]


def innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def is_fine(client: Client, limit: float) -> bool:
    try:
        async with asyncio.timeout(limit):
            fine = await client.call_tool("fine", {})
        return fine.content[0].text == "fine"
    except Exception:
        return False


async def use(client: Client, job: dict[str, Any], seen: dict[str, Any]) -> None:
    """A client hangs when the odd call is not back when the ordinary one is, which was
    made later, and a while after that: slowness alone is no hang."""
    limit = job["limit"] / 1000
    odd = asyncio.create_task(client.call_tool("odd", {"case": job["case"]}))
    await asyncio.wait({odd}, timeout=limit)
    seen["usable"] = await is_fine(client, 5 * limit)
    if not odd.done():
        await asyncio.wait({odd}, timeout=limit)
    if not odd.done():
        odd.cancel()
        await asyncio.wait({odd}, timeout=limit)
        return
    if odd.cancelled():
        seen["outcome"], seen["error"] = "error", "cancelled"
    elif error := odd.exception():  # whatever the SDK raises is what its caller gets
        seen["outcome"], seen["error"] = "error", str(innermost(error)) or type(error).__name__
    else:
        r = odd.result()
        seen["outcome"] = "result"
        seen["content"] = [c.text if isinstance(c, types.TextContent) else f"({c.type})" for c in r.content]
        seen["isError"] = bool(r.is_error)
        seen["structured"] = ["undefined"] if r.structured_content is None else canon(r.structured_content)
    if not seen["usable"]:  # a server may end a connection just when a client takes it for the next call
        seen["usable"] = await is_fine(client, 5 * limit)


async def run(job: dict[str, Any]) -> None:
    seen: dict[str, Any] = {"key": job["key"], "outcome": "hang", "notes": [], "asked": 0, "usable": False}
    used = False

    async def elicit(*_: Any) -> types.ElicitResult:
        seen["asked"] += 1
        return types.ElicitResult(action="decline")

    async def note(params: types.LoggingMessageNotificationParams) -> None:
        seen["notes"].append(canon(params.data))

    mode = "2026-07-28" if job["era"] == "modern" else "legacy"
    try:
        async with Client(job["url"], mode=mode, elicitation_callback=elicit, logging_callback=note) as client:
            used = True
            await use(client, job, seen)
    except Exception as error:
        if not used:
            seen["outcome"], seen["error"] = "no connection", str(innermost(error))
    print(json.dumps(seen), flush=True)


async def main() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    tasks = set()
    while line := await reader.readline():
        task = asyncio.create_task(run(json.loads(line)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")
print(json.dumps({"ready": "yes"}), flush=True)
asyncio.run(main())
