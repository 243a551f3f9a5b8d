import type { FaultCode } from '#kernel/faults';
import type { Scope } from '#kernel/scopes';
import type { WireName } from './wire.ts';

/**
 * One call of the control API, declared once: the edge routes by it, the SDK is typed by it and `docs/openapi.json` is
 * written from it. A plain value, so that a command that loads it pays nothing; what it says of bodies are names of types.
 */
export interface Operation {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Below `/sutaz/v1`. `{name}` is one segment, percent-encoded. */
  readonly path: `/${string}`;
  /**
   * What a key must be good for; null when none is needed. Where it may be narrowed, to the model that the path names.
   * `units:manage` is `services:manage` for a service and `models:manage` for a model.
   */
  readonly scope: Scope | 'units:manage' | null;
  readonly topic: Topic;
  /** A line in the imperative, without a full stop. */
  readonly summary: string;
  /** What a caller must know beyond that. */
  readonly detail?: string;
  /** What the segments of the path stand for, where it isn't the name of a unit or a model. */
  readonly segments?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, QueryParameter>>;
  readonly body?: WireName;
  /** The JSON of the answer. Without `answer`, `events` and `text` the answer has no body. */
  readonly answer?: WireName;
  /** Of a plain answer: 200 unless this says otherwise, 204 where it has no body. */
  readonly status?: 201 | 202;
  /** Server-sent events by their name. Beside `answer`, they are what the parameter `streamedBy` asks for. */
  readonly events?: Readonly<Record<string, WireName>>;
  readonly streamedBy?: string;
  /** Lines of plain text. */
  readonly text?: true;
  /** Beyond those that any call may end with (`faultsOf`). */
  readonly faults?: readonly FaultCode[];
  /** Of a call: the segments of its path, its query, its body. */
  readonly example?: OperationExample;
}

export interface OperationExample {
  readonly segments?: readonly string[];
  readonly query?: string;
  readonly body?: unknown;
}

/** What calls are about, in the order in which they are described. */
export const topics = {
  state: 'What the platform does now, and why',
  units: 'Services and models as the scheduler sees them: awake, asleep, waiting',
  models: 'Models and their files',
  store: 'The store that the files are in',
  catalogue: 'The definitions of services and models',
  jobs: 'Tools of the catalogue, run to their end',
  security: 'Keys, and who changed what',
  platform: 'The platform itself',
} as const;
export type Topic = keyof typeof topics;

export interface QueryParameter {
  readonly type: 'string' | 'integer' | 'boolean';
  /** It may be given several times. */
  readonly many?: true;
  readonly required?: true;
  readonly about: string;
}

export type Operations = Readonly<Record<string, Operation>>;

/** The parameters `{…}` of a path, in their order. */
export const segmentsOf = (path: string): readonly string[] =>
  [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name);

/** The events of a long work: how far it is, and one of `done` and `error` as the last. */
export const work = <P extends WireName, D extends WireName>(progress: P, done: D) =>
  ({ progress, done, error: 'ApiProblem' }) as const;

/** Every code that a call may be refused with. */
export function faultsOf({ scope, path, query, body, faults = [] }: Operation): readonly FaultCode[] {
  return [
    ...(query || body ? (['BAD_REQUEST'] as const) : []),
    ...(scope === null ? [] : (['UNAUTHENTICATED'] as const)),
    'FORBIDDEN' as const,
    ...(path.includes('{') ? (['NOT_FOUND'] as const) : []),
    ...(body ? (['TOO_LARGE'] as const) : []),
    ...faults,
    'INTERNAL' as const,
  ];
}
