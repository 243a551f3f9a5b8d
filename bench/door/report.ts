import { median } from '../_options.ts';

/** What was measured of one target in one round. */
export interface Figures {
  readonly perSecond: number;
  /** Microseconds of processor time for each request, and for each event of a stream. */
  readonly cpuUs: number;
  readonly cpuUsEvent?: number;
  /** Microseconds of a request on one connection. */
  readonly p50: number;
  readonly p99: number;
  /** Milliseconds to the first byte of a hundred streams, and that events were under way. */
  readonly firstMs?: number;
  readonly lagMs?: number;
}

type Round = Readonly<Record<string, Figures>>;

interface Goal {
  readonly name: string;
  /** Null where it was not measured. */
  readonly value: number | null;
  readonly goal: number;
  readonly atLeast: boolean;
  readonly met: boolean | null;
}

/** The middle of the rounds' own ratios, so that what slows one round slows both of its sides. */
const over = (rounds: readonly Round[], value: (round: Round) => number): number =>
  median(rounds.map(value).filter((one) => !Number.isNaN(one)));

const ratio = (rounds: readonly Round[], from: string, to: string, key: keyof Figures): number =>
  over(rounds, (round) => (round[from]?.[key] ?? NaN) / (round[to]?.[key] ?? NaN));

/** What a target adds to a request that goes straight to the upstream, against what another adds. */
const added = (rounds: readonly Round[], key: 'p50' | 'p99'): number => {
  const of = (round: Round, name: string) => (round[name]?.[key] ?? NaN) - (round.direct?.[key] ?? NaN);
  return over(rounds, (round) => of(round, 'door') / of(round, 'nginx'));
};

export function goalsOf(rounds: readonly Round[], memories: Readonly<Record<string, number>>): Goal[] {
  const goal = (name: string, value: number, bound: number, atLeast = false): Goal => {
    const known = Number.isFinite(value);
    const met = atLeast ? value >= bound : value <= bound;
    return { name, value: known ? value : null, goal: bound, atLeast, met: known ? met : null };
  };
  return [
    goal("requests a second / nginx's", ratio(rounds, 'door', 'nginx', 'perSecond'), 0.35, true),
    goal("requests a second / Portkey's", ratio(rounds, 'door', 'portkey', 'perSecond'), 30, true),
    goal(
      "requests a second for what is kept / the static answer's",
      ratio(rounds, 'hit', 'static', 'perSecond'),
      0.75,
      true,
    ),
    goal("processor time a request / nginx's", ratio(rounds, 'door', 'nginx', 'cpuUs'), 2.8),
    goal("added latency, one connection, p50 / nginx's", added(rounds, 'p50'), 2),
    goal("added latency, one connection, p99 / nginx's", added(rounds, 'p99'), 2.5),
    goal("processor time an event / nginx's", ratio(rounds, 'door', 'nginx', 'cpuUsEvent'), 1.4),
    goal("first byte, 100 streams at once, p50 / nginx's", ratio(rounds, 'door', 'nginx', 'firstMs'), 1.5),
    goal(
      'lag of an event at 10 ms, p99, ms',
      over(rounds, ({ door }) => door?.lagMs ?? NaN),
      3,
    ),
    goal('memory a stream, 1000 streams, KB', memories.door ?? NaN, 60),
  ];
}

const columns: readonly (readonly [string, keyof Figures, number])[] = [
  ['requests/s', 'perSecond', 0],
  ['CPU us/request', 'cpuUs', 1],
  ['p50 us', 'p50', 0],
  ['p99 us', 'p99', 0],
  ['CPU us/event', 'cpuUsEvent', 1],
  ['first byte ms', 'firstMs', 1],
  ['lag p99 ms', 'lagMs', 2],
];

const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

export function print(
  rounds: readonly Round[],
  memories: Readonly<Record<string, number>>,
  goals: readonly Goal[],
): void {
  console.log(row(['median', ...columns.map(([title]) => title), 'KB/stream']));
  console.log(row(['---', ...columns.map(() => '--:'), '--:']));
  const text = (value: number | undefined, digits: number) =>
    value === undefined || Number.isNaN(value) ? '' : value.toFixed(digits);
  for (const name of Object.keys(rounds[0] ?? {})) {
    const values = columns.map(([, key, digits]) =>
      text(
        over(rounds, (round) => round[name]?.[key] ?? NaN),
        digits,
      ),
    );
    console.log(row([name, ...values, text(memories[name], 1)]));
  }
  console.log(`\n${row(['goal', 'measured', 'wanted', ''])}\n${row(['---', '--:', '--:', '---'])}`);
  for (const { name, value, goal, atLeast, met } of goals) {
    const verdict = met === null ? 'not measured' : met ? 'met' : 'missed';
    console.log(row([name, value?.toFixed(2) ?? '', `${atLeast ? '>=' : '<='} ${goal}`, verdict]));
  }
}
