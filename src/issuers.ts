import { loadConfig } from '#config/load';
import { systemClock } from '#kernel/clock';
import { silentLogger } from '#kernel/logger';
import { fetchJson } from '#security/fetch-json';
import { createIssuers } from '#security/issuers';
import { createRoles } from '#security/roles';

/** The issuers of tokens that a home's configuration names, each asked for its keys now. None where it cannot be read. */
export async function askIssuers(home: string, env: NodeJS.ProcessEnv) {
  const loaded = await loadConfig({ home, env });
  if (!loaded.ok || loaded.value.security.oidc.length === 0) return [];
  const issuers = createIssuers({ clock: systemClock, log: silentLogger, roles: createRoles(), fetchJson });
  issuers.configure(loaded.value.security.oidc);
  await issuers.look();
  return issuers.status();
}
