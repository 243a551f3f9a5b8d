import type { Principal } from './principal.ts';
import { createRoles } from './roles.ts';

const roles = createRoles();

/** Somebody with one of the built-in roles, or with scopes of a test's own. */
export const principalWith = (role: string | null, scopes: readonly string[] = [], id = 'ada'): Principal => ({
  ...{ id, name: id, keyId: `key-${id}`, expiresAt: null },
  roles: role === null ? [] : [role],
  rights: roles.rights(role === null ? [] : [role], scopes),
});
