import { jobOperations } from './operations/jobs.ts';
import { modelOperations, storeOperations } from './operations/models.ts';
import type { Operation, QueryParameter } from './operations/operation.ts';
import { platformOperations } from './operations/platform.ts';
import { securityOperations } from './operations/security.ts';
import { unitOperations } from './operations/units.ts';
import type { Wire, WireName } from './operations/wire.ts';

export { faultsOf, segmentsOf } from './operations/operation.ts';
export type { Operation, QueryParameter } from './operations/operation.ts';
export type { Wire, WireName } from './operations/wire.ts';

/** The prefix of every path below. */
export const controlBase = '/sutaz/v1';

/** Every call of the control API, by the name it has in the SDK and in `docs/openapi.json`. */
export const operations = {
  ...platformOperations,
  ...unitOperations,
  ...modelOperations,
  ...storeOperations,
  ...jobOperations,
  ...securityOperations,
} as const;

type Table = typeof operations;
export type OperationId = keyof Table;

/** The same, with what it leaves out visible as undefined. */
export const operation = (id: OperationId): Operation => operations[id];

export const operationIds = Object.keys(operations) as OperationId[];

type TypeOf<Name> = Name extends WireName ? Wire[Name] : never;

/** The JSON of a plain answer; never where there is none. */
export type AnswerOf<Id extends OperationId> = Table[Id] extends { readonly answer: infer Name } ? TypeOf<Name> : never;
/** The body that goes with it; never where there is none. */
export type BodyOf<Id extends OperationId> = Table[Id] extends { readonly body: infer Name } ? TypeOf<Name> : never;
/** Its events by name; never where it streams none. */
export type EventsOf<Id extends OperationId> = Table[Id] extends { readonly events: infer Events }
  ? { readonly [E in keyof Events]: TypeOf<Events[E]> }
  : never;

/** Whether its address names something. */
export type IsNamed<Id extends OperationId> = Table[Id]['path'] extends `${string}{${string}` ? true : false;
/** The parameter by which a plain answer becomes a stream. */
export type StreamedBy<Id extends OperationId> = Table[Id] extends { readonly streamedBy: infer P extends string }
  ? P
  : never;
/** Whether its answer is lines of text. */
export type IsText<Id extends OperationId> = Table[Id] extends { readonly text: true } ? true : false;

type ValueOf<P extends QueryParameter> = {
  readonly string: string;
  readonly integer: number;
  readonly boolean: boolean;
}[P['type']];
type Given<P> = P extends QueryParameter
  ? P extends { readonly many: true }
    ? readonly ValueOf<P>[]
    : ValueOf<P>
  : never;
type RequiredOf<Q> = { [K in keyof Q]: Q[K] extends { readonly required: true } ? K : never }[keyof Q];
/** Its query; nothing where it has none. */
export type QueryOf<Id extends OperationId> = Table[Id] extends { readonly query: infer Q }
  ? { readonly [K in RequiredOf<Q>]: Given<Q[K]> } & { readonly [K in Exclude<keyof Q, RequiredOf<Q>>]?: Given<Q[K]> }
  : Readonly<Record<never, never>>;
