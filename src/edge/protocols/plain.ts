import { Fault } from '#kernel/faults';
import type { Exchange } from '../exchange.ts';

/**
 * Answers a request that should have come over TLS: a browser is sent there, a program is told. What it sent was to be read
 * on the way already; nothing is answered that would be as well.
 */
export function sendToTls({ req, res, method }: Exchange): void {
  if (method !== 'GET' && method !== 'HEAD') throw needsTls();
  const location = `https://${req.headers.host ?? ''}${req.url ?? '/'}`;
  res.writeHead(308, { location, 'content-length': 0 }).end();
}

export const needsTls = (): Fault =>
  new Fault('FORBIDDEN', 'Other machines reach this door over TLS only: use https (listen.tls, listen.plain).');
