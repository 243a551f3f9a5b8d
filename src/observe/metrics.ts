/** Labels of one series, in the order of the metric's names. */
type Labels = readonly string[];

export interface Counter {
  add(labels: Labels, by?: number): void;
}

export interface Histogram {
  observe(labels: Labels, value: number): void;
}

export interface Metrics {
  counter(name: string, help: string, labels: readonly string[]): Counter;
  /** Values that are read when someone asks, rather than kept. One whose name ends in `_total` only grows: a counter, as Prometheus takes it. */
  gauge(
    name: string,
    help: string,
    labels: readonly string[],
    read: () => Iterable<{ labels: Labels; value: number }>,
  ): void;
  /** `buckets` are upper bounds, ascending; the unbounded one is added. */
  histogram(name: string, help: string, labels: readonly string[], buckets: readonly number[]): Histogram;
  /** The text format of Prometheus, version 0.0.4. */
  render(): string;
}

interface Metric {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  lines(): string[];
}

/** Metrics in memory. A counter costs a Map look-up; nothing is rendered until someone asks. */
export function createMetrics(): Metrics {
  const metrics: Metric[] = [];
  return {
    counter(name, help, names) {
      const series = new Map<string, { readonly labels: Labels; value: number }>();
      metrics.push({
        name,
        help,
        type: 'counter',
        lines: () => [...series.values()].map(({ labels, value }) => `${name}${braces(names, labels)} ${value}`),
      });
      return {
        add(labels, by = 1) {
          const key = labels.join('\0');
          const one = series.get(key);
          if (one) one.value += by;
          else series.set(key, { labels, value: by });
        },
      };
    },
    gauge(name, help, names, read) {
      const lines = () => [...read()].map(({ labels, value }) => `${name}${braces(names, labels)} ${value}`);
      metrics.push({ name, help, type: name.endsWith('_total') ? 'counter' : 'gauge', lines });
    },
    histogram(name, help, names, buckets) {
      const series = new Map<string, { labels: Labels; counts: number[]; sum: number; count: number }>();
      const lines = () => [...series.values()].flatMap((one) => histogramLines(name, names, buckets, one));
      metrics.push({ name, help, type: 'histogram', lines });
      return {
        observe(labels, value) {
          const key = labels.join('\0');
          let one = series.get(key);
          if (!one) series.set(key, (one = { labels, counts: buckets.map(() => 0), sum: 0, count: 0 }));
          const slot = buckets.findIndex((bound) => value <= bound);
          if (slot >= 0) one.counts[slot] = (one.counts[slot] ?? 0) + 1;
          one.sum += value;
          one.count++;
        },
      };
    },
    render: () =>
      metrics
        .flatMap(({ name, help, type, lines }) => [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines()])
        .join('\n') + '\n',
  };
}

function histogramLines(
  name: string,
  names: readonly string[],
  buckets: readonly number[],
  { labels, counts, sum, count }: { labels: Labels; counts: readonly number[]; sum: number; count: number },
): string[] {
  let cumulative = 0;
  const bucketNames = [...names, 'le'];
  const rows = buckets.map((bound, i) => {
    cumulative += counts[i] ?? 0;
    return `${name}_bucket${braces(bucketNames, [...labels, String(bound)])} ${cumulative}`;
  });
  return [
    ...rows,
    `${name}_bucket${braces(bucketNames, [...labels, '+Inf'])} ${count}`,
    `${name}_sum${braces(names, labels)} ${sum}`,
    `${name}_count${braces(names, labels)} ${count}`,
  ];
}

function braces(names: readonly string[], labels: Labels): string {
  if (names.length === 0) return '';
  return `{${names.map((name, i) => `${name}="${escape(labels[i] ?? '')}"`).join(',')}}`;
}

const escape = (value: string): string => value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
