// Clients of both TypeScript SDKs that the test asks, one line of JSON for each
// connection: {"key", "sdk", "era", "url", "case", "limit"}. For each it connects,
// makes the odd call, then an ordinary one, and answers with a line that says what
// it was handed. It ends with its standard input.
//
// Usage: node client.mjs <folder with node_modules>
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const require = createRequire(join(process.argv[2], 'package.json'));
const load = (name) => import(pathToFileURL(require.resolve(name)));
const { Client: Client1 } = await load('@modelcontextprotocol/sdk/client/index.js');
const { StreamableHTTPClientTransport: Transport1 } = await load('@modelcontextprotocol/sdk/client/streamableHttp.js');
const { ElicitRequestSchema, LoggingMessageNotificationSchema } = await load('@modelcontextprotocol/sdk/types.js');
const { Client: Client2, StreamableHTTPClientTransport: Transport2 } = await load('@modelcontextprotocol/client');

// canon tags every value with its kind, as in node.mjs.
function canon(v) {
  if (v === null || typeof v === 'boolean' || typeof v === 'string') return v;
  if (typeof v === 'number') return ['#', String(v)];
  if (Array.isArray(v)) return ['[', ...v.map(canon)];
  if (v === undefined) return ['undefined'];
  return ['{', ...Object.entries(v).map(([k, x]) => [k, canon(x)])];
}

const info = { name: 'odd', version: '1' };
const capabilities = { elicitation: {} };

async function connect(job, seen) {
  const elicit = async () => (seen.asked++, { action: 'decline' });
  const note = (n) => { seen.notes.push(canon(n.params?.data)); };
  if (job.sdk === 'ts1') {
    const client = new Client1(info, { capabilities });
    client.setRequestHandler(ElicitRequestSchema, elicit);
    client.setNotificationHandler(LoggingMessageNotificationSchema, note);
    await client.connect(new Transport1(new URL(job.url)));
    return { client, call: (params, options) => client.callTool(params, undefined, options) };
  }
  const mode = job.era === 'modern' ? { pin: '2026-07-28' } : 'legacy';
  const client = new Client2(info, { capabilities, versionNegotiation: { mode } });
  client.setRequestHandler('elicitation/create', elicit);
  client.setNotificationHandler('notifications/message', note);
  await client.connect(new Transport2(new URL(job.url)));
  return { client, call: (params, options) => client.callTool(params, options) };
}

// within answers undefined when the promise takes too long.
const within = (promise, limit) => Promise.race([promise, new Promise((done) => setTimeout(done, limit))]);

async function run(job) {
  const seen = { key: job.key, outcome: 'hang', notes: [], asked: 0, usable: false };
  try {
    const peer = await within(connect(job, seen), 10 * job.limit);
    if (!peer) throw new Error('does not connect');
    // A client hangs when the odd call is not back when the ordinary one is, which
    // was made later, and a while after that: slowness alone is no hang.
    let over = false; // closing ends what is left with an error
    const odd = peer.call({ name: 'odd', arguments: { case: job.case } }, { timeout: 20 * job.limit }).then(
      (r) => {
        if (over) return true;
        seen.outcome = 'result';
        seen.content = (r.content ?? []).map((c) => (c.type === 'text' ? c.text : `(${c.type})`));
        seen.isError = r.isError === true;
        seen.structured = canon(r.structuredContent);
        return true;
      },
      (error) => {
        if (over) return true;
        seen.outcome = 'error';
        seen.error = String(error?.message ?? error);
        return true;
      },
    );
    const usable = async () => {
      const fine = await within(peer.call({ name: 'fine', arguments: {} }).catch(() => undefined), 5 * job.limit);
      return fine?.content?.[0]?.text === 'fine';
    };
    let answered = await within(odd, job.limit);
    seen.usable = await usable();
    answered ??= await within(odd, job.limit);
    over = !answered;
    // A server may end a connection just when a client takes it for the next call.
    if (answered && !seen.usable) seen.usable = await usable();
    await within(peer.client.close().catch(() => undefined), job.limit);
  } catch (error) {
    seen.outcome = 'no connection';
    seen.error = String(error?.message ?? error);
  }
  console.log(JSON.stringify(seen));
}

process.on('unhandledRejection', () => {}); // a stream that breaks in the background is no answer
for (const name of ['log', 'warn', 'error', 'debug', 'info']) if (name !== 'log') console[name] = () => {};
console.log(JSON.stringify({ ready: 'yes' }));
createInterface({ input: process.stdin })
  .on('line', (line) => run(JSON.parse(line)))
  .on('close', () => process.exit(0));
