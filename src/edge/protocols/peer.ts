import type { IncomingMessage } from 'node:http';
import { BlockList, isIP } from 'node:net';

/** The other end of a connection. */
export interface Peer {
  /** Null once the connection is gone. */
  readonly address: string | null;
  /** Whether the connection speaks TLS. */
  readonly secure: boolean;
  /** Whether it is one of the proxies whose word on the client is taken (`listen.trust`). */
  readonly trusted: boolean;
  /** Whether it is this machine, by whatever address of its own. */
  readonly local: boolean;
}

export type Trusts = (address: string) => boolean;

/** How the other ends of connections are judged. */
export interface Peers {
  readonly trusts: Trusts;
  /** Whether somebody who came without TLS must come with it. */
  needsTls(peer: Peer): boolean;
}

export const trustsNobody: Trusts = () => false;

/** Whether an address is one of these, or in one of these networks. */
export function trustsOf(networks: readonly string[]): Trusts {
  if (networks.length === 0) return trustsNobody;
  const list = new BlockList();
  for (const network of networks) {
    const [address = '', bits] = network.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return (address) => isIP(address) > 0 && list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
}

/** A listener on `::` sees the old addresses in the new form. */
const plainAddress = (address: string): string => address.replace(/^::ffff:(?=\d+\.)/i, '');

export function peerOf({ socket }: IncomingMessage, trusts: Trusts): Peer {
  const address = socket.remoteAddress === undefined ? null : plainAddress(socket.remoteAddress);
  return {
    address,
    secure: 'encrypted' in socket && socket.encrypted === true,
    trusted: address !== null && trusts(address),
    local: address !== null && (isLoopback(address) || socket.remoteAddress === socket.localAddress),
  };
}

const isLoopback = (address: string): boolean => address === '::1' || /^127\.\d+\.\d+\.\d+$/.test(address);

/**
 * The address the request came from first, as far as it can be believed: the last one of `X-Forwarded-For` that is no
 * trusted proxy, where a trusted proxy said so.
 */
export function clientOf(req: IncomingMessage, peer: Peer, trusts: Trusts): string | null {
  if (!peer.trusted) return peer.address;
  const way = listed(req, 'x-forwarded-for').map(plainAddress);
  return way.findLast((address) => !trusts(address)) ?? way[0] ?? peer.address;
}

const listed = (req: IncomingMessage, name: string): string[] =>
  textOf(req, name)
    .split(',')
    .map((one) => one.trim())
    .filter(Boolean);

function textOf({ headers }: IncomingMessage, name: string): string {
  const value = headers[name];
  return Array.isArray(value) ? value.join(', ') : (value ?? '');
}

/** Names under which proxies tell of the way before them; servers of WSGI and CGI read `_` as `-`. */
const ofTheWay = /^(?:x[-_]forwarded[-_]|x[-_]real[-_]ip$|forwarded$)/;

/** Whether a header is somebody's word on the way of the request, for which the door says its own. */
export const isOfTheWay = (name: string): boolean =>
  (name.startsWith('x') || name.startsWith('f')) && ofTheWay.test(name);

/**
 * What a request is told of its way, in names and values by turns: what a trusted proxy says is continued, anybody else's
 * word is not passed on and the chain begins here.
 */
export function wayHeaders(req: IncomingMessage, peer: Peer, prefix: string): string[] {
  const own: Hop = {
    for: peer.address ?? 'unknown',
    proto: peer.secure ? 'https' : 'http',
    host: req.headers.host ?? '',
  };
  if (peer.trusted) return continued(req, own, prefix);
  const headers = ['x-forwarded-for', own.for, 'x-forwarded-proto', own.proto, 'x-forwarded-host', own.host];
  if (prefix) headers.push('x-forwarded-prefix', prefix);
  return headers;
}

interface Hop {
  readonly for: string;
  readonly proto: string;
  readonly host: string;
}

function continued(req: IncomingMessage, own: Hop, prefix: string): string[] {
  const given = (name: string): string => textOf(req, name);
  const before = (name: string, value: string): string => (given(name) ? `${given(name)}, ${value}` : value);
  const proto = given('x-forwarded-proto').toLowerCase();
  const headers = {
    'x-forwarded-for': before('x-forwarded-for', own.for),
    'x-forwarded-proto': proto === 'http' || proto === 'https' ? proto : own.proto,
    'x-forwarded-host': given('x-forwarded-host') || own.host,
    'x-forwarded-prefix': `${given('x-forwarded-prefix')}${prefix}`,
    'x-forwarded-port': given('x-forwarded-port'),
    forwarded: given('forwarded') && before('forwarded', element(own)),
  };
  return Object.entries(headers).flatMap(([name, value]) => (value ? [name, value] : []));
}

/** RFC 7239, section 6: an address of the new kind stands in brackets and quotes. */
const element = (own: Hop): string =>
  `for=${own.for.includes(':') ? `"[${own.for}]"` : own.for};proto=${own.proto};host="${own.host.replaceAll(/["\\]/g, '')}"`;
