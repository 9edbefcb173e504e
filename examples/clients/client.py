"""Lists the tools of an MCP server behind the gateway and calls one. Needs: pip install mcp==2.3.0"""

import asyncio
import sys

from mcp import Client


async def main(url: str) -> None:
    async with Client(url) as client:
        for tool in (await client.list_tools()).tools:
            print("tool:", tool.name)
        result = await client.call_tool("search_customers", {"query": "mill"})
        print(result.content[0].text)


asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080/mcp/crm"))
