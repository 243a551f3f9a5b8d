import type { ApiKey, ApiKeyAsk, ApiMadeKey } from '#contracts/security-api';
import type { Clock } from '#kernel/clock';
import { Fault } from '#kernel/faults';
import { didYouMean } from '#kernel/nearest';
import { parseDuration } from '#kernel/quantities';
import { readScope } from '#kernel/scopes';
import type { KeyFacts, Keys, MadeKey } from './keys.ts';
import type { Principal } from './principal.ts';
import type { Roles } from './roles.ts';
import { covers } from './scopes.ts';

/** What somebody does with keys. Nobody gives, renews or ends more than they hold themselves. */
export interface KeyDesk {
  list(): readonly ApiKey[];
  create(by: Principal, ask: ApiKeyAsk): ApiMadeKey;
  /** The old one goes on for the overlap: `1h`. */
  rotate(by: Principal, keyId: string, overlap: string): Promise<ApiMadeKey>;
  revoke(by: Principal, keyId: string): void;
}

export interface KeyDeskDeps {
  readonly keys: Keys;
  readonly roles: Roles;
  readonly clock: Clock;
  /** The key in the home's key file, which the command line uses. */
  readonly owner: { id(): string; replace(made: MadeKey): Promise<void> };
}

/** Longer ones are not told apart by anybody. */
const longestName = 100;
const mostKeys = 10_000;

export function createKeyDesk({ keys, roles, clock, owner }: KeyDeskDeps): KeyDesk {
  const demandCover = (by: Principal, held: Pick<KeyFacts, 'roles' | 'scopes'>) => {
    const scopes = [...held.roles.flatMap((role) => roles.scopesOf(role) ?? []), ...held.scopes];
    const over = scopes.find((scope) => !covers(by.rights, scope));
    if (over !== undefined)
      throw new Fault('FORBIDDEN', `This key may not hand on ${over}: it has no such scope itself.`);
  };
  const found = (by: Principal, keyId: string): KeyFacts => {
    const facts = keys.get(keyId);
    if (!facts) {
      const near = didYouMean(
        keyId,
        keys.list().map((one) => one.keyId),
      );
      throw new Fault('NOT_FOUND', `No key has the id ${keyId}.${near}`);
    }
    demandCover(by, facts);
    return facts;
  };
  return {
    list: () => keys.list().map(shown),
    create(by, ask) {
      const name = nameOf(ask.name);
      const held = heldOf(ask, roles);
      demandCover(by, held);
      if (keys.list().length >= mostKeys) throw new Fault('CONFLICT', `There are ${mostKeys} keys: revoke some first.`);
      const life = ask.expiresIn === undefined ? null : durationOf(ask.expiresIn, 'expiresIn');
      if (life === 0)
        throw new Fault('BAD_REQUEST', 'expiresIn is 0: the key would be good for nothing.', { param: 'expiresIn' });
      // Whoever has an end hands on nothing that outlives it.
      const end = Math.min(life === null ? Infinity : clock.wall() + life, by.expiresAt ?? Infinity);
      const principal = ask.principal ?? name.toLowerCase().replace(/\s+/g, '-');
      return told(
        keys.create({
          name,
          principal: nameOf(principal, 'principal'),
          ...held,
          expiresAt: end === Infinity ? null : end,
        }),
      );
    },
    async rotate(by, keyId, overlap) {
      const facts = found(by, keyId);
      const overlapMs = durationOf(overlap, 'overlap');
      const made = keys.renew(keyId);
      if (!made) throw new Fault('CONFLICT', `The key ${keyId} has expired: make a new one.`);
      let isInFile = false;
      try {
        // The file comes first: whatever ends this here, the key in it is a good one.
        if (facts.keyId === owner.id()) {
          await owner.replace(made);
          isInFile = true;
        }
        keys.retire(keyId, made.facts.keyId, overlapMs);
      } catch (error) {
        // Nobody will ever see the new one.
        if (!isInFile) keys.revoke(made.facts.keyId);
        throw error;
      }
      return told(made);
    },
    revoke(by, keyId) {
      found(by, keyId);
      if (keyId === owner.id()) {
        throw new Fault(
          'CONFLICT',
          `${keyId} is the owner's key, which the command line uses: rotate it with an overlap of 0s.`,
        );
      }
      keys.revoke(keyId);
    },
  };
}

function heldOf({ roles: named, scopes = [] }: ApiKeyAsk, roles: Roles): Pick<KeyFacts, 'roles' | 'scopes'> {
  const held = named ?? (scopes.length === 0 ? ['user'] : []);
  for (const role of held) {
    if (roles.scopesOf(role)) continue;
    const near = didYouMean(role, roles.names()) || ` Known: ${roles.names().join(', ')}.`;
    throw new Fault('BAD_REQUEST', `There is no role ${role}.${near}`, { param: 'roles' });
  }
  for (const scope of scopes) {
    const read = readScope(scope);
    if (typeof read === 'object' && 'problem' in read)
      throw new Fault('BAD_REQUEST', read.problem, { param: 'scopes' });
  }
  if (held.length + scopes.length === 0) {
    throw new Fault('BAD_REQUEST', 'A key without roles and scopes would be good for nothing.', { param: 'roles' });
  }
  return { roles: held, scopes };
}

function nameOf(name: string | undefined, param = 'name'): string {
  if (name === undefined || name.trim() === '') throw new Fault('BAD_REQUEST', `${param} is missing.`, { param });
  // Principals of instances and of outside issuers have a slash or a hash in them: nobody takes their place.
  const strange = name.length > longestName || /[\p{Cc}/#]/u.test(name);
  if (!strange) return name;
  throw new Fault('BAD_REQUEST', `${param} has at most ${longestName} characters, and no / or #.`, { param });
}

function durationOf(text: string, param: string): number {
  const ms = parseDuration(text);
  // Beyond that a date is none.
  if (ms !== null && ms <= 100 * 366 * 86_400_000) return ms;
  throw new Fault('BAD_REQUEST', `${param} is no duration: write it as 30m, 12h or 90d.`, { param });
}

const shown = ({ replacedBy, ...facts }: KeyFacts): ApiKey => ({ ...facts, replacedBy: replacedBy ?? null });
const told = ({ key, facts }: MadeKey): ApiMadeKey => ({ key, facts: shown(facts) });
