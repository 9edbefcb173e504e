// Lists the tools of an MCP server behind the gateway and calls one.
// Needs: npm install @modelcontextprotocol/client@2.4.0
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

const url = new URL(process.argv[2] ?? 'http://127.0.0.1:8080/mcp/crm');
const client = new Client({ name: 'example', version: '1.0.0' }, { versionNegotiation: { mode: 'auto' } });
await client.connect(new StreamableHTTPClientTransport(url));
for (const tool of (await client.listTools()).tools) console.log('tool:', tool.name);
const result = await client.callTool({ name: 'search_customers', arguments: { query: 'mill' } });
console.log(result.content[0].text);
await client.close();
