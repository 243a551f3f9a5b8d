import type { StateStore } from '#contracts/state';
import type { Identity } from '#edge/auth';
import type { Clock } from '#kernel/clock';
import { readMaybe, writeWhole } from '#runtime/home';
import type { Home } from '#runtime/home';
import { openKeys } from '#security/keys';
import type { Keys } from '#security/keys';
import { createMinted } from '#security/minted';
import type { Minted } from '#security/minted';
import type { Principal } from '#security/principal';
import { createRoles } from '#security/roles';
import type { Roles } from '#security/roles';
import { createSessions } from '#security/sessions';

export interface PlatformIdentity extends Identity {
  readonly keys: Keys;
  readonly minted: Minted;
  readonly roles: Roles;
}

/** The owner: whoever reads the home's key file speaks for it. */
const owner = { principal: 'admin', name: 'the owner', roles: ['admin'], scopes: [], expiresAt: null } as const;

/** Opens the keys and makes the first one, readable by the home's owner only, when the file is missing or void. */
export async function openIdentity(
  state: StateStore,
  home: Home,
  clock: Clock,
  hosts: readonly string[],
): Promise<PlatformIdentity> {
  const roles = createRoles();
  const keys = openKeys({ store: state, clock, roles });
  const minted = createMinted();
  const known = (await readMaybe(home.keyFile))?.trim();
  if (!known || !keys.verify(known)) await replaceOwnersKey(keys, home);
  const present = (principal: Principal): Principal | null => {
    if (principal.keyId !== null) return keys.principalOf(principal.keyId);
    return principal.expiresAt !== null && clock.wall() >= principal.expiresAt ? null : principal;
  };
  return {
    ...{ keys, minted, roles },
    sessions: createSessions({ clock, present }),
    hosts: () => hosts,
    verifyKey: (key) => keys.verify(key) ?? minted.verify(key),
  };
}

/** Whatever was the owner's key before is void: its file is lost, or somebody else has it. */
async function replaceOwnersKey(keys: Keys, home: Home): Promise<void> {
  const before = keys.list().filter(({ principal, name }) => principal === owner.principal && name === owner.name);
  const { key } = keys.create(owner);
  await writeWhole(home.keyFile, `${key}\n`, 0o600);
  for (const { keyId } of before) keys.revoke(keyId);
}
