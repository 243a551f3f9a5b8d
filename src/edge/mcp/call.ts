import type { ApiProgress } from '#contracts/api';
import type { UnitId } from '#kernel/ids';
import { repeat } from '#kernel/repeat';
import type { Rights } from '#security/scopes';
import { noRights } from '#security/scopes';
import type { Exchange } from '../exchange.ts';
import type { ForwardDeps } from '../forward.ts';

/** One call of a tool. Its exchange aborts when the client leaves, and when it says that it no longer wants the result. */
export interface ToolCall {
  readonly exchange: Exchange;
  /** Tells a client that asked to be told. */
  tell(progress: ApiProgress): void;
}

export const rightsOf = ({ principal }: Exchange): Rights => principal?.rights ?? noRights;

/** Milliseconds between words about a wake. */
const tellEveryMs = 1_000;

/** Does something that a unit must be awake for, and tells how far its wake is until `onAwake` is called. */
export async function whileWaking<T>(
  unit: UnitId,
  { tell }: ToolCall,
  { waker, clock }: Pick<ForwardDeps, 'waker' | 'clock'>,
  work: (onAwake: () => void) => Promise<T>,
): Promise<T> {
  const stop = repeat(
    clock,
    tellEveryMs,
    async () => tell(waker.progress(unit)),
    () => undefined,
  );
  try {
    return await work(stop);
  } finally {
    stop();
  }
}
