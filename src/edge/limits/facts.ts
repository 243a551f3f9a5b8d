import type { Principal } from '#security/principal';
import type { Exchange } from '../exchange.ts';
import type { Facts } from './rules.ts';

/** What rules may ask of a request. */
export function factsOf({ principal, path }: Exchange, service: string | null, model: string | null): Facts {
  return { ...askerOf(principal), service, model, path };
}

export type Asker = Pick<Facts, 'key' | 'keyNames' | 'principal' | 'principalNames'>;

const nobody: Asker = { key: '', keyNames: [], principal: '', principalNames: [] };
const askers = new WeakMap<Principal, Asker>();

/** The same object for the same principal, so that nothing is made for each request. */
export function askerOf(principal: Principal | null): Asker {
  if (!principal) return nobody;
  let asker = askers.get(principal);
  if (!asker) {
    const { id, name, keyId } = principal;
    const keyNames = keyId === null ? [] : [keyId, name];
    // What has no key, an instance or an outside issuer's token, has an account all the same.
    asker = { key: keyId ?? id, keyNames, principal: id, principalNames: [id] };
    askers.set(principal, asker);
  }
  return asker;
}
