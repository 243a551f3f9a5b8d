import { Malformed, readFields } from './fields.ts';
import type { HeaderList } from './fields.ts';

/** How far an answer's body goes. */
export type Framing =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'chunked' }
  /** Until the connection ends. */
  | { readonly kind: 'open' };

/** That of an answer with a body. */
export type BodyFraming = Exclude<Framing, { readonly kind: 'none' }>;

export interface AnswerHead {
  readonly status: number;
  /** Without those that speak of the connection (RFC 9110, section 7.6.1). */
  readonly headers: HeaderList;
  readonly framing: Framing;
}

export interface ReadHead extends AnswerHead {
  /** Whether the connection may be used again afterwards. */
  readonly keeps: boolean;
  /** Milliseconds for which the server says it keeps an unused connection; null where it says nothing. */
  readonly keptMs: number | null;
}

/** They speak of one connection and never travel on. `connection` and `transfer-encoding` are read themselves. */
const ofConnection: ReadonlySet<string> = new Set([
  ...['proxy-authenticate', 'proxy-authorization', 'proxy-connection'],
  ...['te', 'trailer', 'upgrade'],
]);

interface Fields {
  readonly list: string[];
  length: number | null;
  coding: string | null;
  connection: string | null;
  keepAlive: string | null;
}

const joined = (before: string | null, value: string): string => (before === null ? value : `${before}, ${value}`);

function sort(fields: Fields, name: string, value: string): void {
  switch (name) {
    case 'content-length':
      // Two of them, even two alike, are how one answer is passed off as two.
      if (fields.length !== null || !/^\d{1,15}$/.test(value)) throw new Malformed('its length is not one number');
      fields.length = Number(value);
      break;
    case 'transfer-encoding':
      fields.coding = joined(fields.coding, value);
      return;
    case 'connection':
      fields.connection = joined(fields.connection, value.toLowerCase());
      return;
    case 'keep-alive':
      fields.keepAlive = value;
      return;
    default:
      if (ofConnection.has(name)) return;
  }
  fields.list.push(name, value);
}

const statusLine = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: ([\t\x20-\x7e\x80-\xff]*))?$/;

/** Reads an answer's head, up to the empty line, which is left out. Throws Malformed. */
export function readHead(text: string, method: string): ReadHead {
  const end = text.indexOf('\r\n');
  const [, minor, digits] = statusLine.exec(end < 0 ? text : text.slice(0, end)) ?? [];
  if (digits === undefined) throw new Malformed('it does not begin as HTTP/1.1 does');
  const status = Number(digits);
  if (status < 200 && minor === '0') throw new Malformed('it says 1xx, which HTTP/1.0 does not have');
  const fields: Fields = { list: [], length: null, coding: null, connection: null, keepAlive: null };
  if (end >= 0) readFields(text, end + 2, (name, value) => sort(fields, name, value));
  const framing = framingOf(fields, status, method, minor === '0');
  const { connection } = fields;
  const says = (word: string) => connection?.split(',').some((one) => one.trim() === word) === true;
  const stays = minor === '0' ? says('keep-alive') : connection === null || !says('close');
  return {
    status,
    framing,
    headers: connection === null ? fields.list : without(fields.list, connection),
    keeps: stays && framing.kind !== 'open',
    keptMs: keptMs(fields.keepAlive),
  };
}

function framingOf({ length, coding }: Fields, status: number, method: string, isOld: boolean): Framing {
  if (coding !== null) {
    // What is said twice, or in a way that HTTP/1.0 does not know, is read differently by different readers (RFC 9112, 6.1).
    if (length !== null || isOld) throw new Malformed('it says its length in two ways');
    if (coding.toLowerCase() !== 'chunked') throw new Malformed('its transfer coding is not chunked alone');
  }
  if (method === 'HEAD' || status === 204 || status === 304 || status < 200) return { kind: 'none' };
  if (coding !== null) return { kind: 'chunked' };
  if (length === null) return { kind: 'open' };
  return length === 0 ? { kind: 'none' } : { kind: 'length', bytes: length };
}

/** Without what the Connection header names beside `close` and `keep-alive`: usually nothing. */
function without(list: string[], connection: string): string[] {
  if (connection === 'close' || connection === 'keep-alive') return list;
  const named = new Set(connection.split(',').map((name) => name.trim()));
  return list.filter((_, i) => !named.has(list[i - (i % 2)] ?? ''));
}

function keptMs(keepAlive: string | null): number | null {
  const seconds = keepAlive === null ? undefined : /(?:^|[\s,])timeout=(\d{1,6})/i.exec(keepAlive)?.[1];
  return seconds === undefined ? null : Number(seconds) * 1_000;
}
