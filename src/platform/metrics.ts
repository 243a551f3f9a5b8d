import type { Counter, Histogram, Metrics } from '#observe/metrics';
import { severity } from '#runtime/pressure';
import { chargedOf, reservedOf, sum, waitersOf } from '#scheduler/state';
import type { EndpointView } from '#routing/endpoint';
import type { Pickers } from '#routing/pickers';
import type { Workers } from '#edge/workers/workers';
import type { Savings } from '#units/savings';
import type { ViewSources } from '#units/views';
import type { Reporter } from './reporter.ts';

const buckets = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300];

/** The platform's own metrics, read from the parts when someone asks. */
export function registerMetrics(
  metrics: Metrics,
  views: ViewSources,
  reporter: Reporter,
): { requests: Counter; seconds: Histogram } {
  const { state } = views;
  const one = (value: number) => [{ labels: [], value }];
  metrics.gauge('sutaz_memory_limit_bytes', 'The limit of the ledger.', [], () => one(state.limitBytes));
  metrics.gauge('sutaz_memory_reserved_bytes', 'Reserved by units.', [], () => one(sum(state, reservedOf)));
  metrics.gauge('sutaz_memory_charged_bytes', 'The larger of reserved and measured, summed.', [], () =>
    one(sum(state, chargedOf)),
  );
  metrics.gauge(
    'sutaz_memory_pressure',
    'What memory calls for: 0 nothing, 1 giving up frozen units, 2 idle ones, 3 also starting nothing.',
    [],
    () => one(severity(state.pressure)),
  );
  metrics.gauge('sutaz_unit_measured_bytes', 'Proportional set size of a unit.', ['unit'], () =>
    [...state.units.values()].flatMap(({ spec, measuredBytes }) =>
      measuredBytes === null ? [] : [{ labels: [spec.id], value: measuredBytes }],
    ),
  );
  registerAccounts(metrics, views);
  metrics.gauge('sutaz_unit_leases', 'Requests a unit serves now.', ['unit'], () =>
    [...state.units.values()].map(({ spec, leases }) => ({ labels: [spec.id], value: leases.size })),
  );
  metrics.gauge('sutaz_unit_waiters', 'Requests that wait for a unit.', ['unit'], () =>
    [...state.units.values()].map((unit) => ({ labels: [unit.spec.id], value: waitersOf(unit) })),
  );
  metrics.gauge('sutaz_unit_state', 'The state of a unit, as the label.', ['unit', 'state'], () =>
    [...state.units.values()].map(({ spec, phase }) => ({ labels: [spec.id, phase.kind], value: 1 })),
  );
  metrics.gauge(
    'sutaz_lifecycle_total',
    'What happened to units: start, ready, evict, stop, failed ...',
    ['type'],
    () => [...reporter.counts].map(([type, value]) => ({ labels: [type], value })),
  );
  metrics.gauge(
    'sutaz_prewarm_total',
    'Units brought up before anybody asked: asked for then, or not.',
    ['outcome'],
    () => [
      { labels: ['hit'], value: state.forecast.tally.hits },
      { labels: ['miss'], value: state.forecast.tally.misses },
    ],
  );
  metrics.gauge(
    'sutaz_prewarm_byte_seconds_total',
    'Free memory taken for what nobody had asked for yet, times the seconds until somebody did or it was given back.',
    [],
    () => one(state.forecast.tally.byteMs / 1_000),
  );
  metrics.gauge('process_resident_memory_bytes', 'Resident memory of the platform.', [], () =>
    one(process.memoryUsage.rss()),
  );
  return {
    requests: metrics.counter('sutaz_http_requests_total', 'Requests by kind of path and status.', ['path', 'status']),
    seconds: metrics.histogram(
      'sutaz_http_seconds',
      'Time from the request to the end of its answer.',
      ['path'],
      buckets,
    ),
  };
}

/** What was spared against keeping everything awake that was used at least once; kept over restarts. */
export function registerSavings(metrics: Metrics, savings: Pick<Savings, 'report'>): void {
  const one = (value: number) => [{ labels: [], value }];
  metrics.gauge(
    'sutaz_memory_spared_byte_seconds',
    'Bytes spared against always-on, times the seconds that the platform ran; it falls while units hold more.',
    [],
    () => one(savings.report().sparedByteSeconds),
  );
  metrics.gauge('sutaz_memory_always_on_bytes', 'What the units used so far would hold if all were awake.', [], () =>
    one(savings.report().alwaysOnBytes),
  );
}

/** Where requests went, and what is left alone. */
export function registerUpstreams(metrics: Metrics, pickers: Pick<Pickers, 'views'>): void {
  const each = (value: (upstream: EndpointView) => number) => () =>
    pickers
      .views()
      .flatMap(({ unit, upstreams }) => upstreams.map((one) => ({ labels: [unit, one.id], value: value(one) })));
  const labels = ['unit', 'upstream'];
  metrics.gauge(
    'sutaz_upstream_requests',
    'Requests that are under way there.',
    labels,
    each((one) => one.inFlight),
  );
  metrics.gauge(
    'sutaz_upstream_picks_total',
    'Requests that were sent there.',
    labels,
    each((one) => one.picks),
  );
  metrics.gauge(
    'sutaz_upstream_failures_total',
    'Of those, what failed there.',
    labels,
    each((one) => one.failures),
  );
  metrics.gauge(
    'sutaz_upstream_ejections_total',
    'Times that it did worse than the others.',
    labels,
    each((one) => one.ejections),
  );
  metrics.gauge('sutaz_upstream_state', 'Its state, as the label.', [...labels, 'state'], () =>
    pickers
      .views()
      .flatMap(({ unit, upstreams }) => upstreams.map(({ id, state }) => ({ labels: [unit, id, state], value: 1 }))),
  );
  metrics.gauge('sutaz_mirrored_total', 'Copies of requests that went to a mirror.', ['unit'], () =>
    pickers.views().map(({ unit, mirrored }) => ({ labels: [unit], value: mirrored.sent })),
  );
  metrics.gauge('sutaz_retries_total', 'Requests of a unit that were tried again.', ['unit'], () =>
    pickers.views().map(({ unit, retries }) => ({ labels: [unit], value: retries })),
  );
}

/** Beside main memory: the graphics cards and the processor. */
function registerAccounts(metrics: Metrics, { state }: ViewSources): void {
  metrics.gauge('sutaz_gpu_limit_bytes', 'What units may hold on a graphics card.', ['device'], () =>
    [...state.devices].map(([id, { limitBytes }]) => ({ labels: [id], value: limitBytes })),
  );
  metrics.gauge(
    'sutaz_gpu_charged_bytes',
    'The larger of reserved and measured on a graphics card, summed.',
    ['device'],
    () => [...state.devices].map(([id, { charged }]) => ({ labels: [id], value: charged })),
  );
  metrics.gauge(
    'sutaz_unit_gpu_measured_bytes',
    'What a unit is measured to hold on a graphics card.',
    ['unit', 'device'],
    () =>
      [...state.units.values()].flatMap(({ spec, card: { held, measured } }) =>
        held === null || measured === null ? [] : [{ labels: [spec.id, held.device], value: measured }],
      ),
  );
  metrics.gauge('sutaz_threads_busy', 'Threads of the units that compute now.', [], () => [
    { labels: [], value: state.cores.busy },
  ]);
  metrics.gauge('sutaz_threads_waiting_units', 'Ready units that wait for the processor.', [], () => [
    { labels: [], value: state.cores.waiting.size },
  ]);
}

/** What each worker has, by its number; nothing where there are none. */
export function registerWorkers(metrics: Metrics, list: () => ReturnType<Workers['list']>): void {
  const each = (value: (worker: ReturnType<Workers['list']>[number]) => number) => () =>
    list().map((worker, i) => ({ labels: [String(i + 1)], value: value(worker) }));
  const labels = ['worker'];
  metrics.gauge(
    'sutaz_worker_process_id',
    'The process of a worker.',
    labels,
    each(({ pid = 0 }) => pid),
  );
  metrics.gauge(
    'sutaz_worker_connections',
    'Connections that speak TLS with it.',
    labels,
    each(({ open }) => open),
  );
  metrics.gauge(
    'sutaz_worker_answers',
    'Answers whose rest it passes on.',
    labels,
    each(({ relays }) => relays),
  );
  metrics.gauge(
    'sutaz_worker_bytes_total',
    'Bytes of those, as it told.',
    labels,
    each(({ bytes }) => bytes),
  );
}
