import { between, mulberry32, shuffled } from '#simulator/random';
import { holderService } from '../../test/fixtures/holders.ts';

const MiB = 2 ** 20;

export interface PlannedService {
  readonly id: string;
  /** Bytes that it allocates and writes, and what its definition declares: those and its runtime. */
  readonly heldBytes: number;
  readonly declaredBytes: number;
  readonly startMs: number;
  readonly tier: 'persistent' | 'on-demand';
  readonly idle: { readonly after: string; readonly rung: 'frozen' | 'cold' };
  readonly priority: number;
}

export interface Arrival {
  /** Milliseconds from the beginning. */
  readonly at: number;
  readonly service: string;
  /** Milliseconds that its answer takes, and its bytes. */
  readonly workMs: number;
  readonly bytes: number;
  /** Asked for as server-sent events. */
  readonly events: boolean;
}

export interface Plan {
  /** The most popular first. */
  readonly services: readonly PlannedService[];
  readonly arrivals: readonly Arrival[];
}

/** What Node takes beside the memory that the service was told to hold. */
const runtimeBytes = 40 * MiB;

/** The same services and the same requests for the same seed. Memory, start times and tiers have nothing to do with popularity. */
export function makePlan({ seed, count, ms }: { seed: number; count: number; ms: number }): Plan {
  const random = mulberry32(seed);
  const services = Array.from({ length: count }, (_, i) => makeService(i, random));
  const times: number[] = [];
  for (let at = gapMs(random); at < ms; at += gapMs(random)) times.push(at);
  const turns = shuffled(popularity(times.length, count), random);
  return { services, arrivals: times.map((at, i) => makeArrival(at, services[turns[i] ?? 0]?.id ?? '', random)) };
}

function makeService(i: number, random: () => number): PlannedService {
  const heldBytes = Math.round(between(150, 400, random)) * MiB;
  const persistent = i % 3 === 2;
  const freezes = persistent || random() < 0.5;
  return {
    id: `holder-${String(i + 1).padStart(2, '0')}`,
    heldBytes,
    declaredBytes: heldBytes + runtimeBytes,
    startMs: Math.round(between(200, 2_500, random)),
    tier: persistent ? 'persistent' : 'on-demand',
    idle: { after: `${Math.round(between(10, 40, random))}s`, rung: freezes ? 'frozen' : 'cold' },
    priority: [40, 50, 50, 60][Math.floor(random() * 4)] ?? 50,
  };
}

function makeArrival(at: number, service: string, random: () => number): Arrival {
  const isLong = random() < 0.08;
  const workMs = isLong ? 10_000 : Math.round(50 * 30 ** random());
  return { at, service, workMs, bytes: Math.round(between(200, 50_000, random)), events: random() < 0.3 };
}

/** Half a second to four seconds, 1.5 on average: a memoryless tail behind a shortest gap. */
const gapMs = (random: () => number): number => Math.min(4_000, 500 - 1_030 * Math.log(1 - random()));

/** How many requests each rank gets of `total`: Zipf's law (a share of 1/rank), and one at least where there are enough. */
function popularity(total: number, count: number): number[] {
  const weights = Array.from({ length: count }, (_, i) => 1 / (i + 1));
  const sum = weights.reduce((a, b) => a + b, 0);
  const least = total >= count ? 1 : 0;
  const shares = weights.map((weight) => Math.max(least, Math.floor((weight / sum) * total)));
  const turns = shares.flatMap((share, rank) => Array.from({ length: share }, () => rank));
  // What rounding left over goes to the most popular, or is taken from it.
  while (turns.length < total) turns.push(0);
  return turns.slice(turns.length - total);
}

/** The definitions by file, as `startPlatform` takes them. */
export const definitions = ({ services }: Plan): Record<string, string> =>
  Object.fromEntries(
    services.map((service) => [
      `services/${service.id}.yaml`,
      holderService({
        id: service.id,
        memory: String(service.declaredBytes),
        flags: ['--hold', service.heldBytes / MiB, '--start-ms', service.startMs],
        idle: service.idle,
        extra: `tier: ${service.tier}\npriority: ${service.priority}\n`,
      }),
    ]),
  );

/** What the same load needs where every service that is asked runs all the time. */
export function alwaysOn({ services, arrivals }: Plan, limitBytes: number) {
  const asked = new Set(arrivals.map(({ service }) => service));
  const needed = services.filter(({ id }) => asked.has(id));
  let used = 0;
  // The most popular first, which is the kindest choice: as many as fit, no memory left for the others.
  const fitting = new Set(
    needed.flatMap(({ id, heldBytes }) => {
      if (used + heldBytes > limitBytes) return [];
      used += heldBytes;
      return [id];
    }),
  );
  return {
    services: services.length,
    askedAtLeastOnce: needed.length,
    /** By what they were told to hold, without their runtimes. */
    heldBytesOfThose: needed.reduce((sum, { heldBytes }) => sum + heldBytes, 0),
    limitBytes,
    runningWithinLimit: fitting.size,
    requests: arrivals.length,
    requestsForTheOthers: arrivals.filter(({ service }) => !fitting.has(service)).length,
  };
}
