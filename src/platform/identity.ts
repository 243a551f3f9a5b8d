import type { StateStore } from '#contracts/state';
import type { Identity } from '#edge/auth';
import type { Clock } from '#kernel/clock';
import { readMaybe, writeWhole } from '#runtime/home';
import type { Home } from '#runtime/home';
import { createMinted, openKeys } from '#security/keys';
import type { Minted } from '#security/keys';
import { createSessions } from '#security/sessions';

export interface PlatformIdentity extends Identity {
  readonly minted: Minted;
}

/** Opens the keys and makes the first one, readable by the home's owner only, when the file is missing or void. */
export async function openIdentity(
  state: StateStore,
  home: Home,
  clock: Clock,
  hosts: readonly string[],
): Promise<PlatformIdentity> {
  const keys = openKeys(state, clock);
  const minted = createMinted();
  const known = (await readMaybe(home.keyFile))?.trim();
  if (!known || !keys.verify(known)) {
    keys.revoke('admin');
    await writeWhole(home.keyFile, `${keys.create({ id: 'admin', name: 'the owner', role: 'admin' })}\n`, 0o600);
  }
  return {
    minted,
    sessions: createSessions(clock),
    hosts: () => hosts,
    verifyKey: (key) => keys.verify(key) ?? minted.verify(key),
  };
}
