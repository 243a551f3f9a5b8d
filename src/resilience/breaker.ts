import { createRolling } from './rolling.ts';

export interface BreakerSettings {
  /** So many failures one after the other open it. */
  readonly failures: number;
  /** So large a share of failures opens it too, once `atLeast` answers were counted within `windowMs` milliseconds. */
  readonly rate: number;
  readonly atLeast: number;
  readonly windowMs: number;
  /** Milliseconds it stays open at first; doubled by each probe that fails, up to `mostOpenMs`. */
  readonly openMs: number;
  readonly mostOpenMs: number;
}

export const defaultBreaker: BreakerSettings = {
  failures: 5,
  rate: 0.5,
  atLeast: 20,
  windowMs: 10_000,
  openMs: 1_000,
  mostOpenMs: 30_000,
};

/**
 * What became of a request. `loading`: it is there and says that it is not ready. `left`: nothing was learned, since the
 * client left or did not need it any more. Neither counts for or against it.
 */
export type Outcome = 'ok' | 'failed' | 'loading' | 'left';

/** What a request was let through with. It belongs to the state of that moment: told later, it counts for nothing. */
export type Pass = number;

/** Of a breaker that lets nothing through. */
export const noPass: Pass = 0;

export type BreakerView =
  | { readonly state: 'closed'; readonly failures: number }
  | { readonly state: 'open'; readonly why: string; readonly leftMs: number }
  | { readonly state: 'half-open'; readonly why: string; readonly probing: boolean };

/**
 * Keeps requests from what fails. Its life:
 * 1. closed: everything passes; failures in a row, or too large a share of them, open it;
 * 2. open: nothing passes for a while;
 * 3. half-open: exactly one request passes, the probe. It closes the breaker, or opens it again for twice as long; a probe
 *    that nothing was learned from makes room for the next one.
 */
export interface Breaker {
  /** Lets a request through, or `noPass`. Each pass must be settled, in a `finally`: the probe's keeps all others out. */
  enter(now: number): Pass;
  /** Whether `enter` would let one through. */
  allows(now: number): boolean;
  settle(pass: Pass, outcome: Outcome, now: number, why?: string): void;
  view(now: number): BreakerView;
}

const [oks, failures] = [0, 1];

export function createBreaker(settings: BreakerSettings): Breaker {
  const counted = createRolling(settings.windowMs, 2);
  // Each change of state begins another era; passes carry its number, the probe's with a minus.
  let era = 1;
  let isOpen = false;
  let openUntil = 0;
  let openMs = settings.openMs;
  let inRow = 0;
  let probing = false;
  let reason = '';

  const open = (ms: number, why: string, now: number) => {
    era++;
    isOpen = true;
    probing = false;
    openMs = ms;
    openUntil = now + ms;
    reason = why;
  };
  const close = () => {
    era++;
    isOpen = probing = false;
    openMs = settings.openMs;
    inRow = 0;
    counted.clear();
  };
  const settleProbe = (outcome: Outcome, now: number, why: string) => {
    if (outcome === 'ok') close();
    else if (outcome === 'failed') open(Math.min(openMs * 2, settings.mostOpenMs), why, now);
    else probing = false;
  };
  const count = (failed: boolean, now: number, why: string) => {
    counted.add(failed ? failures : oks, now);
    inRow = failed ? inRow + 1 : 0;
    if (!failed) return;
    const bad = counted.sum(failures, now);
    const all = bad + counted.sum(oks, now);
    const tooMany = all >= settings.atLeast && bad / all >= settings.rate;
    if (inRow >= settings.failures || tooMany) open(settings.openMs, why, now);
  };
  return {
    enter(now) {
      if (!isOpen) return era;
      if (probing || now < openUntil) return noPass;
      probing = true;
      return -++era;
    },
    allows: (now) => !isOpen || (!probing && now >= openUntil),
    settle(pass, outcome, now, why = 'it failed') {
      if (pass === -era && probing) settleProbe(outcome, now, why);
      else if (pass === era && !isOpen && (outcome === 'ok' || outcome === 'failed'))
        count(outcome === 'failed', now, why);
    },
    view(now) {
      if (!isOpen) return { state: 'closed', failures: counted.sum(failures, now) };
      if (now < openUntil) return { state: 'open', why: reason, leftMs: openUntil - now };
      return { state: 'half-open', why: reason, probing };
    },
  };
}
