import { operationIds, operations } from '#contracts/operations';
import type { Audit } from '#security/audit';
import type { Exchange } from './exchange.ts';
import type { Guarded } from './guards.ts';

/** Scopes whose holders change rights or state; what else is asked leaves no trace here. */
const changing: ReadonlySet<string> = new Set([
  ...['models:manage', 'services:manage', 'units:manage', 'jobs:run', 'keys', 'console', 'platform:manage'],
]);

/** What only the handler knows of a change. Never a secret. */
interface Note {
  readonly details?: Readonly<Record<string, unknown>>;
  /** Where the address does not say what is done, and to what. */
  readonly what?: string;
  readonly target?: string;
}

// By its answer: an exchange is copied where its signal is another.
const notes = new WeakMap<Exchange['res'], Note>();

export const noteForAudit = ({ res }: Exchange, note: Note): void => void notes.set(res, note);

/** Records a change once it is answered, whatever the answer was: a refused one as well. */
export function auditChange(exchange: Exchange, guarded: Guarded | null, audit: Pick<Audit, 'record'>): void {
  if (!guarded || guarded.allow) return;
  const { scope } = guarded.guard;
  // At an address that is for everything, the handler says so when it changes something.
  if (scope !== 'any' && !changing.has(scope ?? '')) return;
  const { method, res, principal, traceId, client: from } = exchange;
  if (method === 'GET' || method === 'HEAD') return;
  res.on('close', () => {
    const { details, what, target } = notes.get(res) ?? {};
    if (scope === 'any' && what === undefined) return;
    audit.record({
      what: what ?? named(guarded) ?? `${method} ${guarded.guard.path}`,
      target: target ?? (guarded.name === null ? null : decoded(guarded.name)),
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
