// Two MCP servers, of both TypeScript SDKs, whose tools write down what they
// were called with. The parent's first line on stdout says where they are;
// the process ends with its standard input.
//
// Usage: node node.mjs <folder with node_modules>
import { createRequire } from 'node:module';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const require = createRequire(join(process.argv[2], 'package.json'));
const load = (name) => import(pathToFileURL(require.resolve(name)));
const { Server: Server1 } = await load('@modelcontextprotocol/sdk/server/index.js');
const { StreamableHTTPServerTransport } = await load('@modelcontextprotocol/sdk/server/streamableHttp.js');
const { CallToolRequestSchema } = await load('@modelcontextprotocol/sdk/types.js');
const { Server: Server2, createMcpHandler } = await load('@modelcontextprotocol/server');

// canon tags every value with its kind, so that nothing is lost on the way to
// the test: numbers beyond JSON's, and objects whose prototype was replaced.
function canon(v) {
  if (v === null || typeof v === 'boolean' || typeof v === 'string') return v;
  if (typeof v === 'number') return ['#', String(v)];
  if (Array.isArray(v)) return ['[', ...v.map(canon)];
  if (v === undefined) return ['undefined'];
  const proto = Object.getPrototypeOf(v);
  const members = Object.entries(v).map(([k, x]) => [k, canon(x)]);
  return proto === Object.prototype || proto === null ? ['{', ...members] : ['{', ...members, ['(prototype)', canon(proto)]];
}

const calls = { ts1: [], ts2: [] };
const record = (sdk) => async (request) => {
  calls[sdk].push({ tool: request.params.name, arguments: canon(request.params.arguments) });
  return { content: [{ type: 'text', text: 'ran ' + request.params.name }] };
};

function ts1() {
  const server = new Server1({ name: 'ts1', version: '1' }, { capabilities: { tools: {} } });
  server.setRequestHandler(CallToolRequestSchema, record('ts1'));
  return server;
}

function ts2() {
  const server = new Server2({ name: 'ts2', version: '1' }, { capabilities: { tools: {} } });
  server.setRequestHandler('tools/call', record('ts2'));
  return server;
}

const handler = createMcpHandler(ts2, { responseMode: 'json' });

// toRequest makes the web request that the second SDK reads, header lines as
// they came.
async function toRequest(req) {
  const headers = new Headers();
  for (let i = 0; i < req.rawHeaders.length; i += 2) headers.append(req.rawHeaders[i], req.rawHeaders[i + 1]);
  const chunks = [];
  for await (const chunk of req) chunks.push(chunk);
  const body = req.method === 'GET' ? undefined : Buffer.concat(chunks);
  return new Request('http://127.0.0.1' + req.url, { method: req.method, headers, body });
}

async function serve(req, res) {
  if (req.url === '/ts1/calls' || req.url === '/ts2/calls') {
    res.setHeader('Content-Type', 'application/json');
    res.end(JSON.stringify(calls[req.url.slice(1, 4)].splice(0)));
    return;
  }
  if (req.url === '/ts1/') {
    const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined, enableJsonResponse: true });
    const server = ts1();
    await server.connect(transport);
    res.on('close', () => server.close());
    await transport.handleRequest(req, res);
    return;
  }
  const reply = await handler.fetch(await toRequest(req));
  res.writeHead(reply.status, Object.fromEntries(reply.headers));
  res.end(Buffer.from(await reply.arrayBuffer()));
}

const web = createServer((req, res) => {
  serve(req, res).catch((err) => {
    if (!res.headersSent) res.writeHead(500);
    res.end(String(err));
  });
});
web.listen(0, '127.0.0.1', () => {
  const base = `http://127.0.0.1:${web.address().port}`;
  console.log(JSON.stringify({ ts1: base + '/ts1/', ts2: base + '/ts2/' }));
});
process.stdin.on('end', () => process.exit(0)).resume();
