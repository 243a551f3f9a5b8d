import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { nodeHttp } from '#kernel/node-http';
import { createMoving } from './moving.ts';

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

describe('what waits while the door moves', () => {
  it('is forgotten when its client leaves: nothing would tell the handlers that nobody is there any more', async () => {
    const moving = createMoving();
    moving.begin();
    const served: string[] = [];
    const [left, stayed] = [{ destroyed: false }, { destroyed: false }];
    const req = {} as IncomingMessage;
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
