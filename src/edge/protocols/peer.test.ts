import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { clientOf, isOfTheWay, peerOf, trustsOf, wayHeaders } from './peer.ts';

function request(address: string, headers: Record<string, string> = {}, encrypted = false): IncomingMessage {
  const socket = Object.assign(new Socket(), encrypted ? { encrypted } : {});
  Object.defineProperty(socket, 'remoteAddress', { value: address });
  return Object.assign(new IncomingMessage(socket), { headers: { host: 'door', ...headers } });
}

const trusts = trustsOf(['10.0.0.0/8', '192.0.2.7', 'fd00::/8']);
const facts = (list: string[]) =>
  Object.fromEntries(list.flatMap((name, i) => (i % 2 === 0 ? [[name, list[i + 1]]] : []))) as Record<string, string>;
const told = (req: IncomingMessage, prefix = '') => facts(wayHeaders(req, peerOf(req, trusts), prefix));

const claims = {
  'x-forwarded-for': '6.6.6.6, 7.7.7.7',
  'x-forwarded-proto': 'https',
  'x-forwarded-host': 'shop.example',
  'x-forwarded-port': '443',
  forwarded: 'for=6.6.6.6',
};

describe('whom the door believes', () => {
  it.each([
    ['10.1.2.3', true],
    ['::ffff:10.1.2.3', true],
    ['192.0.2.7', true],
    ['fd12::1', true],
    ['11.1.2.3', false],
    ['192.0.2.8', false],
    ['fe80::1', false],
  ])('%s: %s', (address, trusted) => {
    expect(peerOf(request(address), trusts).trusted).toBe(trusted);
  });

  it('knows this machine', () => {
    for (const address of ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1'])
      expect(peerOf(request(address), trusts).local, address).toBe(true);
    for (const address of ['10.0.0.1', '::2', '128.0.0.1'])
      expect(peerOf(request(address), trusts).local, address).toBe(false);
  });

  it('knows it by an address that others reach it by, as one that listens there comes to itself', () => {
    for (const [to, local] of [
      ['198.51.100.7', true],
      ['198.51.100.8', false],
    ] as const) {
      const req = request('198.51.100.7');
      Object.defineProperty(req.socket, 'localAddress', { value: to });
      expect(peerOf(req, trusts).local).toBe(local);
    }
  });

  it('begins the chain anew for anybody else', () => {
    expect(told(request('8.8.8.8', claims), '/services/x')).toEqual({
      'x-forwarded-for': '8.8.8.8',
      'x-forwarded-proto': 'http',
      'x-forwarded-host': 'door',
      'x-forwarded-prefix': '/services/x',
    });
  });

  it('says that TLS was spoken', () => {
    expect(told(request('8.8.8.8', {}, true))['x-forwarded-proto']).toBe('https');
  });

  it('continues what a trusted proxy says', () => {
    expect(told(request('10.0.0.1', { ...claims, 'x-forwarded-prefix': '/a' }), '/services/x')).toEqual({
      'x-forwarded-for': '6.6.6.6, 7.7.7.7, 10.0.0.1',
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'shop.example',
      'x-forwarded-port': '443',
      'x-forwarded-prefix': '/a/services/x',
      forwarded: 'for=6.6.6.6, for=10.0.0.1;proto=http;host="door"',
    });
  });

  it('takes no scheme that is none', () => {
    expect(told(request('10.0.0.1', { 'x-forwarded-proto': 'gopher' }))['x-forwarded-proto']).toBe('http');
  });

  it('finds the client behind trusted proxies only', () => {
    const client = (address: string, way?: string) => {
      const req = request(address, way === undefined ? {} : { 'x-forwarded-for': way });
      return clientOf(req, peerOf(req, trusts), trusts);
    };
    expect(client('8.8.8.8', '6.6.6.6')).toBe('8.8.8.8');
    expect(client('10.0.0.1', '6.6.6.6, 7.7.7.7, 10.0.0.2')).toBe('7.7.7.7');
    expect(client('10.0.0.1', '10.0.0.3, 10.0.0.2')).toBe('10.0.0.3');
    expect(client('10.0.0.1')).toBe('10.0.0.1');
  });

  it.each(['x-forwarded-for', 'x_forwarded_for', 'x-forwarded_proto', 'forwarded', 'x-real-ip', 'x_real_ip'])(
    'passes nobody’s %s on',
    (name) => expect(isOfTheWay(name)).toBe(true),
  );
  it.each(['x-forward', 'x-request-id', 'from', 'forwarded-by', 'x-real-ip-2'])('passes %s on', (name) =>
    expect(isOfTheWay(name)).toBe(false),
  );
});
