// Drives a TypeScript SDK through plans:
//   node driver.mjs sdk|client
// Reads one JSON line {"url":…,"plan":…} for each conversation, and prints one JSON line
// for each of its steps and {"end":true} after them. Ends with its input; exit 2 on misuse.
import { createInterface } from 'node:readline';
import { MODEL_TEXT, MODERN, run } from './scenario.mjs';

const capabilities = { elicitation: {}, sampling: {} };
const bearer = ({ token }) => (token ? { requestInit: { headers: { Authorization: 'Bearer ' + token } } } : {});
const info = (name) => ({ name, version: '1.0.0' });

class Peer {
  asked = { elicit: 0, sample: 0 };
  answer = {};

  elicit = async () => {
    this.asked.elicit++;
    return { action: 'accept', content: this.answer };
  };
  sample = async () => {
    this.asked.sample++;
    return { role: 'assistant', model: 'peer-model', stopReason: 'endTurn', content: { type: 'text', text: MODEL_TEXT } };
  };
  // Both SDKs mark errors that never were on the wire by codes that are not numbers.
  fault = (error) => ({ code: Number.isInteger(error?.code) ? error.code : 0, message: String(error?.message ?? error) });
  close = async () => {
    await this.transport.terminateSession(); // the DELETE; nothing is sent without a session
    await this.client.close();
  };
}

class Sdk extends Peer { // @modelcontextprotocol/sdk speaks the legacy era only
  async connect(url, plan) {
    if (plan.era === 'modern') throw new Error('this SDK does not speak ' + MODERN);
    const { Client } = await import('@modelcontextprotocol/sdk/client/index.js');
    const { StreamableHTTPClientTransport } = await import('@modelcontextprotocol/sdk/client/streamableHttp.js');
    const { CreateMessageRequestSchema, ElicitRequestSchema } = await import('@modelcontextprotocol/sdk/types.js');
    this.client = new Client(info('peer-node-sdk'), { capabilities });
    this.client.setRequestHandler(ElicitRequestSchema, this.elicit);
    this.client.setRequestHandler(CreateMessageRequestSchema, this.sample);
    this.transport = new StreamableHTTPClientTransport(new URL(url), bearer(plan));
    await this.client.connect(this.transport);
    return this.transport.protocolVersion;
  }
  call = (c, options) => this.client.callTool({ name: c.name, arguments: c.arguments }, undefined, options);
}

class ClientV2 extends Peer { // @modelcontextprotocol/client speaks both
  async connect(url, plan) {
    const { Client, StreamableHTTPClientTransport } = await import('@modelcontextprotocol/client');
    const mode = plan.era === 'modern' ? { pin: MODERN } : plan.era;
    this.client = new Client(info('peer-node-client'), { capabilities, versionNegotiation: { mode } });
    this.client.setRequestHandler('elicitation/create', this.elicit);
    this.client.setRequestHandler('sampling/createMessage', this.sample);
    this.transport = new StreamableHTTPClientTransport(new URL(url), bearer(plan));
    await this.client.connect(this.transport);
    return this.client.getNegotiatedProtocolVersion();
  }
  call = (c, options) => this.client.callTool({ name: c.name, arguments: c.arguments }, options);
}

const peers = { sdk: Sdk, client: ClientV2 };
const Which = peers[process.argv[2]];
if (!Which || process.argv.length !== 3) {
  process.stderr.write('usage: node driver.mjs sdk|client\n');
  process.exit(2);
}
for await (const line of createInterface({ input: process.stdin })) {
  const { url, plan } = JSON.parse(line);
  await run(new Which(), url, plan);
  process.stdout.write('{"end":true}\n');
}
process.exit(0); // open streams must not keep the process
