import { between, logNormal, pick, whole } from '../random.ts';
import type { Random } from '../random.ts';
import type { SimUnit, UnitsFile } from '../units.ts';

const GiB = 2 ** 30;
/** No unit takes more of the limit than this, lest nothing else fit beside it. */
const largest = 0.45;

/** Units of usual sizes, `factor` times as many as fit. */
export function usualFleet(factor: number, random: Random): UnitsFile {
  const limitBytes = pick([8, 16, 32, 64], random) * GiB;
  // Where more is to be had there are more of them, so that several fit at once.
  const least = Math.max(16, Math.ceil(5 * factor));
  const count = whole(least, least + 30, random);
  const sizes = Array.from({ length: count }, () => logNormal(1, 0.7, random));
  return fleetOf(sizes, limitBytes, factor, random);
}

/** Units of those relative sizes, which together need `factor` times the limit. */
export function fleetOf(sizes: readonly number[], limitBytes: number, factor: number, random: Random): UnitsFile {
  const shares = fitted(sizes, factor);
  const width = String(shares.length).length;
  const units = shares.map((share, i) =>
    makeUnit(`unit-${String(i + 1).padStart(width, '0')}`, share, limitBytes, random),
  );
  return { limitBytes, units };
}

/** Scaled to that sum; what would become too large is cut, and the rest grows in its stead. */
function fitted(sizes: readonly number[], factor: number): number[] {
  let scaled = [...sizes];
  for (let round = 0; round < 20; round++) {
    const sum = scaled.reduce((total, size) => total + size, 0);
    scaled = scaled.map((size) => Math.min(largest, (size * factor) / sum));
  }
  return scaled;
}

function makeUnit(id: string, share: number, limitBytes: number, random: Random): SimUnit {
  const bytes = Math.max(1, Math.round(share * limitBytes));
  // Most of a start is reading it: the largest takes 20 s at most, and none less than half a second.
  const startMs = Math.round(Math.min(20_000, Math.max(500, 500 + 44_000 * share * logNormal(1, 0.3, random))));
  const kind = random();
  const kept = kind < 0.6 ? between(0.1, 0.3, random) : kind < 0.85 ? between(0.6, 1, random) : 1;
  return {
    id,
    bytes,
    startMs,
    stopMs: Math.round(between(50, 500, random)),
    freezeMs: Math.round(between(5, 40, random)),
    thawMs: Math.round(between(20, 200, random)),
    frozenBytes: Math.round(bytes * kept),
    priority: 50,
    tier: 'on-demand',
    concurrency: pick([1, 2, 4, 4, 4, 8], random),
    minReplicas: 1,
    maxReplicas: 1,
  };
}
