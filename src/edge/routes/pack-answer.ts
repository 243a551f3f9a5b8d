import type { ServerResponse } from 'node:http';
import type { Transform } from 'node:stream';
import type { Packing } from '#config/middlewares';
import { codingFor, createPacker, isCompressible } from '../compression/coding.ts';
import type { Exchange } from '../exchange.ts';
import type { Headers } from '../middlewares/middleware.ts';
import { bytesOf, doneOf, listed, takeHeaders } from './answer.ts';
import type { Chunk, Given } from './answer.ts';

/**
 * Packs what goes to this client from now on, where it can be: on the response itself, as `changeAnswer` does, which comes
 * after it and so changes what is packed. Whoever writes is held back as the client is: through the packer.
 */
export function packAnswer(exchange: Exchange, { minimum, codings }: Packing): void {
  const { res, req } = exchange;
  // Now: the service may be asked for another one, or for none.
  const coding = codingFor(req.headers['accept-encoding'], codings);
  // What is packed is not what goes out: nobody else may frame it.
  if (coding) exchange.rewritten = true;
  const plain = {
    writeHead: res.writeHead.bind(res) as (status: number, headers: string[]) => ServerResponse,
    write: res.write.bind(res) as (chunk: Chunk, done?: () => void) => boolean,
    end: res.end.bind(res) as (chunk?: Chunk, done?: () => void) => ServerResponse,
  };
  let packer: Transform | null = null;
  let ended = false;
  const writeHead = (status: number, second?: string | Given, third?: Given) => {
    const headers = takeHeaders(res, typeof second === 'string' ? third : second);
    if (isPackable(status, headers)) {
      headers.vary = withVary(headers.vary);
      if (coding && status === 304) weaken(headers);
      else if (coding && req.method !== 'HEAD' && !isShort(headers, minimum)) {
        const length = headers['content-length'];
        for (const name of ofTheBytes) delete headers[name];
        weaken(headers);
        headers['content-encoding'] = coding;
        packer = packingTo(res, plain, createPacker(coding, length === undefined));
      }
    }
    return plain.writeHead(status, listed(headers));
  };
  const write = (chunk: Chunk, second?: unknown, third?: unknown): boolean => {
    const done = doneOf(second, third);
    if (!res.headersSent) writeHead(res.statusCode);
    return packer ? packer.write(bytesOf(chunk, second), () => done?.()) : plain.write(bytesOf(chunk, second), done);
  };
  const end = (first?: unknown, second?: unknown, third?: unknown): ServerResponse => {
    // Until the packer is through, the response itself does not say that it was ended.
    if (ended) return res;
    ended = true;
    const chunk = typeof first === 'string' || first instanceof Uint8Array ? bytesOf(first, second) : undefined;
    const done = doneOf(first, second, third);
    if (!res.headersSent) writeHead(res.statusCode);
    if (!packer) return chunk ? plain.end(chunk, done) : plain.end(undefined, done);
    if (done) res.once('finish', done);
    packer.end(chunk);
    return res;
  };
  Object.assign(res, { writeHead, write, end });
}

/** What is said of the bytes as they were. */
const ofTheBytes = ['content-length', 'accept-ranges', 'content-md5', 'digest', 'content-digest', 'repr-digest'];

interface Plain {
  write(chunk: Chunk): boolean;
  end(): ServerResponse;
}

function packingTo(res: ServerResponse, plain: Plain, packer: Transform): Transform {
  packer.on('data', (chunk: Buffer) => {
    if (!plain.write(chunk)) packer.pause();
  });
  packer.on('end', () => plain.end());
  packer.on('error', (error) => res.destroy(error));
  // Whoever writes waits for the response's own event.
  packer.on('drain', () => res.emit('drain'));
  res.on('drain', () => packer.resume());
  res.on('close', () => packer.destroy());
  return packer;
}

/** Not a part of something, nor what is packed already or was declared to be left as it is (RFC 9110, section 7.7). */
function isPackable(status: number, headers: Headers): boolean {
  if (status < 200 || status === 204 || status === 206 || headers['content-range'] !== undefined) return false;
  if ((headers['content-encoding'] ?? 'identity') !== 'identity') return false;
  if (/\bno-transform\b/i.test(String(headers['cache-control'] ?? ''))) return false;
  return status === 304 || isCompressible(String(headers['content-type'] ?? ''));
}

const isShort = (headers: Headers, minimum: number): boolean =>
  headers['content-length'] !== undefined && Number(headers['content-length']) < minimum;

/** The same in another coding is not the same byte for byte. */
function weaken(headers: Headers): void {
  const { etag } = headers;
  if (typeof etag === 'string' && !etag.startsWith('W/')) headers.etag = `W/${etag}`;
}

function withVary(vary: Headers[string]): string {
  const said = [vary ?? []].flat().join(', ');
  if (said === '') return 'accept-encoding';
  return said === '*' || /(^|[,\s])accept-encoding($|[,\s])/i.test(said) ? said : `${said}, accept-encoding`;
}
