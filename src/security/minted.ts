import { hash } from 'node:crypto';
import type { Principal } from './principal.ts';

/** Identities of instances: minted at their start, withdrawn at their end, never written to disk by this table. */
export interface Minted {
  /** `holder` is the instance: several may speak for one principal. */
  mint(holder: string, principal: Principal, key: string): void;
  withdraw(holder: string): void;
  verify(key: string): Principal | null;
}

export function createMinted(): Minted {
  const known = new Map<string, { readonly holder: string; readonly principal: Principal }>();
  return {
    mint: (holder, principal, key) => void known.set(hash('sha256', key), { holder, principal }),
    withdraw(holder) {
      for (const [digest, one] of known) if (one.holder === holder) known.delete(digest);
    },
    verify: (key) => known.get(hash('sha256', key))?.principal ?? null,
  };
}
