"""Drives the Python SDK's client through plans.

python driver.py

Reads one JSON line {"url":…,"plan":…} for each conversation, and prints one JSON line
for each of its steps and {"end": true} after them. Ends with its input.
Plans and steps are those of integration/peers/scenario.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import mcp.types as types
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

MODERN = "2026-07-28"
MODEL_TEXT = "said by the peer's model"
LIMIT = 60.0


def short(text: str) -> str:
    return text if len(text) <= 200 else text[:200] + "…"


def fault(error: BaseException) -> dict[str, Any]:
    while isinstance(error, BaseExceptionGroup):  # task groups wrap what went wrong
        error = error.exceptions[0]
    if isinstance(error, MCPError):
        return {"code": error.code, "message": error.message}
    return {"code": 0, "message": str(error) or type(error).__name__}


def judge(call: dict[str, Any], result: types.CallToolResult) -> str:
    text = text_of(result)
    if result.is_error:
        raise RuntimeError("tool error: " + short(text))
    if call.get("want", "") not in text:
        raise RuntimeError(f"{call['want']!r} is not in the result: {short(text)}")
    return short(text)


def text_of(result: types.CallToolResult) -> str:
    return "\n".join(b.text for b in result.content if isinstance(b, types.TextContent))


class Driver:
    def __init__(self, url: str, plan: dict[str, Any]) -> None:
        self.url, self.plan = url, plan
        self.asked = {"elicit": 0, "sample": 0}
        self.answer: dict[str, Any] = {}
        self.client: Client

    def report(self, step: str, ok: bool, **more: Any) -> None:
        print(json.dumps({"step": step, "ok": ok, **more}), flush=True)

    async def elicit(self, _: Any, __: types.ElicitRequestParams) -> types.ElicitResult:
        self.asked["elicit"] += 1
        return types.ElicitResult(action="accept", content=self.answer)

    async def sample(self, _: Any, __: types.CreateMessageRequestParams) -> types.CreateMessageResult:
        self.asked["sample"] += 1
        said = types.TextContent(type="text", text=MODEL_TEXT)
        return types.CreateMessageResult(role="assistant", model="peer-model", content=said, stop_reason="endTurn")

    async def step(self, name: str, act: Callable[[], Awaitable[str]]) -> None:
        try:
            async with asyncio.timeout(LIMIT):
                detail = await act()
        except Exception as error:  # whatever the SDK raises is what its caller gets
            self.report(name, False, error=fault(error))
        else:
            self.report(name, True, detail=detail)

    async def call(self, call: dict[str, Any], progress: Any = None) -> types.CallToolResult:
        return await self.client.call_tool(call["name"], call["arguments"], progress_callback=progress)

    async def call_step(self, name: str, call: dict[str, Any] | None) -> None:
        if call:

            async def act() -> str:
                return judge(call, await self.call(call))

            await self.step(name, act)

    async def refused(self, name: str, call: dict[str, Any]) -> None:
        try:
            async with asyncio.timeout(LIMIT):
                result = await self.call(call)
        except Exception as error:
            found = fault(error)
            self.report(name, bool(found["message"]) and not isinstance(error, TimeoutError), error=found)
            return
        text = text_of(result)
        what = "tool error: " if result.is_error else "was not refused: "
        self.report(name, bool(result.is_error and text), detail=what + short(text))

    async def progress(self, call: dict[str, Any]) -> str:
        seen = 0

        async def count(*_: Any) -> None:
            nonlocal seen
            seen += 1

        judge(call, await self.call(call, count))
        if seen == 0:
            raise RuntimeError("no progress came")
        return f"notifications={seen}"

    async def ask(self, kind: str, call: dict[str, Any]) -> str:
        before = self.asked[kind]
        self.answer = call.get("answer") or {}
        detail = judge(call, await self.call(call))
        if self.asked[kind] == before:
            raise RuntimeError("nobody was asked: " + detail)
        return f"asked={self.asked[kind] - before}"

    async def cancel(self, call: dict[str, Any]) -> str:
        started = asyncio.Event()

        async def first(*_: Any) -> None:
            started.set()

        task = asyncio.create_task(self.call(call, first))
        waiting = asyncio.create_task(started.wait())
        await asyncio.wait({task, waiting}, timeout=0.5, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if task.done():
            raise RuntimeError("ended before it was cancelled")
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=LIMIT)
        if not done:
            raise RuntimeError("did not end when it was cancelled")
        if not task.cancelled() and task.exception() is None:
            raise RuntimeError("succeeded although it was cancelled")
        return "ended with an error"

    async def steps(self) -> None:
        plan, client = self.plan, self.client
        if plan.get("list_tools"):

            async def tools() -> str:
                names = [t.name for t in (await client.list_tools()).tools]
                if plan.get("call") and plan["call"]["name"] not in names:
                    raise RuntimeError(f"{plan['call']['name']} is not among {' '.join(names)}")
                return f"tools={len(names)}"

            await self.step("list_tools", tools)
        call = plan.get("call")
        await self.call_step("call", call)
        if plan.get("unknown"):
            await self.refused("unknown_tool", {"name": plan["unknown"], "arguments": {}})
            await self.call_step("call_after_unknown", call)
        if plan.get("refused"):
            await self.refused("refused", plan["refused"])
            await self.call_step("call_after_refused", call)
        if plan.get("progress"):
            await self.step("progress", lambda: self.progress(plan["progress"]))
        for kind in ("elicit", "sample"):
            if plan.get(kind):
                await self.step(kind, lambda kind=kind: self.ask(kind, plan[kind]))
        if plan.get("slow"):
            await self.step("cancel", lambda: self.cancel(plan["slow"]))
            await self.call_step("call_after_cancel", call)
        await self.lists()
        if plan.get("ping") and client.protocol_version < MODERN:

            async def ping() -> str:
                await client.send_ping()
                return ""

            await self.step("ping", ping)

    async def lists(self) -> None:
        plan, client = self.plan, self.client
        if plan.get("resource"):

            async def resources() -> str:
                return f"resources={len((await client.list_resources()).resources)}"

            async def read() -> str:
                contents = (await client.read_resource(plan["resource"])).contents
                return f"bytes={sum(len(getattr(c, 'text', None) or c.blob) for c in contents)}"

            await self.step("list_resources", resources)
            await self.step("read_resource", read)
        if plan.get("prompt"):

            async def prompts() -> str:
                return f"prompts={len((await client.list_prompts()).prompts)}"

            async def get() -> str:
                result = await client.get_prompt(plan["prompt"]["name"], plan["prompt"]["arguments"])
                return f"messages={len(result.messages)}"

            await self.step("list_prompts", prompts)
            await self.step("get_prompt", get)

    @asynccontextmanager
    async def http(self) -> AsyncIterator[Any]:
        """What the client connects to: the URL alone, or with a token on each request."""
        token = self.plan.get("token")
        if not token:
            yield self.url
            return
        async with create_mcp_http_client(headers={"Authorization": "Bearer " + token}) as http:
            yield streamable_http_client(self.url, http_client=http)

    async def run(self) -> None:
        mode = MODERN if self.plan["era"] == "modern" else self.plan["era"]
        connected = False
        try:
            async with self.http() as server, Client(
                server,
                mode=mode,
                elicitation_callback=self.elicit,
                sampling_callback=self.sample,
                client_info=types.Implementation(name="peer-python", version="1.0.0"),
            ) as self.client:
                connected = True
                self.report("connect", True, detail=f"revision={self.client.protocol_version}")
                await self.steps()
        except Exception as error:
            self.report("close" if connected else "connect", False, error=fault(error))
        else:
            self.report("close", True)


def main() -> None:
    for line in sys.stdin:
        task = json.loads(line)
        asyncio.run(Driver(task["url"], task["plan"]).run())
        print(json.dumps({"end": True}), flush=True)


if __name__ == "__main__":
    main()
