import { Fault } from '#kernel/faults';
import { parseUnitId } from '#kernel/ids';
import type { UnitId } from '#kernel/ids';
import type { Waker } from '#routing/wake';
import { contextWithin } from '#units/plans';
import type { Plans } from '#units/plans';

/** The same waker; where a model does not fit, its refusal says with which context it would. */
export const offering = (waker: Waker, plans: Pick<Plans, 'of'>): Waker => ({
  ...waker,
  wake(unit, options) {
    const waking = waker.wake(unit, options);
    if (!(waking instanceof Promise)) return waking;
    return waking.catch((error: unknown) => {
      throw withOffer(error, unit, plans);
    });
  },
});

/** The error with the largest context that fits, where there is one; anything else as it is. */
export function withOffer(error: unknown, unit: UnitId, plans: Pick<Plans, 'of'>): unknown {
  if (!(error instanceof Fault) || error.code !== 'NO_MEMORY') return error;
  const { kind, name } = parseUnitId(unit);
  const { limitBytes, heldBytes } = error.details;
  const planned = kind === 'model' ? plans.of(name) : null;
  if (!planned || typeof limitBytes !== 'number' || typeof heldBytes !== 'number') return error;
  const context = contextWithin(planned, limitBytes - heldBytes);
  // What was measured may be more than the plan: then the plan knows no context that helps.
  if (context === null || context >= planned.shape.context) return error;
  const where = `models.settings.${JSON.stringify(name)}.context`;
  const message = `${error.message} With ${context} tokens of context instead of ${planned.shape.context} it fits: ${where}.`;
  return new Fault('NO_MEMORY', message, {
    cause: error,
    details: { ...error.details, largestContext: context },
    ...(error.retryAfter !== undefined && { retryAfter: error.retryAfter }),
  });
}
