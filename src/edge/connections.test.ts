import { createServer, get } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { once } from 'node:events';
import { expect, it } from 'vitest';
import { fakeClock } from '#kernel/clock.fake';
import { trackConnections } from './connections.ts';
import { speakProtocols } from './protocols/speak.ts';

it('closes connections that never had a request and those whose request is over, and leaves one at work alone', async () => {
  let finish = (): void => undefined;
  const server = createServer((req, res) => {
    if (req.url === '/slow') finish = () => res.end('late');
    else res.end('now');
  });
  const connections = trackConnections(server);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const fresh = connect(port, '127.0.0.1');
  await once(fresh, 'connect');
  const used = connect(port, '127.0.0.1');
  used.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  await once(used, 'data');
  const slow = once(get({ port, host: '127.0.0.1', path: '/slow' }), 'response');
  await once(server, 'request');
  const closed = Promise.all([once(fresh, 'close'), once(used, 'close')]);
  fresh.resume();
  used.resume();
  connections.closeUnused();
  await closed;
  finish();
  const [response] = (await slow) as [AsyncIterable<Buffer>];
  let body = '';
  for await (const chunk of response) body += String(chunk);
  expect(body).toBe('late');
  connections.closeUnused();
  await once(server.close(), 'close');
});

it('regression: closes one that has not said yet what it speaks, which held up the end of the platform for half a minute', async () => {
  const server = createServer();
  const limits = { streams: 4, headers: 16_384, headerCount: 100, url: 8_192, keepAlive: 1_000, headerTimeout: 1_000 };
  const protocols = speakProtocols(server, {
    ...{ clock: fakeClock(), limits },
    onHandedOver: (socket) => connections.forget(socket),
  });
  const connections = trackConnections(server);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const silent = connect((server.address() as AddressInfo).port, '127.0.0.1');
  await Promise.all([once(silent, 'connect'), once(server, 'connection')]);
  const closed = once(silent, 'close');
  silent.resume();
  connections.closeUnused();
  await closed;
  protocols.close();
  await once(server.close(), 'close');
});
