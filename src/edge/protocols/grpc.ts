import type { IncomingMessage } from 'node:http';
import { faults } from '#kernel/faults';
import type { Fault, FaultCode } from '#kernel/faults';
import type { Exchange } from '../exchange.ts';

export const isGrpc = (req: IncomingMessage): boolean =>
  req.httpVersionMajor === 2 && (req.headers['content-type']?.startsWith('application/grpc') ?? false);

/** gRPC's own codes (its doc/statuscodes.md), where the HTTP status of a fault says too little. */
const own: Readonly<Partial<Record<FaultCode, number>>> = {
  CANCELLED: 1,
  CONFLICT: 9,
  NOT_SUPPORTED: 12,
  INTERNAL: 13,
  TIMEOUT: 4,
  REQUEST_TIMEOUT: 4,
  NO_MEMORY: 8,
  DISK_FULL: 8,
};

/** By status: invalid argument, unauthenticated, permission denied, not found, unimplemented, resource exhausted. */
const byStatus: Readonly<Record<number, number>> = { 400: 3, 401: 16, 403: 7, 404: 5, 405: 12, 413: 8, 429: 8, 431: 8 };
const unavailable = 14;

/** What asking again may cure is unavailable; everything else that has no name there is invalid. */
export function grpcStatus(code: FaultCode): number {
  const { status, retry } = faults[code];
  return own[code] ?? byStatus[status] ?? (retry ? unavailable : status < 500 ? 3 : 13);
}

/**
 * Ends a call with an error as gRPC has it: in trailers, under a status that is always 200. A call whose answer has begun is
 * ended the same way, so that its client learns why.
 */
export function sendGrpcFault({ res, traceId }: Exchange, fault: Fault): void {
  if (res.destroyed || res.writableEnded) return;
  if (!res.headersSent) res.writeHead(200, { 'content-type': 'application/grpc', 'x-sutaz-trace-id': traceId });
  const wait = fault.retryAfter === undefined ? {} : { 'grpc-retry-pushback-ms': String(fault.retryAfter * 1000) };
  res.addTrailers({ 'grpc-status': String(grpcStatus(fault.code)), 'grpc-message': escaped(fault.message), ...wait });
  res.end();
}

/** Percent-encoded, as the protocol has it: anything but printable ASCII, and the percent sign. */
const escaped = (message: string): string =>
  [...Buffer.from(message)]
    .map((byte) =>
      byte < 0x20 || byte > 0x7e || byte === 0x25
        ? `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
        : String.fromCharCode(byte),
    )
    .join('');
