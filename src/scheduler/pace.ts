/** How fast the instances of a unit work by themselves, and how many requests each bears; shared by all of them. */
export interface Pace {
  /** How long a lease lasts while there is hardly ever another one beside it; null before that was seen. Milliseconds. */
  calmHoldMs: number | null;
  /** In how many stretches it was. */
  calms: number;
  /** So many at once an instance bears before they slow one another down to half; infinite while nothing shows that. */
  bears: number;
  /** Leases that all instances had together, smoothed over `whileMs`, as of `busyAt`. */
  busy: number;
  busyAt: number;
}

/** What one instance did since its last stretch was looked at. Milliseconds. */
export interface Stretch {
  /** When its leases changed last. */
  at: number;
  /** The time in which it had any lease, and the same times their number. */
  busyMs: number;
  leaseMs: number;
  /** Leases that ended. */
  ends: number;
}

export const createPace = (): Pace => ({ calmHoldMs: null, calms: 0, bears: Infinity, busy: 0, busyAt: 0 });
export const createStretch = (): Stretch => ({ at: 0, busyMs: 0, leaseMs: 0, ends: 0 });

const whileMs = 15_000;

/** What `busy` is now, if all instances had so many leases since it was noted. */
export const busyAt = ({ busy, busyAt: then }: Pace, leases: number, now: number): number =>
  leases + (busy - leases) * Math.exp(-(now - then) / whileMs);

/** All instances together had so many leases until now. */
export function noteBusy(pace: Pace, leases: number, now: number): void {
  pace.busy = busyAt(pace, leases, now);
  pace.busyAt = now;
}

/** The instance had so many leases until now. */
export function noteTime(stretch: Stretch, leases: number, now: number): void {
  const ms = now - stretch.at;
  stretch.at = now;
  if (leases === 0) return;
  stretch.busyMs += ms;
  stretch.leaseMs += leases * ms;
}

/** A stretch is so many ends long: long enough for short leases and long ones to be in it as they are among all. */
const stretchEnds = 16;
/** With no more at once than this, on average while there are any, each is as good as alone. */
const calm = 1.5;

/** A lease of an instance that has `slots` ended. */
export function noteEnd(pace: Pace, stretch: Stretch, slots: number): void {
  if (++stretch.ends < stretchEnds) return;
  learn(pace, stretch, slots);
  stretch.busyMs = stretch.leaseMs = stretch.ends = 0;
}

/**
 * Whole stretches are compared, and not single leases by whether they were alone: long ones seldom are, and would look slowed
 * down by the others.
 */
function learn(pace: Pace, { busyMs, leaseMs, ends }: Stretch, slots: number): void {
  if (busyMs <= 0) return;
  const [beside, hold] = [leaseMs / busyMs, leaseMs / ends];
  if (beside <= calm) {
    pace.calmHoldMs = pace.calmHoldMs === null ? hold : pace.calmHoldMs + (hold - pace.calmHoldMs) / 4;
    pace.calms++;
  }
  if (pace.calmHoldMs === null || pace.calms < 2) return;
  const slowdown = hold / Math.max(1, pace.calmHoldMs);
  if (slowdown > 2) {
    // What it gets done is what so many get done who are alone: with twice as many, each takes twice as long.
    const bears = Math.min(slots, Math.max(1, (2 * ends * pace.calmHoldMs) / busyMs));
    pace.bears = Number.isFinite(pace.bears) ? pace.bears + (bears - pace.bears) / 2 : bears;
  } else if (slowdown < 1.5 && beside >= 0.75 * pace.bears) pace.bears = Math.min(slots, pace.bears + 1);
}
