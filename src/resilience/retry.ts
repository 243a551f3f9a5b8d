import { createRolling } from './rolling.ts';

export interface RetrySettings {
  /** Tries of one request, the first among them. */
  readonly tries: number;
  /** Retries as a share of the requests within ten seconds. */
  readonly budget: number;
  /** So many retries within ten seconds are let through in any case: a caller who is alone has no share to speak of. */
  readonly reserve: number;
  /** Milliseconds before a second try at the same place, at most; doubled each time, up to `mostMs`. */
  readonly firstMs: number;
  readonly mostMs: number;
  /** Milliseconds for which a `Retry-After` is waited here; a longer one is the client's to obey. */
  readonly patienceMs: number;
}

export const defaultRetry: RetrySettings = {
  // As many as a place may fail before its breaker opens: else one that dies costs those who are few an answer.
  ...{ tries: 3, budget: 0.2, reserve: 5 },
  ...{ firstMs: 50, mostMs: 1_000, patienceMs: 2_000 },
};

/** Why a try came to nothing, before anything of its answer went to the client. */
export type Failure =
  /** It was never reached: no byte of the request was sent. */
  | { readonly kind: 'unreached' }
  /** It may have begun to work: the connection broke, the answer was none, or none came in time. */
  | { readonly kind: 'broken' }
  | { readonly kind: 'status'; readonly status: number; readonly retryAfterMs: number | null };

export interface Situation {
  /** Tries so far. */
  readonly tried: number;
  /** Whether its body can be sent again. */
  readonly repeatable: boolean;
  /** Whether doing it twice does no more than doing it once. */
  readonly idempotent: boolean;
  /** Milliseconds until its time is up; Infinity without a limit. */
  readonly leftMs: number;
  /** Whether there is another place that was not tried. */
  readonly elsewhere: boolean;
}

export type Decision =
  | { readonly retry: true; readonly afterMs: number }
  | { readonly retry: false; readonly why: 'tries' | 'unsafe' | 'answer' | 'budget' | 'late' };

export interface Retries {
  /** A request has come: what the budget is a share of. */
  began(now: number): void;
  /** Whether it is tried again, and after how many milliseconds. A yes is paid from the budget. */
  decide(failure: Failure, situation: Situation, now: number): Decision;
}

/** Statuses of a server that cannot answer now, and may in a moment. */
const passing: ReadonlySet<number> = new Set([502, 503, 504]);

/** Whether an answer of this status may be one that a retry replaces. */
export const isPassing = (status: number, retryAfterMs: number | null): boolean =>
  passing.has(status) || (status === 429 && retryAfterMs !== null);

const [requests, retries] = [0, 1];
const windowMs = 10_000;

export function createRetries(settings: RetrySettings, random: () => number = Math.random): Retries {
  const counted = createRolling(windowMs, 2);
  const affords = (now: number) =>
    counted.sum(retries, now) < Math.max(settings.reserve, Math.floor(counted.sum(requests, now) * settings.budget));
  return {
    began: (now) => counted.add(requests, now),
    decide(failure, situation, now) {
      if (situation.tried >= settings.tries) return { retry: false, why: 'tries' };
      if (failure.kind === 'status' && !isPassing(failure.status, failure.retryAfterMs))
        return { retry: false, why: 'answer' };
      if (!isSafe(failure, situation)) return { retry: false, why: 'unsafe' };
      const afterMs = waitMs(failure, situation, settings, random());
      if (afterMs === null || afterMs >= situation.leftMs) return { retry: false, why: 'late' };
      if (!affords(now)) return { retry: false, why: 'budget' };
      counted.add(retries, now);
      return { retry: true, afterMs };
    },
  };
}

/** What was turned away before it was begun may go again whatever it does. */
const isSafe = (failure: Failure, { repeatable, idempotent }: Situation): boolean =>
  repeatable && (idempotent || failure.kind === 'unreached' || turnedAway(failure));

const turnedAway = (failure: Failure): boolean =>
  failure.kind === 'status' && (failure.status === 503 || failure.status === 429) && failure.retryAfterMs !== null;

/** Full jitter: those who failed together do not come back together. Another place is no worse for being asked at once. */
function waitMs(
  failure: Failure,
  { tried, elsewhere }: Situation,
  settings: RetrySettings,
  dice: number,
): number | null {
  if (elsewhere) return 0;
  const jitter = dice * Math.min(settings.mostMs, settings.firstMs * 2 ** (tried - 1));
  const asked = failure.kind === 'status' ? (failure.retryAfterMs ?? 0) : 0;
  return asked > settings.patienceMs ? null : asked + jitter;
}

/** Milliseconds that a `Retry-After` asks for: seconds or a date (RFC 9110, section 10.2.3). Null when it says nothing. */
export function retryAfterMs(header: string | undefined, wallMs: number): number | null {
  if (header === undefined) return null;
  if (/^\d+$/.test(header.trim())) return Number(header) * 1_000;
  const at = Date.parse(header);
  return Number.isNaN(at) ? null : Math.max(0, at - wallMs);
}
