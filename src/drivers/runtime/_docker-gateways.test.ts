import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLogger } from '#kernel/logger';
import { createGateways, type Gateways } from './_docker-gateways.ts';

/** Loopback has many addresses: one stands for the gateway, and this process for a container with that of another. */
const place = { name: 'net', gateway: '127.0.0.2', subnet: '127.0.0.8/29' };
const [member, stranger] = ['127.0.0.9', '127.0.0.20'];

let server: Server;
let gateways: Gateways;
let port: number;
beforeEach(async () => {
  // Answers only when all was said: an end on one side must reach the other.
  server = createServer({ allowHalfOpen: true }, (socket) => {
    let heard = '';
    socket.on('data', (piece) => (heard += String(piece))).on('error', () => undefined);
    socket.on('end', () => socket.end(`heard ${heard}`));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  port = (server.address() as AddressInfo).port;
  gateways = createGateways(silentLogger);
});
afterEach(() => {
  gateways.closeAll();
  server.close();
});

async function ask(from: string, at = place.gateway): Promise<string> {
  const socket = connect({ host: at, port, localAddress: from, allowHalfOpen: true });
  try {
    socket.end('hello');
    let said = '';
    for await (const piece of socket) said += String(piece);
    return said;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? '';
  }
}

describe('a port of this machine at the gateway of a network', () => {
  it('is open for the members of the network and nobody else', async () => {
    expect(await gateways.open('one', place, [port])).toBe('127.0.0.2');
    expect(await ask(member)).toBe('heard hello');
    expect(await ask(stranger)).not.toContain('heard');
  });

  it('is there until the last container that was told of it is gone, and cuts what went through it', async () => {
    await gateways.open('one', place, [port]);
    await gateways.open('other', place, [port]);
    gateways.close('one');
    expect(await ask(member)).toBe('heard hello');
    const open = connect({ host: place.gateway, port, localAddress: member });
    await Promise.all([once(server, 'connection'), once(open, 'connect')]);
    const cut = once(open, 'close');
    gateways.close('other');
    await cut;
    expect(await ask(member)).toBe('ECONNREFUSED');
  });

  it('is not taken from others by one that it could not be opened for', async () => {
    await gateways.open('one', place, [port]);
    const other = createServer().listen(0, place.gateway);
    await once(other, 'listening');
    const taken = (other.address() as AddressInfo).port;
    await expect(gateways.open('other', place, [port, taken])).rejects.toMatchObject({ code: 'START_FAILED' });
    gateways.close('other');
    expect(await ask(member)).toBe('heard hello');
    other.close();
  });

  it('is had by two platforms at once, while one hands over to the other', async () => {
    const next = createGateways(silentLogger);
    await gateways.open('one', place, [port]);
    await next.open('one', place, [port]);
    gateways.closeAll();
    expect(await ask(member)).toBe('heard hello');
    next.closeAll();
  });

  it('is left to what listens on every address, and refused where it is somebody else’s', async () => {
    const other = createServer().listen(port, place.gateway);
    await once(other, 'listening');
    await expect(gateways.open('one', place, [port])).rejects.toMatchObject({ code: 'START_FAILED' });
    other.close();
    await once(other, 'close');
    server.close();
    const everywhere = createServer((socket) => socket.end('everywhere')).listen(port, '0.0.0.0');
    await once(everywhere, 'listening');
    await gateways.open('one', place, [port]);
    expect(await ask(member)).toBe('everywhere');
    everywhere.close();
  });

  it('is the engine’s own way where the network is not this machine’s', async () => {
    expect(await gateways.open('one', { ...place, gateway: '192.0.2.1' }, [port])).toBe('host-gateway');
  });

  it('ends what comes when nothing listens behind it', async () => {
    await gateways.open('one', place, [port]);
    server.close();
    await once(server, 'close');
    expect(await ask(member)).not.toContain('heard');
  });
});
