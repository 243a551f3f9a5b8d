import type { Readable } from 'node:stream';
import { Fault } from '#kernel/faults';
import { areFields, isFieldName, isFieldValue } from './fields.ts';
import type { HeaderList } from './fields.ts';

export interface RequestFacts {
  readonly method: string;
  readonly path: string;
  readonly headers: HeaderList;
  readonly body: Buffer | Readable | null;
}

/** Methods whose server would wonder where the body is when none comes. */
const bodied: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH']);

/**
 * A request's line and headers, with how long its body is. Throws BAD_REQUEST for what would be read as something else: a
 * line break in a value would be a header of its own, or another request.
 */
export function requestHead({ method, path, headers, body }: RequestFacts, authority: string): string {
  if (/[^\x21-\x7e\x80-\xff]/.test(path) || !isFieldName(method)) throw unsayable('The address of the request');
  let lines = '';
  let isNamed = false;
  let isMeasured = false;
  const isWhole = body === null || Buffer.isBuffer(body);
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string;
    const value = headers[i + 1] as string;
    // How long it is, is known here and not believed.
    if (name === 'transfer-encoding' || (isWhole && name === 'content-length')) continue;
    if (name === 'content-length') isMeasured = true;
    if (name === 'host') isNamed = true;
    lines += `${name}: ${value}\r\n`;
  }
  if (!areFields(lines)) throw unsayable(`The header ${strangeOf(headers)}`);
  if (!isNamed) lines = `host: ${authority}\r\n${lines}`;
  return `${method} ${path} HTTP/1.1\r\n${lines}${lengthOf(body, method, isMeasured)}\r\n`;
}

/** The name of the header that cannot be said. */
const strangeOf = (headers: HeaderList): string =>
  headers.find((name, i) => i % 2 === 0 && !(isFieldName(name) && isFieldValue(headers[i + 1] ?? ''))) ?? '';

/** A GET with a body has neither a length nor chunks unless told. */
function lengthOf(body: Buffer | Readable | null, method: string, isMeasured: boolean): string {
  if (body === null) return bodied.has(method) ? 'content-length: 0\r\n' : '';
  if (Buffer.isBuffer(body)) return `content-length: ${body.byteLength}\r\n`;
  return isMeasured ? '' : 'transfer-encoding: chunked\r\n';
}

/** Whether a body of unknown length goes in chunks under this head. */
export const isChunked = (headers: HeaderList): boolean =>
  !headers.some((name, i) => i % 2 === 0 && name === 'content-length');

const unsayable = (what: string): Fault => new Fault('BAD_REQUEST', `${what} has a character that cannot be sent on.`);
