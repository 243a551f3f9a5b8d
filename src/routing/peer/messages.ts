import type { ApiProgress } from '#contracts/api';
import { Fault, faults, toFault } from '#kernel/faults';
import type { FaultCode } from '#kernel/faults';
import { isRecord } from '#kernel/json';
import type { UnitId } from '#kernel/ids';
import type { WaiterClass } from '#scheduler/types';
import type { Target } from '../wake.ts';

/** What a process asks of the one that keeps the account. `id` names a request for a lease, and the lease. */
export type Asked =
  | {
      readonly kind: 'wake';
      readonly id: number;
      readonly unit: UnitId;
      readonly principal: string;
      readonly class: WaiterClass;
      readonly goesOn: boolean;
    }
  | { readonly kind: 'leave' | 'opened' | 'closed'; readonly id: number }
  | { readonly kind: 'release'; readonly id: number; readonly broken: boolean }
  | { readonly kind: 'linger'; readonly unit: UnitId; readonly principal: string; readonly ms: number };

/** What it is told. */
export type Told =
  | {
      readonly kind: 'awake';
      readonly id: number;
      readonly target: Target;
      readonly queueMs: number;
      readonly wakeMs: number;
    }
  | { readonly kind: 'refused'; readonly id: number; readonly fault: FaultMessage }
  | { readonly kind: 'progress'; readonly id: number; readonly progress: ApiProgress };

export interface FaultMessage {
  readonly code: FaultCode;
  readonly message: string;
  readonly retryAfter?: number;
  readonly details?: Readonly<Record<string, unknown>>;
  readonly param?: string;
}

export function faultMessage(thrown: unknown): FaultMessage {
  const { code, message, retryAfter, details, param } = toFault(thrown);
  return {
    ...{ code, message, details },
    ...(retryAfter === undefined ? {} : { retryAfter }),
    ...(param === undefined ? {} : { param }),
  };
}

export function faultOf({ code, message, ...options }: FaultMessage): Fault {
  return new Fault(Object.hasOwn(faults, code) ? code : 'INTERNAL', message, options);
}

/** Whether it is a message of one of these kinds. Both ends are of one program: what is in it is taken as it is. */
export const isOfKind = <T extends { readonly kind: string }>(
  message: unknown,
  kinds: readonly T['kind'][],
): message is T => isRecord(message) && typeof message.kind === 'string' && kinds.includes(message.kind);
