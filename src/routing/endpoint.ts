import type { ApiUpstream } from '#contracts/explanations';
import type { Clock } from '#kernel/clock';
import type { Member } from '#resilience/balance';
import { createBreaker, noPass } from '#resilience/breaker';
import type { Outcome, Pass } from '#resilience/breaker';
import { createLatency } from '#resilience/latency';
import type { Policy, Target } from './policy.ts';

/** The place of one request at an upstream. Must be settled, in a `finally`. */
export interface Placed {
  readonly id: string;
  readonly target: Target;
  /** Its answer has begun, `ms` milliseconds after the request went out, and is none that counts as a failure. */
  answered(ms: number): void;
  /** What became of it. A second call does nothing. */
  settle(outcome: Outcome, why?: string): void;
  /** It asked to be left alone for so many milliseconds: it is, as long as there is another one. */
  rest(ms: number): void;
}

/** One upstream with what is known of it. */
export interface Endpoint extends Member {
  readonly target: Target;
  /** Null when it is left alone. */
  enter(now: number, target?: Target): Placed | null;
  allows(now: number): boolean;
  /** Whether nothing speaks against it beside its breaker. */
  isWell(now: number): boolean;
  /** What a check of its health found, and why it is not well. */
  checked(well: boolean, why: string): void;
  /** Brings `latencyMs` up to date. */
  refresh(now: number): void;
  view(now: number): EndpointView;
}

/** As it is told to who asks. */
export type EndpointView = ApiUpstream;

export interface EndpointOptions {
  readonly id: string;
  readonly weight: number;
  readonly target: Target;
  readonly policy: Pick<Policy, 'breaker'>;
  readonly clock: Clock;
  readonly record: (outcome: Outcome, ms: number, wasProbe: boolean, now: number) => void;
}

/** A pass where there is no breaker. */
const free: Pass = 1;
/** Milliseconds that it is left alone at its own wish, at most. */
const mostRestMs = 60_000;

export function createEndpoint({ id, weight, target, policy, clock, record }: EndpointOptions): Endpoint {
  const breaker = policy.breaker && createBreaker(policy.breaker);
  const latency = createLatency();
  let restUntil = -Infinity;
  let unwell: string | null = null;
  let [picks, failures] = [0, 0];
  let lastFailure: string | null = null;

  const placed = (pass: Pass, at: Target, since: number): Placed => {
    let ms = 0;
    let open = true;
    return {
      id,
      target: at,
      answered(after) {
        ms = after;
        latency.observe(after, since + after);
        // A probe that is answered has shown what it was sent for: its answer itself may last for minutes.
        if (pass < 0) breaker?.settle(pass, 'ok', since + after);
      },
      settle(outcome, why) {
        if (!open) return;
        open = false;
        self.inFlight--;
        if (outcome === 'failed') [lastFailure, failures] = [why ?? 'it failed', failures + 1];
        const now = clock.now();
        breaker?.settle(pass, outcome, now, why);
        record(outcome, ms || now - since, pass < 0, now);
      },
      rest: (forMs) => void (restUntil = clock.now() + Math.min(forMs, mostRestMs)),
    };
  };
  const self: Endpoint = {
    ...{ id, weight, target, inFlight: 0, latencyMs: null },
    enter(now, at = target) {
      const pass = breaker ? breaker.enter(now) : free;
      if (pass === noPass) return null;
      self.inFlight++;
      picks++;
      return placed(pass, at, now);
    },
    allows: (now) => breaker?.allows(now) ?? true,
    isWell: (now) => unwell === null && now >= restUntil,
    checked: (well, why) => void (unwell = well ? null : why),
    refresh: (now) => void (self.latencyMs = latency.value(now)),
    view(now) {
      const latencyMs = latency.value(now);
      const facts = { id, role: 'upstream', weight, inFlight: self.inFlight, picks, failures, ejections: 0 } as const;
      return { ...facts, latencyMs, lastFailure, ...stateAt(now) };
    },
  };
  return self;

  function stateAt(now: number): Pick<EndpointView, 'state' | 'why' | 'leftMs'> {
    const view = breaker?.view(now);
    if (view && view.state !== 'closed') {
      return { state: view.state, why: view.why, leftMs: view.state === 'open' ? view.leftMs : 0 };
    }
    if (unwell !== null) return { state: 'unwell', why: unwell, leftMs: null };
    if (now < restUntil) return { state: 'resting', why: 'it asked for a pause', leftMs: restUntil - now };
    return { state: 'closed', why: null, leftMs: null };
  }
}
