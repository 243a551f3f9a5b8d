import { controlBase, operation, operationIds, segmentsOf } from '#contracts/operations';
import type {
  AnswerOf,
  BodyOf,
  EventsOf,
  IsNamed,
  IsText,
  Operation,
  OperationId,
  QueryOf,
  StreamedBy,
} from '#contracts/operations';
import { Fault } from '#kernel/faults';
import type { SseItem } from '#kernel/sse';
import { createClient as createHttp, faultOfProblem } from './http.ts';
import type { Client as Http, ClientOptions } from './http.ts';

export { Fault } from '#kernel/faults';
export type { FaultCode } from '#kernel/faults';
export type { ClientOptions } from './http.ts';
export type { AnswerOf, BodyOf, EventsOf, OperationId, QueryOf, Wire } from '#contracts/operations';

export interface Calling {
  /** Aborting it ends the connection, which tells the platform that the caller has left. */
  readonly signal?: AbortSignal;
  /** Milliseconds in which a plain answer must have begun, where that takes longer than others do. */
  readonly timeoutMs?: number;
}

/** One event of a stream. The error of a long work is thrown, and no event. */
export type EventOf<Id extends OperationId> = {
  [E in Exclude<keyof EventsOf<Id>, 'error'>]: { readonly event: E; readonly data: EventsOf<Id>[E] };
}[Exclude<keyof EventsOf<Id>, 'error'>];

/** What a call takes beside the name in its address: the keys of its query or of its body. */
type Ask<Id extends OperationId> = [BodyOf<Id>] extends [never] ? QueryOf<Id> : BodyOf<Id> & QueryOf<Id>;
type Rest<A> = Record<never, never> extends A ? [ask?: A, calling?: Calling] : [ask: A, calling?: Calling];
type Args<Id extends OperationId, A = Ask<Id>> = IsNamed<Id> extends true ? [name: string, ...Rest<A>] : Rest<A>;

type Plain<Id extends OperationId> = [AnswerOf<Id>] extends [never] ? undefined : AnswerOf<Id>;
type Streams<Id extends OperationId> = AsyncIterable<IsText<Id> extends true ? string : EventOf<Id>>;

/** Those that answer in either way are told apart by the parameter that asks for a stream. */
interface Either<Id extends OperationId> {
  (...args: Args<Id, Omit<Ask<Id>, StreamedBy<Id>> & { readonly [P in StreamedBy<Id>]: true }>): Streams<Id>;
  (...args: Args<Id, Omit<Ask<Id>, StreamedBy<Id>>>): Promise<Plain<Id>>;
}

type Method<Id extends OperationId> = [StreamedBy<Id>] extends [never]
  ? [EventsOf<Id>] extends [never]
    ? IsText<Id> extends true
      ? (...args: Args<Id>) => Streams<Id>
      : (...args: Args<Id>) => Promise<Plain<Id>>
    : (...args: Args<Id>) => Streams<Id>
  : Either<Id>;

/**
 * Every call of the control API by its name (`#contracts/operations`). Each throws a Fault: the platform's own, with its code,
 * or UPSTREAM_FAILED when it cannot be reached. A stream begins when it is first read, and leaving its loop ends it.
 */
export type Client = { readonly [Id in OperationId]: Method<Id> } & { readonly url: string };

export const createClient = (options: ClientOptions): Client => clientOver(createHttp(options));

/** The same over a connection that is there already. */
export function clientOver(http: Http): Client {
  const methods = operationIds.map((id) => [id, methodOf(operation(id), http)]);
  return { ...(Object.fromEntries(methods) as Omit<Client, 'url'>), url: http.url } as Client;
}

function methodOf(declared: Operation, http: Http): (...args: readonly unknown[]) => unknown {
  const { method, path, body, answer, events, text, streamedBy } = declared;
  const named = segmentsOf(path).length;
  return (...args) => {
    const ask = (args[named] ?? {}) as Readonly<Record<string, unknown>>;
    const { signal, timeoutMs } = (args[named + 1] ?? {}) as Calling;
    const address = addressOf(declared, args.slice(0, named).map(String), ask);
    const options = {
      ...(signal && { signal }),
      ...(timeoutMs !== undefined && { timeoutMs }),
      ...(body && { body: bodyOf(declared, ask) }),
    };
    if (text) return http.lines(address, options);
    if (events && (!answer || (streamedBy !== undefined && ask[streamedBy] === true))) {
      return eventsOf(http.events(method, address, options), 'done' in events);
    }
    return http.json(method, address, options);
  };
}

function addressOf(
  { path, query = {} }: Operation,
  names: readonly string[],
  ask: Readonly<Record<string, unknown>>,
): string {
  const given = names.values();
  const filled = path.replaceAll(/\{\w+\}/g, () => encodeURIComponent(given.next().value ?? ''));
  const search = new URLSearchParams();
  for (const key of Object.keys(query)) {
    for (const value of [ask[key]].flat()) if (value !== undefined) search.append(key, String(value));
  }
  return `${controlBase}${filled}${search.size > 0 ? `?${search.toString()}` : ''}`;
}

const bodyOf = ({ query = {} }: Operation, ask: Readonly<Record<string, unknown>>): unknown =>
  Object.fromEntries(Object.entries(ask).filter(([key]) => !Object.hasOwn(query, key)));

/** A long work that stops without its `done` is an error, never a success. */
async function* eventsOf(items: AsyncIterable<SseItem>, ends: boolean): AsyncIterable<unknown> {
  for await (const item of items) {
    if (item.kind === 'comment') continue;
    const data: unknown = JSON.parse(item.data);
    if (item.event === 'error') throw faultOfProblem(data);
    yield { event: item.event, data };
    if (ends && item.event === 'done') return;
  }
  if (ends) throw new Fault('UPSTREAM_FAILED', 'The platform ended before the work was done.');
}

type Work = { readonly event: string; readonly data: unknown };
type DataOf<W extends Work, E extends string> = Extract<W, { readonly event: E }>['data'];

/** Waits for the end of a long work, and tells of its progress meanwhile. */
export async function finished<W extends Work>(
  events: AsyncIterable<W>,
  onProgress: (progress: DataOf<W, 'progress'>) => void = () => undefined,
): Promise<DataOf<W, 'done'>> {
  for await (const { event, data } of events) {
    if (event === 'done') return data as DataOf<W, 'done'>;
    onProgress(data as DataOf<W, 'progress'>);
  }
  throw new Fault('UPSTREAM_FAILED', 'The platform ended before the work was done.');
}
