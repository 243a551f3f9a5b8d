/** Counts over the last while. Adding and asking cost the same however much was counted. */
export interface Rolling {
  add(kind: number, now: number): void;
  sum(kind: number, now: number): number;
  clear(): void;
}

const slices = 10;

/** `kinds` counts, each over the last `windowMs` milliseconds, to within a tenth of that. */
export function createRolling(windowMs: number, kinds: number): Rolling {
  const sliceMs = windowMs / slices;
  const counts = new Float64Array(slices * kinds);
  const sums = new Float64Array(kinds);
  let latest = -Infinity;

  const clear = () => {
    counts.fill(0);
    sums.fill(0);
  };
  const forget = (slice: number) => {
    const at = (slice % slices) * kinds;
    for (let kind = 0; kind < kinds; kind++) {
      sums[kind] = (sums[kind] ?? 0) - (counts[at + kind] ?? 0);
      counts[at + kind] = 0;
    }
  };
  const moveTo = (now: number): number => {
    const slice = Math.floor(now / sliceMs);
    if (slice <= latest) return latest;
    if (slice - latest >= slices) clear();
    else for (let old = latest + 1; old <= slice; old++) forget(old);
    return (latest = slice);
  };
  return {
    add(kind, now) {
      const at = (moveTo(now) % slices) * kinds + kind;
      counts[at] = (counts[at] ?? 0) + 1;
      sums[kind] = (sums[kind] ?? 0) + 1;
    },
    sum(kind, now) {
      moveTo(now);
      return sums[kind] ?? 0;
    },
    clear,
  };
}
