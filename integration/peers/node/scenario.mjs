// Takes the steps of a plan with one SDK and prints one JSON line for each. The
// plan and the steps are those of integration/peers/scenario.
export const MODERN = '2026-07-28';
export const MODEL_TEXT = "said by the peer's model";
const LIMIT = 60_000;

const short = (s) => (s.length > 200 ? s.slice(0, 200) + '…' : s);
const textOf = (result) => (result.content ?? []).filter((b) => b.type === 'text').map((b) => b.text).join('\n');
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

function judge(call, result) {
  const text = textOf(result);
  if (result.isError) throw new Error('tool error: ' + short(text));
  if (call.want && !text.includes(call.want)) throw new Error(`"${call.want}" is not in the result: ${short(text)}`);
  return short(text);
}

/**
 * @param peer { connect(url, plan) -> revision, request functions, asked, fault(error) }
 */
export async function run(peer, url, plan) {
  const print = (step) => process.stdout.write(JSON.stringify(step) + '\n');
  const step = async (name, act) => {
    let timer;
    const late = new Promise((_, fail) => {
      timer = setTimeout(() => fail(new Error(`no end within ${LIMIT} ms`)), LIMIT);
    });
    try {
      print({ step: name, ok: true, detail: (await Promise.race([act(), late])) ?? '' });
      return true;
    } catch (error) {
      print({ step: name, ok: false, error: peer.fault(error) });
      return false;
    } finally {
      clearTimeout(timer);
    }
  };
  const call = (name, c) => step(name, async () => judge(c, await peer.call(c)));
  const again = (name) => plan.call && call(name, plan.call);
  const refused = async (name, c) => {
    try {
      const result = await peer.call(c);
      const text = textOf(result);
      print({ step: name, ok: Boolean(result.isError && text), detail: (result.isError ? 'tool error: ' : 'was not refused: ') + short(text) });
    } catch (error) {
      const fault = peer.fault(error);
      print({ step: name, ok: Boolean(fault.message), error: fault });
    }
  };

  let revision;
  const connected = await step('connect', async () => {
    revision = await peer.connect(url, plan);
    if (plan.era === 'modern' && revision !== MODERN) throw new Error('speaks ' + revision);
    return 'revision=' + revision;
  });
  if (!connected) return;
  if (plan.list_tools) {
    await step('list_tools', async () => {
      const names = (await peer.client.listTools()).tools.map((t) => t.name);
      if (plan.call && !names.includes(plan.call.name)) throw new Error(`${plan.call.name} is not among ${names.join(' ')}`);
      return 'tools=' + names.length;
    });
  }
  if (plan.call) await call('call', plan.call);
  if (plan.unknown) {
    await refused('unknown_tool', { name: plan.unknown, arguments: {} });
    await again('call_after_unknown');
  }
  if (plan.refused) {
    await refused('refused', plan.refused);
    await again('call_after_refused');
  }
  if (plan.progress) {
    await step('progress', async () => {
      let seen = 0;
      judge(plan.progress, await peer.call(plan.progress, { onprogress: () => seen++ }));
      if (seen === 0) throw new Error('no progress came');
      return 'notifications=' + seen;
    });
  }
  for (const [name, c] of [['elicit', plan.elicit], ['sample', plan.sample]]) {
    if (!c) continue;
    await step(name, async () => {
      const before = peer.asked[name];
      peer.answer = c.answer ?? {};
      const detail = judge(c, await peer.call(c));
      if (peer.asked[name] === before) throw new Error('nobody was asked: ' + detail);
      return 'asked=' + (peer.asked[name] - before);
    });
  }
  if (plan.slow) {
    await step('cancel', async () => {
      const stop = new AbortController();
      let started;
      const first = new Promise((done) => (started = done));
      const ended = peer.call(plan.slow, { signal: stop.signal, onprogress: () => started() }).then(
        () => { throw new Error('succeeded although it was cancelled'); },
        (error) => {
          if (!stop.signal.aborted) throw error;
          return 'ended with an error';
        },
      );
      await Promise.race([first, sleep(500), ended]);
      stop.abort();
      let late;
      const overdue = new Promise((_, fail) => {
        late = setTimeout(() => fail(new Error('did not end when it was cancelled')), LIMIT);
      });
      try {
        return await Promise.race([ended, overdue]);
      } finally {
        clearTimeout(late); // or it keeps the process
      }
    });
    await again('call_after_cancel');
  }
  if (plan.resource) {
    await step('list_resources', async () => 'resources=' + (await peer.client.listResources()).resources.length);
    await step('read_resource', async () => {
      const { contents } = await peer.client.readResource({ uri: plan.resource });
      return 'bytes=' + contents.reduce((n, c) => n + (c.text ?? c.blob ?? '').length, 0);
    });
  }
  if (plan.prompt) {
    await step('list_prompts', async () => 'prompts=' + (await peer.client.listPrompts()).prompts.length);
    await step('get_prompt', async () => 'messages=' + (await peer.client.getPrompt(plan.prompt)).messages.length);
  }
  if (plan.ping && revision < MODERN) await step('ping', async () => void (await peer.client.ping()));
  await step('close', () => peer.close());
}
