import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import { createHost } from './host.ts';

const portOf = (server: { address(): unknown }): number => (server.address() as AddressInfo).port;

it('is drained once the server has been told to keep the model, so that letting it go comes last', async () => {
  const elsewhere = createServer((_, res) => res.end('{}')).listen(0, '127.0.0.1');
  await once(elsewhere, 'listening');
  const told = Promise.withResolvers<void>();
  let rested = 0;
  const nothing = () => Promise.resolve();
  const remote = {
    open: nothing,
    close: nothing,
    weight: () => Promise.resolve(0),
    rested: () => (rested++, told.promise),
  };
  const to = { url: `http://127.0.0.1:${portOf(elsewhere)}`, key: null, model: 'there' };
  const host = createHost({ key: 'k', modelId: 'here', remote, to, log: () => undefined });
  host.server.listen(0, '127.0.0.1');
  await once(host.server, 'listening');
  try {
    host.ready();
    const headers = { authorization: 'Bearer k', 'content-type': 'application/json', connection: 'close' };
    const url = `http://127.0.0.1:${portOf(host.server)}/v1/chat/completions`;
    expect((await fetch(url, { method: 'POST', headers, body: '{}' })).status).toBe(200);
    while (rested === 0) await new Promise((resolve) => setImmediate(resolve));
    let drained = false;
    const draining = host.drain().then(() => (drained = true));
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(drained).toBe(false);
    told.resolve();
    await draining;
  } finally {
    told.resolve();
    host.server.close();
    elsewhere.close();
    elsewhere.closeAllConnections();
  }
});
