import { operationIds, operations } from '#contracts/operations';
import type { Audit } from '#security/audit';
import type { Exchange } from './exchange.ts';
import type { Guarded } from './guards.ts';

/** Scopes whose holders change rights or state; what else is asked leaves no trace here. */
const changing: ReadonlySet<string> = new Set([
  ...['models:manage', 'services:manage', 'units:manage', 'keys', 'console', 'platform:manage'],
]);

const notes = new WeakMap<Exchange, Readonly<Record<string, unknown>>>();

/** What is worth knowing of a change beside its address. Never a secret. */
export const noteForAudit = (exchange: Exchange, details: Readonly<Record<string, unknown>>): void =>
  void notes.set(exchange, details);

/** Records a change once it is answered, whatever the answer was: a refused one as well. */
export function auditChange(exchange: Exchange, guarded: Guarded | null, audit: Pick<Audit, 'record'>): void {
  if (!guarded || guarded.allow || !changing.has(guarded.guard.scope ?? '')) return;
  const { method, res, principal, traceId } = exchange;
  if (method === 'GET' || method === 'HEAD') return;
  const from = exchange.req.socket.remoteAddress ?? null;
  res.on('close', () => {
    const details = notes.get(exchange);
    audit.record({
      what: named(guarded) ?? `${method} ${guarded.guard.path}`,
      target: guarded.name === null ? null : decoded(guarded.name),
      status: res.writableFinished ? res.statusCode : 499,
      ...{ principal: principal?.id ?? null, keyId: principal?.keyId ?? null, from, traceId },
      ...(details ? { details } : {}),
    });
  });
}

const named = ({ guard: { path, methods } }: Guarded): string | undefined =>
  operationIds.find(
    (id) => path.endsWith(operations[id].path) && path.startsWith('/sutaz/') && methods?.[0] === operations[id].method,
  );

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment).slice(0, 256);
  } catch {
    return segment.slice(0, 256);
  }
}
