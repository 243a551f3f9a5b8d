import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { nodeHttp } from '#kernel/node-http';
import { createMoving } from './moving.ts';
import { trustsNobody } from './protocols/peer.ts';
import type { Peers } from './protocols/peer.ts';

const settle = () => new Promise((resolve) => setImmediate(resolve));

/** An upgrade as a server hears of it, and the client's side of its connection. */
async function upgrade() {
  const server = nodeHttp.createServer();
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const client = connect((server.address() as { port: number }).port, '127.0.0.1');
  client.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
  const [req, socket] = (await once(server, 'upgrade')) as [IncomingMessage, Socket];
  return { client, req, socket, close: () => server.close() };
}

/** A server that says what it was told, behind one whose place it takes; what a client gets of that one. */
async function moved(peers: Peers, more: string) {
  const [old, next] = [nodeHttp.createServer(), nodeHttp.createServer()];
  next.on('request', ({ headers }, res) => res.end(JSON.stringify(headers)));
  next.on('upgrade', ({ headers }, socket) => socket.end(JSON.stringify(headers)));
  const moving = createMoving(peers);
  old.on('request', (req, res) => moving.takes(req, res, () => undefined) || res.end('stays'));
  old.on('upgrade', (req, socket, head) => moving.takesUpgrade(req, socket, head, () => undefined));
  for (const server of [old, next]) await once(server.listen(0, '127.0.0.1'), 'listening');
  const [from, port] = [old, next].map((server) => (server.address() as { port: number }).port);
  moving.begin();
  moving.end({ host: '127.0.0.1', port: port ?? 0 });
  const client = connect(from ?? 0, '127.0.0.1');
  client.write(`GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n${more}\r\n\r\n`);
  let text = '';
  for await (const chunk of client) text += String(chunk);
  for (const server of [old, next]) server.close();
  return text;
}

describe('what goes on to the next process', () => {
  it.each(['Connection: close', 'Connection: Upgrade\r\nUpgrade: websocket'])(
    'brings the way as the door knows it, which the next one takes for this machine’s own word (%s)',
    async (more) => {
      const strange = await moved({ trusts: trustsNobody, needsTls: () => false }, more);
      expect(strange).toContain('"x-forwarded-for":"127.0.0.1"');
      expect(strange).not.toContain('6.6.6.6');
      const trusted = await moved({ trusts: () => true, needsTls: () => false }, more);
      expect(trusted).toContain('"x-forwarded-for":"6.6.6.6, 127.0.0.1"');
    },
  );

  it('is not what should have come over TLS: the next one could not tell', async () => {
    const text = await moved({ trusts: trustsNobody, needsTls: () => true }, 'Connection: close');
    expect(text).toMatch(/stays$/);
  });
});

describe('what waits while the door moves', () => {
  it('is forgotten when its client leaves: nothing would tell the handlers that nobody is there any more', async () => {
    const moving = createMoving();
    moving.begin();
    const served: string[] = [];
    const [left, stayed] = [{ destroyed: false }, { destroyed: false }];
    const req = { socket: {} } as IncomingMessage;
    moving.takes(req, left as ServerResponse, () => void served.push('left'));
    moving.takes(req, stayed as ServerResponse, () => void served.push('stayed'));
    left.destroyed = true;
    moving.end(null);
    await settle();
    expect(served).toEqual(['stayed']);
  });

  it('does not end the process when the connection of an upgrade is reset', async () => {
    for (const place of [null, { host: '127.0.0.1', port: 1 }]) {
      const { client, req, socket, close } = await upgrade();
      const moving = createMoving();
      moving.begin();
      let isServed = false;
      moving.takesUpgrade(req, socket, Buffer.alloc(0), () => void (isServed = true));
      const closed = new Promise((resolve) => socket.once('close', resolve));
      client.resetAndDestroy();
      await closed;
      moving.end(place);
      await settle();
      expect(isServed).toBe(false);
      close();
    }
  });
});
