import { join } from 'node:path';
import type { ConfigSource } from '#config/load';
import type { StateStore } from '#contracts/state';
import type { Identity } from '#edge/auth';
import type { Closers } from '#kernel/closers';
import type { Clock } from '#kernel/clock';
import type { Logger } from '#kernel/logger';
import { repeat } from '#kernel/repeat';
import { readMaybe, writeWhole } from '#runtime/home';
import type { Home } from '#runtime/home';
import { createAudit } from '#security/audit';
import type { Audit } from '#security/audit';
import { createDamping } from '#security/damping';
import { fetchJson } from '#security/fetch-json';
import { createIssuers } from '#security/issuers';
import type { Issuers } from '#security/issuers';
import { createKeyDesk } from '#security/key-desk';
import type { KeyDesk } from '#security/key-desk';
import { openKeys } from '#security/keys';
import type { Keys } from '#security/keys';
import { createMinted } from '#security/minted';
import type { Minted } from '#security/minted';
import type { Principal } from '#security/principal';
import { createRoles } from '#security/roles';
import { createSessions } from '#security/sessions';

export interface PlatformIdentity extends Identity {
  readonly keys: Keys;
  readonly desk: KeyDesk;
  readonly minted: Minted;
  readonly audit: Audit;
  readonly issuers: Issuers;
}

export interface IdentityDeps {
  readonly state: StateStore;
  readonly home: Home;
  readonly config: Pick<ConfigSource, 'current' | 'onChange'>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The owner: whoever reads the home's key file speaks for it. */
const owner = { principal: 'admin', name: 'the owner', roles: ['admin'], scopes: [], expiresAt: null } as const;

/** Milliseconds between the times that it is written down when keys were used. */
const flushMs = 60_000;

/** Opens the keys and makes the first one, readable by the home's owner only, when the file is missing or void. */
export async function openIdentity(deps: IdentityDeps, closers: Closers): Promise<PlatformIdentity> {
  const { state, home, config, clock, log } = deps;
  const { security, listen } = config.current();
  const roles = createRoles(security.roles);
  const keys = openKeys({ store: state, clock, roles });
  const minted = createMinted();
  const audit = createAudit({
    ...{ clock, log, file: join(home.logs, 'audit.jsonl') },
    maxBytes: () => config.current().logs.audit,
  });
  const issuers = createIssuers({ clock, log, roles, fetchJson });
  issuers.configure(security.oidc);
  void issuers.look();
  const ownersKey = await holdOwnersKey(keys, home);
  closers.add(() => audit.close());
  closers.add(
    repeat(
      clock,
      flushMs,
      async () => keys.flush(),
      (error) => log.warn('when keys were used could not be written', { error: String(error) }),
    ),
  );
  closers.add(() => keys.flush());
  closers.add(
    config.onChange((next) => {
      roles.configure(next.security.roles);
      issuers.configure(next.security.oidc);
      void issuers.look();
    }),
  );
  return {
    ...{ keys, minted, audit, issuers, tokens: issuers, damping: createDamping({ clock }) },
    desk: createKeyDesk({ keys, roles, clock, owner: ownersKey }),
    sessions: createSessions({ clock, present: presentIn(keys, clock) }),
    hosts: () => listen.hosts,
    verifyKey: (key) => keys.verify(key) ?? minted.verify(key),
    onFlood(address, { traceId }) {
      log.warn('many wrong keys come from one address: it has to wait', { address });
      const nobody = { target: address, status: 429, principal: null, keyId: null };
      audit.record({ what: 'signInRefused', ...nobody, from: address, traceId });
    },
  };
}

/** The issuers of tokens whose keys could not be had the last time, as the state tells of them. */
export const issuerProblems = ({ issuers }: Pick<PlatformIdentity, 'issuers'>) => ({
  issuers: issuers.status().flatMap(({ issuer, problem }) => (problem === null ? [] : [{ issuer, problem }])),
});

const presentIn =
  (keys: Keys, clock: Clock) =>
  (principal: Principal): Principal | null => {
    if (principal.keyId !== null) return keys.principalOf(principal.keyId);
    return principal.expiresAt !== null && clock.wall() >= principal.expiresAt ? null : principal;
  };

/** The key of the home's file, made when that is missing or void. */
async function holdOwnersKey(keys: Keys, home: Home): Promise<Parameters<typeof createKeyDesk>[0]['owner']> {
  const write = (key: string) => writeWhole(home.keyFile, `${key}\n`, 0o600);
  const known = (await readMaybe(home.keyFile))?.trim();
  let id = known ? (keys.verify(known)?.keyId ?? null) : null;
  if (id === null) {
    // Whatever was the owner's key before is void: its file is lost, or somebody else has it.
    const before = keys.list().filter(({ principal, name }) => principal === owner.principal && name === owner.name);
    const { key, facts } = keys.create(owner);
    await write(key);
    for (const { keyId } of before) keys.revoke(keyId);
    id = facts.keyId;
  }
  let current = id;
  return {
    id: () => current,
    async replace({ key, facts }) {
      await write(key);
      current = facts.keyId;
    },
  };
}
