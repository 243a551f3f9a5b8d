import type { ApiAuditEntry, ApiKeyAsk } from '#contracts/security-api';
import { Fault } from '#kernel/faults';
import type { AuditQuery } from '#security/audit';
import type { KeyDesk } from '#security/key-desk';
import type { Principal } from '#security/principal';
import { noteForAudit } from './audited.ts';
import { bodyOf, route } from './control-route.ts';
import type { FieldsOf, Route } from './control-route.ts';
import type { Exchange } from './exchange.ts';
import { given, list, text } from './fields.ts';

/** What the control API does with keys, and what it tells of the past. */
export interface Security {
  readonly keys: KeyDesk;
  audit(query: AuditQuery): Promise<readonly ApiAuditEntry[]>;
}

const creating: FieldsOf<'createKey'> = {
  ...{ name: text, principal: text, roles: list(text), scopes: list(text), expiresIn: text },
};
const rotating: FieldsOf<'rotateKey'> = { overlap: text };

const callerOf = ({ principal }: Exchange): Principal => {
  if (principal) return principal;
  throw new Fault('UNAUTHENTICATED', 'A key is needed.');
};

export const keyRoutes: readonly Route[] = [
  route('listKeys', (_, { control }) => ({ keys: control.security.keys.list() })),
  route('createKey', async (exchange, { control }) => {
    const ask = given(await bodyOf(exchange, creating)) as ApiKeyAsk;
    const made = control.security.keys.create(callerOf(exchange), ask);
    const { keyId, roles: held, scopes: more, expiresAt } = made.facts;
    const details = { keyId, principal: made.facts.principal, roles: held, scopes: more, expiresAt };
    noteForAudit(exchange, { details });
    return made;
  }),
  route('rotateKey', async (exchange, { control }, id) => {
    const { overlap = '1h' } = await bodyOf(exchange, rotating);
    const made = await control.security.keys.rotate(callerOf(exchange), id, overlap);
    noteForAudit(exchange, { details: { keyId: made.facts.keyId, overlap } });
    return made;
  }),
  route('revokeKey', (exchange, { control }, id) => control.security.keys.revoke(callerOf(exchange), id)),
  route('readAudit', async ({ query }, { control }) => ({ entries: await control.security.audit(askedOf(query)) })),
];

const most = 1_000;

function askedOf(query: URLSearchParams): AuditQuery {
  const limit = Number(query.get('limit') ?? 100);
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > most) {
    throw new Fault('BAD_REQUEST', `limit must be a whole number from 1 to ${most}.`, { param: 'limit' });
  }
  const [before, what, principal] = ['before', 'what', 'principal'].map((name) => query.get(name));
  if (before && Number.isNaN(Date.parse(before))) {
    throw new Fault('BAD_REQUEST', 'before must be a time such as 2026-01-31T12:00:00Z.', { param: 'before' });
  }
  return {
    limit,
    ...(before ? { before: new Date(before).toISOString() } : {}),
    ...(what ? { what } : {}),
    ...(principal ? { principal } : {}),
  };
}
