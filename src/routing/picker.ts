import { createBalancer } from '#resilience/balance';
import type { Balancer } from '#resilience/balance';
import { createCanary } from '#resilience/canary';
import type { Canary } from '#resilience/canary';
import { createHedges } from '#resilience/hedge';
import type { Hedges } from '#resilience/hedge';
import { createOutliers } from '#resilience/outlier';
import type { Outliers } from '#resilience/outlier';
import { createRetries } from '#resilience/retry';
import type { Retries } from '#resilience/retry';
import type { Outcome } from '#resilience/breaker';
import type { Clock } from '#kernel/clock';
import { Fault } from '#kernel/faults';
import type { UnitId } from '#kernel/ids';
import { createEndpoint } from './endpoint.ts';
import type { Endpoint, EndpointView, Placed } from './endpoint.ts';
import type { Place, Policy, Target } from './policy.ts';

/** What a choice among several places goes by. */
export interface Choice {
  /** What a hash is made of; null where any will do. */
  readonly key: string | null;
  /** Places that were tried already: they are taken only when no other is left. */
  readonly avoid: ReadonlySet<string>;
}

export const anyPlace: Choice = { key: null, avoid: new Set() };

/** Chooses where each request for one unit goes, and knows how those before it fared. It outlives them all. */
export interface Picker {
  readonly policy: Policy;
  readonly retries: Retries;
  readonly hedges: Hedges | null;
  /** A place of a unit that runs elsewhere. Throws CIRCUIT_OPEN, with the reasons, when all of them are left alone. */
  pick(choice: Choice): Placed;
  /** The place that the scheduler gave; null when it is left alone for now. */
  at(instance: UnitId, target: Target): Placed | null;
  /** Whether `at` would give one. */
  isOpen(instance: UnitId, target: Target): boolean;
  /** Whether a place is left that was not tried, and may be. */
  hasOther(avoid: ReadonlySet<string>): boolean;
  refusal(): Fault;
  /** A try was made anew. */
  retried(): void;
  view(): PickerView;
  readonly mirrored: Mirrored;
  /** The endpoints of places elsewhere, for their health. */
  readonly endpoints: readonly Endpoint[];
}

/** The copies of requests that go to another place beside. */
export interface Mirrored {
  /** Whether a request is copied, of which `share` are to be and no more than `most` at once. */
  begins(share: number, most: number): boolean;
  ended(failed: boolean): void;
  readonly sent: number;
  readonly failed: number;
}

export interface PickerView {
  readonly unit: UnitId;
  readonly balance: Policy['balance'] | 'scheduler';
  readonly retries: number;
  /** Copies that went to its mirror, and how many of them failed there. */
  readonly mirrored: { readonly sent: number; readonly failed: number };
  readonly upstreams: readonly EndpointView[];
}

export interface PickerOptions {
  readonly unit: UnitId;
  readonly policy: Policy;
  readonly clock: Clock;
  readonly random?: () => number;
}

/** What the functions below share. */
interface Bench {
  readonly policy: Policy;
  readonly clock: Clock;
  readonly endpoints: readonly Endpoint[];
  readonly outliers: Outliers;
  readonly balancer: Balancer;
  readonly canary: { readonly endpoint: Endpoint; readonly watch: Canary } | null;
}

export function createPicker(options: PickerOptions): Picker {
  const { unit, policy, clock, random = Math.random } = options;
  const outliers = createOutliers(policy.places.length, policy.outliers);
  const watch = policy.canary && createCanary(policy.canary, random);
  const elsewhere = (place: Place, index: number): Endpoint => {
    const record = (outcome: Outcome, ms: number, wasProbe: boolean, now: number) => {
      const failed = outcome === 'failed';
      if (outcome === 'ok' || failed) watch?.record(index < 0, failed, now);
      if (index < 0 || (outcome !== 'ok' && !failed)) return;
      outliers.record(index, failed, ms, now);
      if (wasProbe && !failed) outliers.returned(index, now);
    };
    return createEndpoint({ id: place.url, weight: place.weight, target: place.target, policy, clock, record });
  };
  const endpoints = policy.places.map(elsewhere);
  const balancer = createBalancer(policy.balance, endpoints, random);
  const canary = policy.canary && watch && { endpoint: elsewhere(policy.canary.place, -1), watch };
  const bench: Bench = { policy, clock, endpoints, outliers, balancer, canary };
  const instances = new Map<UnitId, Endpoint>();
  const instance = (id: UnitId, target: Target): Endpoint => {
    const known = instances.get(id);
    if (known?.target.origin === target.origin) return known;
    // Another process by now: what the one before it did is no word against it.
    const fresh = createEndpoint({ id, weight: 1, target, policy, clock, record: () => undefined });
    instances.set(id, fresh);
    return fresh;
  };
  const mirrored = createMirrored(random);
  const all = () => [...endpoints, ...(canary ? [canary.endpoint] : []), ...instances.values()];
  let retried = 0;
  return {
    ...{ policy, endpoints, mirrored, retries: createRetries(policy.retry, random) },
    hedges: policy.hedge && createHedges(policy.hedge),
    pick(choice) {
      const placed = pick(bench, choice);
      if (!placed) throw refusalOf(unit, all(), clock.now());
      return placed;
    },
    at: (id, target) => instance(id, target).enter(clock.now(), target),
    isOpen: (id, target) => instance(id, target).allows(clock.now()),
    hasOther: (avoid) => endpoints.some(({ id }, i) => !avoid.has(id) && isGood(i, bench, clock.now())),
    refusal: () => refusalOf(unit, all(), clock.now()),
    retried: () => void retried++,
    view: () => ({
      ...{
        unit,
        retries: retried,
        mirrored: { sent: mirrored.sent, failed: mirrored.failed },
        balance: endpoints.length > 0 ? policy.balance : 'scheduler',
      },
      upstreams: all().map((endpoint) => viewOf(endpoint, bench)),
    }),
  };
}

function createMirrored(random: () => number): Mirrored {
  let underWay = 0;
  const mirrored = {
    ...{ sent: 0, failed: 0 },
    begins(share: number, most: number) {
      if (underWay >= most || random() >= share) return false;
      underWay++;
      mirrored.sent++;
      return true;
    },
    ended(failed: boolean) {
      underWay--;
      if (failed) mirrored.failed++;
    },
  };
  return mirrored;
}

function pick(bench: Bench, { key, avoid }: Choice): Placed | null {
  const { canary, endpoints, clock } = bench;
  const now = clock.now();
  if (canary && !avoid.has(canary.endpoint.id) && canary.watch.takes()) {
    const placed = canary.endpoint.enter(now);
    if (placed) return placed;
  }
  if (endpoints.length === 1) return endpoints[0]?.enter(now) ?? null;
  weigh(bench, now);
  const fresh = (i: number) => isGood(i, bench, now) && !avoid.has(endpoints[i]?.id ?? '');
  const good = (i: number) => isGood(i, bench, now);
  const open = (i: number) => endpoints[i]?.allows(now) === true;
  // The fewer are left, the less is asked of them: one that is unwell may still answer, and one that failed may do so now.
  for (const isOpen of avoid.size === 0 ? [good, open] : [fresh, good, open]) {
    const placed = endpoints[bench.balancer.pick(isOpen, key)]?.enter(now);
    if (placed) return placed;
  }
  return null;
}

/** What has just come back gets its part by and by. */
function weigh({ policy, endpoints, outliers }: Bench, now: number): void {
  for (let i = 0; i < endpoints.length; i++) {
    const endpoint = endpoints[i] as Endpoint;
    endpoint.weight = (policy.places[i]?.weight ?? 1) * outliers.share(i, now);
    if (policy.balance === 'latency') endpoint.refresh(now);
  }
}

function isGood(index: number, { endpoints, outliers }: Bench, now: number): boolean {
  const endpoint = endpoints[index];
  return endpoint !== undefined && endpoint.allows(now) && endpoint.isWell(now) && !outliers.isOut(index, now);
}

function viewOf(endpoint: Endpoint, { endpoints, outliers, canary, clock }: Bench): EndpointView {
  const now = clock.now();
  const view = endpoint.view(now);
  const index = endpoints.indexOf(endpoint);
  if (canary?.endpoint === endpoint) {
    const watched = canary.watch.view();
    const why = watched.state === 'withdrawn' ? watched.why : view.why;
    return { ...view, role: 'canary', ...(watched.state === 'withdrawn' && { state: 'withdrawn', why }) };
  }
  if (index < 0) return view;
  const ejections = outliers.times(index);
  if (view.state !== 'closed' || !outliers.isOut(index, now)) return { ...view, ejections };
  return { ...view, ejections, state: 'ejected', why: 'it did worse than the others' };
}

/** Each with its reason: whoever reads it can tell which of them to look at. */
function refusalOf(unit: UnitId, endpoints: readonly Endpoint[], now: number): Fault {
  const views = endpoints.map((one) => one.view(now)).filter(({ state }) => state === 'open' || state === 'half-open');
  const waits = views.map(({ leftMs }) => leftMs ?? 0);
  const seconds = Math.max(1, Math.ceil(Math.min(...waits) / 1_000));
  const told = views.map(({ id, why }) => `${id === unit ? 'its instance' : id}: ${why}`).join('; ');
  return new Fault('CIRCUIT_OPEN', `${unit} is left alone for a moment, since it kept failing (${told}).`, {
    retryAfter: Number.isFinite(seconds) ? seconds : 1,
    details: { unit, upstreams: views.map(({ id, state, why }) => ({ id, state, why })) },
  });
}
