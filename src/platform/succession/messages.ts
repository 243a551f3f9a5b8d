import { isRecord } from '#kernel/json';
import type { UnitId, WaiterId } from '#kernel/ids';

/** Of what follows. Two programs that do not speak the same cannot take over from one another while they run. */
export const protocol = 1;

/** What is at work on an instance as its account is handed over. */
export interface HeldLeases {
  readonly unit: UnitId;
  readonly leases: readonly WaiterId[];
  /** Those under which something was left open, released or not. */
  readonly open: readonly WaiterId[];
}

/** What the one that ends says. */
export type FromPredecessor =
  /** The home and everything in it. */
  | { readonly kind: 'yours'; readonly url: string; readonly held: readonly HeldLeases[] }
  /** The listener comes along. */
  | { readonly kind: 'listen' }
  /** One of `held` ended. */
  | { readonly kind: 'lease'; readonly event: 'release' | 'closed'; readonly unit: UnitId; readonly waiter: WaiterId };

/** What the one that goes on says, in this order. */
export type FromSuccessor =
  | { readonly kind: 'prepared'; readonly protocol: number; readonly version: string }
  | { readonly kind: 'ready' }
  | { readonly kind: 'listening'; readonly url: string };

/** What of a kind is, as the other program understands it: checked by `protocol`. */
export const isA = <M extends { readonly kind: string }, K extends M['kind']>(
  message: unknown,
  kind: K,
): message is Extract<M, { readonly kind: K }> => isRecord(message) && message.kind === kind;
