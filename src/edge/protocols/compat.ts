import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import { byName } from '../transport/fields.ts';
import type { HeaderList } from '../transport/fields.ts';

/** Headers that HTTP/2 does not have (RFC 9113, section 8.2.2): the connection is no business of a stream's. */
const ofConnections = ['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'];
/** A stream that broke off, which a clean reset would hide (RFC 9113, section 7). */
const internalError = 0x2;

/**
 * A request of HTTP/2 and its answer, as handlers know those of HTTP/1.1. Node's own compatibility leaves these out:
 * 1. the authority is the Host, and the pseudo-headers are no headers;
 * 2. a body of unknown length is one that `transfer-encoding` would announce;
 * 3. an answer that is destroyed is a reset with an error, never a clean end;
 * 4. an answer that the client did not wait for is not finished;
 * 5. headers of connections are left out of the answer, instead of an exception;
 * 6. what an answer ends with does not pass `write`, which somebody may have put his own in place of.
 * Null for a request with two hosts, which each hop could take differently.
 */
export function asHttp1(
  req: Http2ServerRequest,
  res: Http2ServerResponse,
): { readonly req: IncomingMessage; readonly res: ServerResponse } | null {
  const headers = plainHeaders(req);
  if (headers === null) return null;
  const { stream } = res;
  const writeHead = res.writeHead.bind(res) as (status: number, headers?: OutgoingHttpHeaders) => Http2ServerResponse;
  const write = res.write.bind(res) as (chunk: string | Uint8Array, encoding?: BufferEncoding) => boolean;
  const end = res.end.bind(res) as (done?: () => void) => Http2ServerResponse;
  Object.defineProperties(req, { headers: { value: headers } });
  Object.defineProperties(res, {
    destroyed: { get: () => stream.destroyed },
    // A stream that its client resets is ended by Node, as if all had been said.
    writableFinished: { get: () => res.writableEnded && stream.writableFinished && !stream.aborted },
    end: {
      writable: true,
      value: (chunk?: unknown, second?: unknown, third?: unknown) => {
        const encoding = typeof second === 'string' ? (second as BufferEncoding) : undefined;
        if (typeof chunk === 'string' || chunk instanceof Uint8Array) write(chunk, encoding);
        return end([chunk, second, third].find((one) => typeof one === 'function') as (() => void) | undefined);
      },
    },
    destroy: { value: () => (stream.close(internalError), res) },
    writeHead: {
      // A route that changes answers puts its own before it.
      writable: true,
      value: (status: number, given: OutgoingHttpHeaders | HeaderList = {}) => {
        // Of a list Node would keep the last of one name.
        writeHead(
          status,
          ofStreams(Array.isArray(given) ? byName(given as HeaderList) : (given as OutgoingHttpHeaders)),
        );
        return res;
      },
    },
  });
  return { req: req as unknown as IncomingMessage, res: res as unknown as ServerResponse };
}

function plainHeaders({ headers: all, stream }: Http2ServerRequest): IncomingHttpHeaders | null {
  const headers: IncomingHttpHeaders = {};
  for (const [name, value] of Object.entries(all)) if (!name.startsWith(':')) headers[name] = value;
  const authority = all[':authority'];
  if (authority !== undefined && headers.host !== undefined && headers.host !== authority) return null;
  if (authority !== undefined) headers.host = authority;
  const endless = !stream.endAfterHeaders && headers['content-length'] === undefined;
  if (endless) headers['transfer-encoding'] = 'chunked';
  return headers;
}

/** The handlers write headers as an object, or as names and values by turns. */
function ofStreams(given: OutgoingHttpHeaders | readonly string[]): OutgoingHttpHeaders {
  const kept = isList(given) ? byName(given) : { ...given };
  for (const name of ofConnections) delete kept[name];
  return kept;
}

const isList = (given: OutgoingHttpHeaders | readonly string[]): given is readonly string[] => Array.isArray(given);
