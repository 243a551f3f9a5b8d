import type { Hold, Meter } from './meter.ts';

/** What a request wants of one meter. */
export interface Want<M extends Meter = Meter> {
  readonly meter: M;
  readonly amount: number;
}

export interface Refusal<M extends Meter = Meter> {
  /** The one that will let it in last, as far as that is known. */
  readonly want: Want<M>;
  /** Milliseconds; null when it is not known. */
  readonly waitMs: number | null;
}

/** Every meter has room, or the refusal. Nothing is taken here: a request that one of them refuses costs the others nothing. */
export function refusalOf<M extends Meter>(wants: readonly Want<M>[], now: number): Refusal<M> | null {
  let refusal: Refusal<M> | null = null;
  for (const want of wants) {
    const { meter, amount } = want;
    if (meter.fits(amount, now)) continue;
    const waitMs = meter.waitMs(amount, now);
    if (refusal === null || (waitMs ?? -1) > (refusal.waitMs ?? -1)) refusal = { want, waitMs };
  }
  return refusal;
}

/** Takes what `refusalOf` found room for, in the same turn of the event loop: nobody else can come between. */
export function takeAll<M extends Meter>(wants: readonly Want<M>[], now: number): Hold[] {
  return wants.map(({ meter, amount }) => meter.take(amount, now));
}
