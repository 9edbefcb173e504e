// Takes a TypeScript SDK, given the URL of an MCP server, through OAuth:
//   node oauth.mjs sdk|client
// Reads one JSON line, the task of integration/oauth. Prints {"authorize":url} when a person is to
// open it, and reads {"redirect":url} of where their browser was sent; prints one step a line.
import { createInterface } from 'node:readline';

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const read = async () => JSON.parse((await lines.next()).value);
const print = (o) => process.stdout.write(JSON.stringify(o) + '\n');

const sdks = {
  sdk: async () => ({
    ...(await import('@modelcontextprotocol/sdk/client/index.js')),
    ...(await import('@modelcontextprotocol/sdk/client/streamableHttp.js')),
    ...(await import('@modelcontextprotocol/sdk/client/auth.js')),
    ...(await import('@modelcontextprotocol/sdk/client/auth-extensions.js')),
  }),
  client: () => import('@modelcontextprotocol/client'),
};
const load = sdks[process.argv[2]];
if (!load || process.argv.length !== 3) {
  process.stderr.write('usage: node oauth.mjs sdk|client\n');
  process.exit(2);
}
const { Client, StreamableHTTPClientTransport, UnauthorizedError, ClientCredentialsProvider } = await load();
const task = await read();

// Person is a client that a person uses: registered beforehand, without a secret.
class Person {
  #tokens; #verifier; #information = { client_id: task.client, issuer: task.issuer };
  opened;
  get redirectUrl() { return task.redirect; }
  get clientMetadata() {
    return { client_name: 'peer', redirect_uris: [task.redirect], grant_types: ['authorization_code'], response_types: ['code'], token_endpoint_auth_method: 'none' };
  }
  state() { return 'state-' + Math.random().toString(36).slice(2); }
  clientInformation() { return this.#information; }
  saveClientInformation(i) { this.#information = i; }
  tokens() { return this.#tokens; }
  saveTokens(t) {
    this.#tokens = t;
    // Told that it needs another scope, sdk uses a refresh token if it has one, which never gives more.
    if (process.argv[2] === 'sdk') delete t.refresh_token;
  }
  codeVerifier() { return this.#verifier; }
  saveCodeVerifier(v) { this.#verifier = v; }
  redirectToAuthorization(url) { this.opened = url; }
}

const provider = task.grant === 'client_credentials'
  ? new ClientCredentialsProvider({ clientId: task.client, clientSecret: task.secret, scope: task.scope, expectedIssuer: task.issuer })
  : new Person();

let transport;
const open = () => (transport = new StreamableHTTPClientTransport(new URL(task.url), { authProvider: provider }));

// authorised does what needs a token, and once more after the person was asked.
async function authorised(act) {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof UnauthorizedError) || !provider.opened) throw error;
    print({ authorize: String(provider.opened) });
    provider.opened = undefined;
    const back = new URL((await read()).redirect).searchParams;
    await (process.argv[2] === 'client' ? transport.finishAuth(back) : transport.finishAuth(back.get('code')));
    return act();
  }
}

async function step(name, act) {
  try {
    print({ step: name, ok: true, detail: await act() });
    return true;
  } catch (error) {
    print({ step: name, ok: false, error: { code: Number.isInteger(error?.code) ? error.code : 0, message: String(error?.message ?? error) } });
    return false;
  }
}

let client;
const connected = await step('connect', () => authorised(async () => {
  client = new Client({ name: 'peer-node-' + process.argv[2], version: '1.0.0' });
  await client.connect(open());
  return '';
}));
if (connected) {
  for (const name of task.calls) {
    await step(name, () => authorised(async () => {
      const result = await client.callTool({ name, arguments: {} });
      if (result.isError) throw new Error('tool error: ' + result.content[0]?.text);
      return result.content[0].text;
    }));
  }
  await client.close();
}
print({ end: true });
process.exit(0); // open streams must not keep the process
