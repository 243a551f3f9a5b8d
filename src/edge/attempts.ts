import { sleep } from '#kernel/abort';
import type { Clock } from '#kernel/clock';
import { Fault, toFault } from '#kernel/faults';
import type { UnitId } from '#kernel/ids';
import { retryAfterMs } from '#resilience/retry';
import type { Failure, Situation } from '#resilience/retry';
import type { Outcome } from '#resilience/breaker';
import type { Hedges } from '#resilience/hedge';
import type { Placed } from '#routing/endpoint';
import type { Choice, Picker } from '#routing/picker';
import type { Waker } from '#routing/wake';
import type { Exchange } from './exchange.ts';
import { Unreached } from './transport/unreached.ts';
import { patienceOf } from './patience.ts';
import type { Patience } from './patience.ts';

/** What is sent, as far as trying it again depends on it. */
export interface Asked {
  readonly unit: UnitId;
  /** Whether its body can be sent again. */
  readonly repeatable: boolean;
  /** Whether doing it twice does no more than doing it once. */
  readonly idempotent: boolean;
  /** What a hash goes by, where the unit's places are chosen by one. */
  readonly key?: string | null;
  /** Whether it only reads and has no body: then a second place may be asked beside the first. */
  readonly read?: boolean;
  /** Something else answers when this fails: a failure is thrown, and not passed on as its answer. */
  readonly more?: boolean;
}

/** One try of a request. The functions are to be called as it goes on. */
export interface Attempt {
  /** Aborts when the client leaves, or when the time is up. */
  readonly signal: AbortSignal;
  readonly choice: Choice;
  /** Milliseconds of silence in the middle of an answer after which it is given up. */
  readonly idleMs: number;
  /** It goes there now. */
  at(placed: Placed): void;
  /** Its answer begins. Throws when it is not to be passed on: another try takes its place, or a failure is told. */
  head(status: number, header: (name: string) => string | undefined): void;
  /** A piece of its answer has come, or may come again. */
  data(): void;
  /** Nothing more is taken from it for now, since the client is behind. */
  held(): void;
}

export interface TryDeps {
  readonly waker: Waker;
  readonly clock: Clock;
}

/**
 * Sends a request, and sends it again where that is safe and worth it: before anything of an answer went to the client, within
 * the unit's budget and time, elsewhere if there is another place. Each try takes and gives back its own lease; each tells
 * the place that it went to what became of it. The client's leaving ends whichever is under way.
 */
export async function withTries<T>(
  exchange: Exchange,
  asked: Asked,
  { waker, clock }: TryDeps,
  once: (attempt: Attempt) => Promise<T>,
): Promise<T> {
  const picker = waker.picker(asked.unit);
  picker.retries.began(clock.now());
  const course: Course = { exchange, asked, picker, clock, tried: 0, avoid: new Set(), since: null };
  for (;;) {
    const { hedges } = picker;
    const hedged = hedges !== null && asked.read === true;
    const ended = await (hedged ? hedge(course, once, hedges) : run(begin(course), once));
    if (ended.done) return ended.result;
    if (ended.afterMs === null || waker.wasStopped(asked.unit)) throw ended.error;
    picker.retried();
    if (ended.afterMs > 0) await sleep(clock, ended.afterMs, exchange.signal);
  }
}

type Ended<T> =
  | { readonly done: true; readonly result: T }
  | { readonly done: false; readonly error: unknown; readonly afterMs: number | null };

async function run<T>({ attempt, end }: Begun, once: (attempt: Attempt) => Promise<T>): Promise<Ended<T>> {
  try {
    const result = await once(attempt);
    end(null);
    return { done: true, result };
  } catch (error) {
    return { done: false, error, afterMs: end(error) };
  }
}

/** Two tries at once: the one whose answer begins first is heard, and the other is ended. */
interface Race {
  winner: Attempt | null;
  readonly leavers: Map<Attempt, AbortController>;
}

/** Asks a second place when the first one takes longer than nearly all did before. */
async function hedge<T>(course: Course, once: (attempt: Attempt) => Promise<T>, hedges: Hedges): Promise<Ended<T>> {
  const { clock, picker } = course;
  const race: Race = { winner: null, leavers: new Map() };
  const first = begin(course, race);
  const one = run(first, once);
  const afterMs = hedges.afterMs(clock.now());
  if (afterMs === null) return one;
  const late = Promise.withResolvers<'late'>();
  const cancel = clock.after(afterMs, () => late.resolve('late'));
  const isLate = (await Promise.race([one, late.promise])) === 'late';
  cancel();
  if (!isLate || race.winner || !picker.hasOther(course.avoid) || !hedges.take(clock.now())) return one;
  const second = begin(course, race);
  const ended = await Promise.all([one, run(second, once)]);
  return race.winner === second.attempt ? ended[1] : ended[0];
}

/** A request over all of its tries. */
interface Course {
  readonly exchange: Exchange;
  readonly asked: Asked;
  readonly picker: Picker;
  readonly clock: Clock;
  /** Tries that reached a place. */
  tried: number;
  readonly avoid: Set<string>;
  /** When the first of them went out. */
  since: number | null;
}

/** Thrown in place of an answer that another try makes up for. */
class Replaced extends Fault {
  readonly afterMs: number;
  constructor(afterMs: number, status: number) {
    super('UPSTREAM_FAILED', `It answered with ${status}.`, { source: 'upstream' });
    this.afterMs = afterMs;
  }
}

interface Begun {
  readonly attempt: Attempt;
  /** It is over; says after how many milliseconds it is tried again, null for not. */
  end(error: unknown): number | null;
}

function begin(course: Course, race: Race | null = null): Begun {
  const { exchange, asked, picker, clock } = course;
  const { policy, retries } = picker;
  const leaver = race && new AbortController();
  const signal = leaver ? AbortSignal.any([exchange.signal, leaver.signal]) : exchange.signal;
  const patience: Patience = patienceOf(signal, clock, policy.timeouts);
  let placed: Placed | null = null;
  let sentAt = 0;
  let begun = false;
  let outcome: Outcome = 'ok';
  let why = '';
  const again = (failure: Failure): number | null => {
    const decision = retries.decide(failure, situationOf(course), clock.now());
    return decision.retry ? decision.afterMs : null;
  };
  const attempt: Attempt = {
    signal: patience.signal,
    choice: { key: asked.key ?? null, avoid: course.avoid },
    idleMs: policy.timeouts.idleMs,
    at(where) {
      placed = where;
      sentAt = clock.now();
      course.since ??= sentAt;
      course.tried++;
      course.avoid.add(where.id);
      patience.begins(asked.unit, course.since);
    },
    head(status, header) {
      if (race?.winner) throw new Fault('CANCELLED', 'Another place answered first.');
      const pauseMs = status === 429 || status === 503 ? retryAfterMs(header('retry-after'), clock.wall()) : null;
      if (policy.failing.has(status) || pauseMs !== null) {
        [outcome, why] = [pauseMs === null ? 'failed' : 'loading', `it answered with ${status}`];
        if (pauseMs !== null) placed?.rest(pauseMs);
        const afterMs = again({ kind: 'status', status, retryAfterMs: pauseMs });
        if (afterMs !== null) throw new Replaced(afterMs, status);
      } else {
        placed?.answered(clock.now() - sentAt);
        picker.hedges?.observe(clock.now() - sentAt);
      }
      if (race) win(race, attempt);
      if (asked.more === true && (status >= 500 || status === 429)) throw refused(asked.unit, status, pauseMs);
      exchange.answered = begun = true;
      patience.answered();
    },
    data: patience.data,
    held: patience.held,
  };
  if (race && leaver) race.leavers.set(attempt, leaver);
  return {
    attempt,
    end(error) {
      patience.end();
      if (error === null) placed?.settle(outcome, why);
      if (error === null || placed === null) return null;
      if (error instanceof Replaced || outcome !== 'ok') placed.settle(outcome, why);
      else placed.settle(outcomeOf(error, begun), toFault(error).message);
      if (error instanceof Replaced) return error.afterMs;
      const failure = begun || exchange.answered || exchange.signal.aborted ? null : failureOf(error);
      return failure && again(failure);
    },
  };
}

function win(race: Race, winner: Attempt): void {
  race.winner = winner;
  for (const [attempt, leaver] of race.leavers)
    if (attempt !== winner) leaver.abort(new Fault('CANCELLED', 'Another place answered first.'));
}

const situationOf = ({ asked, picker, clock, tried, avoid, since }: Course): Situation => ({
  ...{ tried, repeatable: asked.repeatable, idempotent: asked.idempotent },
  leftMs: picker.policy.timeouts.totalMs - (since === null ? 0 : clock.now() - since),
  elsewhere: picker.hasOther(avoid),
});

const refused = (unit: UnitId, status: number, pauseMs: number | null): Fault =>
  new Fault('UPSTREAM_FAILED', `${unit} answered with ${status}.`, {
    source: 'upstream',
    ...(pauseMs !== null && { retryAfter: pauseMs / 1_000 }),
  });

/** What an error says of the upstream. A fault of ours, or of the client's, says nothing. */
export function outcomeOf(error: unknown, begun: boolean): Outcome {
  const { code, source } = toFault(error);
  // An answer of its own, which refuses.
  if (source === 'upstream' && begun) return 'ok';
  return source === 'gateway' && (code === 'UPSTREAM_FAILED' || code === 'TIMEOUT') ? 'failed' : 'left';
}

/** Null for what no other try can make good. */
function failureOf(error: unknown): Failure | null {
  if (outcomeOf(error, false) !== 'failed') return null;
  return { kind: wasReached(error) ? 'broken' : 'unreached' };
}

const wasReached = (error: unknown): boolean => !(error instanceof Fault && error.cause instanceof Unreached);

const idempotent: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);

/** RFC 9110, section 9.2.2. */
export const isIdempotent = (method: string): boolean => idempotent.has(method);
