import type { Clock } from '#kernel/clock';

/** Counts wrong keys by the address they come from. */
export interface Damping {
  /** Seconds until a wrong key from there is looked at again; null while it is. */
  wait(address: string): number | null;
  /** Counts one more; true when that was the one too many. */
  wrong(address: string): boolean;
}

export interface DampingOptions {
  readonly clock: Clock;
  /** Wrong keys in a row before an address has to wait. */
  readonly tries?: number;
  /** Milliseconds after which one of them is forgotten. */
  readonly perMs?: number;
  /** Addresses that are remembered. */
  readonly most?: number;
}

/**
 * A wrong key is never a right one by luck (256 bits): what is damped is the work and the noise of a flood. So a right key is
 * taken from a damped address too, and a program on this machine with an old key locks nobody out.
 */
export function createDamping({ clock, tries = 20, perMs = 3_000, most = 10_000 }: DampingOptions): Damping {
  const known = new Map<string, { level: number; at: number }>();
  const levelOf = (key: string): number => {
    const entry = known.get(key);
    return entry ? Math.max(0, entry.level - (clock.now() - entry.at) / perMs) : 0;
  };
  return {
    wait(address) {
      const over = levelOf(networkOf(address)) - (tries - 1);
      return over > 0 ? Math.max(1, Math.ceil((over * perMs) / 1000)) : null;
    },
    wrong(address) {
      const key = networkOf(address);
      const level = levelOf(key);
      if (level > tries - 1) return false;
      // The one that was heard of longest ago is the first to be forgotten.
      known.delete(key);
      known.set(key, { level: level + 1, at: clock.now() });
      for (const oldest of known.keys()) {
        if (known.size <= most) break;
        known.delete(oldest);
      }
      return level + 1 > tries - 1;
    },
  };
}

/** An IPv6 network of 64 bits is one household's: each of its addresses would be a fresh start. */
export function networkOf(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '');
  if (!plain.includes(':')) return plain;
  const [head = '', tail] = plain.toLowerCase().replace(/%.*$/, '').split('::');
  const [front, back] = [head, tail ?? ''].map((part) => part.split(':').filter((group) => group !== ''));
  const missing = tail === undefined ? 0 : 8 - (front?.length ?? 0) - (back?.length ?? 0);
  const groups = [...(front ?? []), ...Array<string>(Math.max(0, missing)).fill('0'), ...(back ?? [])];
  return groups.slice(0, 4).join(':');
}
