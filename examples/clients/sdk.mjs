// Lists the tools of an MCP server behind the gateway and calls one.
// Needs: npm install @modelcontextprotocol/sdk@1.32.2
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const url = new URL(process.argv[2] ?? 'http://127.0.0.1:8080/mcp/crm');
const client = new Client({ name: 'example', version: '1.0.0' });
await client.connect(new StreamableHTTPClientTransport(url));
for (const tool of (await client.listTools()).tools) console.log('tool:', tool.name);
const result = await client.callTool({ name: 'search_customers', arguments: { query: 'mill' } });
console.log(result.content[0].text);
await client.close();
