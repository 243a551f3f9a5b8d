import { formatBytes } from '#kernel/quantities';
import type { Outcome } from './load.ts';
import type { alwaysOn } from './plan.ts';
import type { Sample } from './watch.ts';

export interface Facts {
  readonly limitBytes: number;
  readonly outcomes: readonly Outcome[];
  readonly samples: readonly Sample[];
  readonly counts: ReadonlyMap<string, number>;
  /** Ends and failed starts that nobody asked for, as they were told. */
  readonly unasked: readonly string[];
  /** Kills by the kernel for want of memory, on this machine and in its cgroup. Null where neither can be read. */
  readonly kernelKills: number | null;
  /** What was found after everything had been stopped. */
  readonly left: readonly string[];
  readonly alwaysOn: ReturnType<typeof alwaysOn>;
}

const quantile = (numbers: readonly number[], q: number): number | null => {
  const at = [...numbers].sort((a, b) => a - b)[Math.ceil(q * numbers.length) - 1];
  return at === undefined ? null : Math.round(at);
};

/**
 * Samples in which more was used than the limit by more than one step's growth: those that were above it in the step
 * before, too. Growth within one step cannot be relieved by who looks once a step.
 */
export const breaches = (samples: readonly Sample[], limitBytes: number): readonly Sample[] =>
  samples.filter(({ pssBytes }, i) => {
    const growth = Math.max(0, pssBytes - (samples[i - 1]?.pssBytes ?? 0));
    return pssBytes - limitBytes > growth;
  });

export function result(facts: Facts) {
  const { outcomes, samples, limitBytes, counts, unasked, kernelKills, left } = facts;
  const waits = outcomes.map(({ waitMs }) => waitMs).filter((ms) => !Number.isNaN(ms));
  const of = (kind: Outcome['kind']) => outcomes.filter((outcome) => outcome.kind === kind);
  const broken = breaches(samples, limitBytes);
  const killed = unasked.filter((told) => /SIGKILL|killed by the kernel/.test(told));
  const count = (type: string) => counts.get(type) ?? 0;
  return {
    requests: outcomes.length,
    whole: of('whole').length,
    errors: of('error').length,
    cut: of('cut').length,
    waitMs: {
      p50: quantile(waits, 0.5),
      p95: quantile(waits, 0.95),
      p99: quantile(waits, 0.99),
      max: quantile(waits, 1),
    },
    coldStarts: count('start'),
    thaws: count('thaw'),
    freezes: count('freeze'),
    evictions: count('evict'),
    stops: count('stop'),
    failedStarts: count('failed'),
    endsNotAskedFor: unasked.length,
    killedNotAskedFor: killed.length,
    kernelKills,
    limitBytes,
    pssBytes: {
      mean: Math.round(samples.reduce((sum, { pssBytes }) => sum + pssBytes, 0) / Math.max(1, samples.length)),
      max: Math.max(0, ...samples.map(({ pssBytes }) => pssBytes)),
    },
    maxReservedBytes: Math.max(0, ...samples.map(({ reservedBytes }) => reservedBytes)),
    samples: samples.length,
    longestStepMs: Math.round(Math.max(0, ...samples.map(({ at }, i) => at - (samples[i - 1]?.at ?? at)))),
    samplesAboveLimit: samples.filter(({ pssBytes }) => pssBytes > limitBytes).length,
    breaches: broken.length,
    mostProcesses: Math.max(0, ...samples.map(({ processes }) => processes)),
    leftBehind: left.length,
    alwaysOn: { ...facts.alwaysOn, measuredBytes: measuredOf(samples) },
  };
}

export type Result = ReturnType<typeof result>;

/** The largest size each service was seen at, summed: what those that ran would hold if all of them ran on. */
function measuredOf(samples: readonly Sample[]): number {
  const largest = new Map<string, number>();
  for (const { byService } of samples) {
    for (const [service, bytes] of byService) largest.set(service, Math.max(bytes, largest.get(service) ?? 0));
  }
  return [...largest.values()].reduce((sum, bytes) => sum + bytes, 0);
}

/** What was promised and did not hold, as sentences. Empty when all did. */
export function brokenPromises(of: Result, facts: Facts): string[] {
  const wrong = (kind: Outcome['kind']) =>
    facts.outcomes
      .filter((outcome) => outcome.kind === kind)
      .slice(0, 5)
      .map(({ arrival, waitMs, totalMs, message }) => {
        const begun = Number.isNaN(waitMs) ? '' : `begun after ${Math.round(waitMs)} ms, `;
        return `\n    ${arrival.service} at ${Math.round(arrival.at)} ms: ${begun}ended after ${Math.round(totalMs)} ms: ${message}`;
      })
      .join('');
  const told = (lines: readonly string[]) =>
    lines
      .slice(0, 5)
      .map((line) => `\n    ${line}`)
      .join('');
  const worst = breaches(facts.samples, facts.limitBytes).map(describe);
  return [
    ...(of.errors > 0 ? [`${of.errors} requests were answered with an error${wrong('error')}`] : []),
    ...(of.cut > 0 ? [`${of.cut} answers were cut${wrong('cut')}`] : []),
    ...(of.breaches > 0
      ? [`more was used than the limit for longer than a step, ${of.breaches} times${told(worst)}`]
      : []),
    ...(of.kernelKills ? [`the kernel killed ${of.kernelKills} processes`] : []),
    ...(of.endsNotAskedFor > 0
      ? [`${of.endsNotAskedFor} starts failed or instances ended that nobody stopped${told(facts.unasked)}`]
      : []),
    ...(of.leftBehind > 0 ? [`something was left behind${told(facts.left)}`] : []),
  ];
}

const describe = ({ at, pssBytes, reservedBytes, measuredBytes, states }: Sample): string =>
  `at ${Math.round(at)} ms: ${formatBytes(pssBytes)} used, the ledger says ${formatBytes(reservedBytes)} reserved and ` +
  `${formatBytes(measuredBytes)} measured (${Object.entries(states)
    .map(([state, count]) => `${count} ${state}`)
    .join(', ')})`;

const seconds = (ms: number | null): string => (ms === null ? '-' : `${(ms / 1000).toFixed(2)} s`);

export function table(of: Result): string {
  const { alwaysOn, pssBytes, waitMs } = of;
  const rows: readonly (readonly [string, string])[] = [
    ['requests, answered whole', `${of.requests}, ${of.whole}`],
    ['errors, cut answers', `${of.errors}, ${of.cut}`],
    ['wait for the first byte, p50 / p95', `${seconds(waitMs.p50)} / ${seconds(waitMs.p95)}`],
    ['p99 / longest', `${seconds(waitMs.p99)} / ${seconds(waitMs.max)}`],
    ['cold starts, thaws', `${of.coldStarts}, ${of.thaws}`],
    ['evictions, freezes', `${of.evictions}, ${of.freezes}`],
    ['ends nobody asked for, of them killed', `${of.endsNotAskedFor}, ${of.killedNotAskedFor}`],
    ['kills by the kernel', of.kernelKills === null ? 'cannot be read here' : String(of.kernelKills)],
    ['limit', formatBytes(of.limitBytes)],
    ['used (sum of PSS), mean / most', `${formatBytes(pssBytes.mean)} / ${formatBytes(pssBytes.max)}`],
    ['reserved, most', formatBytes(of.maxReservedBytes)],
    ['samples, above the limit, longer than a step', `${of.samples}, ${of.samplesAboveLimit}, ${of.breaches}`],
    ['longest step between samples', `${of.longestStepMs} ms`],
    ['most processes at once', String(of.mostProcesses)],
    ['left behind', String(of.leftBehind)],
    ['always on: services that must run', `${alwaysOn.askedAtLeastOnce} of ${alwaysOn.services}`],
    ['always on: held by those, as stated', formatBytes(alwaysOn.heldBytesOfThose)],
    ['always on: held by those, as measured here', formatBytes(alwaysOn.measuredBytes)],
    [`always on: running within ${formatBytes(of.limitBytes)}`, String(alwaysOn.runningWithinLimit)],
    ['always on: requests for the others', `${alwaysOn.requestsForTheOthers} of ${alwaysOn.requests}`],
  ];
  return ['| | |', '| --- | --- |', ...rows.map(([what, value]) => `| ${what} | ${value} |`)].join('\n');
}
