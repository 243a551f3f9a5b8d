/** A ring on which keys find one of several, so that most keys stay where they are when one comes or goes. */
export interface Ring {
  /** The index of the first one after the key that is `wanted`, or -1. */
  find(key: string, wanted: (index: number) => boolean): number;
}

/** Points on the ring for each: with so many the largest part is about a tenth larger than the mean. */
const points = 160;

export function createRing(ids: readonly string[]): Ring {
  const owned = ids.flatMap((id, owner) =>
    Array.from({ length: points }, (_, n) => ({ at: hashOf(`${id} ${n}`), owner })),
  );
  owned.sort((a, b) => a.at - b.at || a.owner - b.owner);
  const at = Uint32Array.from(owned, (point) => point.at);
  const owners = Uint32Array.from(owned, ({ owner }) => owner);
  return {
    find(key, wanted) {
      const seen = new Set<number>();
      const start = firstFrom(at, hashOf(key));
      for (let step = 0; step < owners.length && seen.size < ids.length; step++) {
        const owner = owners[(start + step) % owners.length] as number;
        if (seen.has(owner)) continue;
        if (wanted(owner)) return owner;
        seen.add(owner);
      }
      return -1;
    },
  };
}

function firstFrom(at: Uint32Array, hash: number): number {
  let [low, high] = [0, at.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((at[middle] ?? 0) < hash) low = middle + 1;
    else high = middle;
  }
  return low === at.length ? 0 : low;
}

/** FNV-1a with MurmurHash3's last mixing: alone, its upper bits hardly differ between keys that end differently. */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
