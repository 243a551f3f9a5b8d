/**
 * What choosing an upstream and being ready to try again cost while nothing fails, in nanoseconds of the processor a request:
 * `npm run bench:upstreams [-- --json]`. Medians of several rounds, since the machine does other things as well.
 */
import { parseArgs } from 'node:util';
import { systemClock } from '#kernel/clock';
import { unitId } from '#kernel/ids';
import { createBreaker, defaultBreaker } from '#resilience/breaker';
import { defaultOutlier } from '#resilience/outlier';
import { balances } from '#resilience/balance';
import type { Balance } from '#resilience/balance';
import { withTries } from '#edge/attempts';
import type { Exchange } from '#edge/exchange';
import { createPicker } from '#routing/picker';
import type { Picker } from '#routing/picker';
import { localPolicy } from '#routing/policy';
import type { Place, Policy } from '#routing/policy';
import type { Waker } from '#routing/wake';

const unit = unitId('service', 'x');
const clock = systemClock;
const placeAt = (n: number): Place => {
  const url = `http://10.0.0.${n}:8000`;
  return { url, weight: 1, target: { origin: url, basePath: '', key: null } };
};
const pickerOf = (places: number, balance: Balance = 'least-requests'): Picker => {
  const policy: Policy = {
    ...{ ...localPolicy, failing: new Set([502, 503, 504]), outliers: defaultOutlier, hashBy: 'key', balance },
    ...{
      places: Array.from({ length: places }, (_, n) => placeAt(n)),
      health: null,
      canary: null,
      mirror: null,
      hedge: null,
    },
  };
  return createPicker({ unit, policy, clock });
};

const rounds = 9;
const count = 100_000;
/** Time of the processor, and not of the clock: it is less disturbed by what else the machine does. */
function cpuNs(from: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(from);
  return (user + system) * 1_000;
}
const median = (values: number[]): number => Math.round(values.sort((a, b) => a - b)[values.length >> 1] ?? 0);

function measure(run: (n: number) => void): number {
  return median(
    Array.from({ length: rounds }, () => {
      const from = process.cpuUsage();
      for (let n = 0; n < count; n++) run(n);
      return cpuNs(from) / count;
    }),
  );
}

async function measureAsync(run: () => Promise<unknown>): Promise<number> {
  const seen: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const from = process.cpuUsage();
    for (let n = 0; n < count; n++) await run();
    seen.push(cpuNs(from) / count);
  }
  return median(seen);
}

function breaker(): number {
  const one = createBreaker(defaultBreaker);
  return measure((n) => one.settle(one.enter(n), 'ok', n));
}

/** A place is chosen, answers at once, and is told so. */
function picking(places: number, balance?: Balance): number {
  const picker = pickerOf(places, balance);
  const choices = Array.from({ length: 64 }, (_, n) => ({ key: `key ${n}`, avoid: new Set<string>() }));
  return measure((n) => {
    const placed = picker.pick(choices[n & 63] as (typeof choices)[number]);
    placed.answered(1);
    placed.settle('ok');
  });
}

/** All that a request passes through beside its sending, and the same with none of it. */
async function trying(): Promise<{ readonly ours: number; readonly bare: number }> {
  const picker = pickerOf(0);
  const target = { origin: 'http://127.0.0.1:1', basePath: '', key: null };
  const waker = { picker: () => picker } as unknown as Waker;
  const exchange = { signal: new AbortController().signal, answered: false } as unknown as Exchange;
  const asked = { unit, repeatable: true, idempotent: true };
  const sent = () => Promise.resolve();
  const ours = await measureAsync(() =>
    withTries(exchange, asked, { waker, clock }, async (attempt) => {
      attempt.at(picker.at(unit, target) as NonNullable<ReturnType<Picker['at']>>);
      attempt.head(200, () => undefined);
      await sent();
    }),
  );
  return { ours, bare: await measureAsync(async () => sent()) };
}

const { ours, bare } = await trying();
const figures: Record<string, number> = {
  'breaker: enter and settle': breaker(),
  'one place: pick and settle': picking(1),
  ...Object.fromEntries(balances.map((one) => [`three places, ${one}: pick and settle`, picking(3, one)])),
  'thirty places, least-requests: pick and settle': picking(30),
  'a request with breaker, budget and tries': ours,
  'the same with none of them': bare,
};

const { values } = parseArgs({ options: { json: { type: 'boolean', default: false } } });
if (values.json) console.log(JSON.stringify({ unit: 'ns', figures }));
else for (const [what, ns] of Object.entries(figures)) console.log(`${String(ns).padStart(9)} ns  ${what}`);
