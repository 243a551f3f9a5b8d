import type { Shown } from '../limits/usage-stream.ts';
import type { BodyFraming } from '../transport/answer-head.ts';

/** Certificate and key in PEM, with which TLS is spoken. */
export interface Pair {
  readonly cert: string;
  readonly key: string;
}

/** What a worker has to know of the rest of an answer. */
export interface RelayFacts {
  readonly id: number;
  readonly framing: BodyFraming;
  /** Whether the client gets it in chunks. */
  readonly isFramed: boolean;
  /** Of a stream whose usage is counted, what the client sees of that. */
  readonly shown: Shown | null;
}

/** What a worker passed on of an answer since it told of it last. */
export interface Passed {
  bytes: number;
  events: number;
  /** Tokens, as the engine told them last. */
  reported: number | null;
  /** The client is behind. */
  isHeld: boolean;
}

export type RelayEnd =
  /** Nothing came behind it, where it `keeps`. */
  | { readonly how: 'whole'; readonly keeps: boolean }
  /** The upstream broke off, or did not answer as HTTP has it. */
  | { readonly how: 'failed'; readonly why: string; readonly isMalformed: boolean }
  /** The client went, or the platform asked for it. `isCut`: in the middle of something. */
  | { readonly how: 'left' | 'dropped'; readonly isCut: boolean };

/** What the platform tells a worker. Bytes are base64. */
export type ToWorker =
  /** The first one. `path` is the platform's own listener, `token` what opens it. */
  | {
      readonly kind: 'begin';
      readonly path: string;
      readonly token: string;
      /** The same for all workers: a client goes on with its session wherever it comes out. */
      readonly ticketKeys: string;
      readonly handshakeMs: number;
    }
  /** For connections from now on. */
  | ({ readonly kind: 'secure' } & Pair)
  /** The connection comes along; `hello` is what was read of it. */
  | { readonly kind: 'connection'; readonly hello: string }
  /** It may be answered: nobody else reads from it any more. */
  | { readonly kind: 'go' }
  /** The client's connection comes along, and with the next one the upstream's. */
  | { readonly kind: 'client'; readonly id: number }
  | ({ readonly kind: 'relay' } & RelayFacts)
  | { readonly kind: 'drop'; readonly id: number };

/** What a worker tells the platform. */
export type FromWorker =
  /** It has begun. */
  | { readonly kind: 'ready' }
  /** What was sent came: a connection, or both of a relay. */
  | { readonly kind: 'taken' }
  | { readonly kind: 'closed'; readonly count: number }
  | { readonly kind: 'passed'; readonly of: readonly (readonly [id: number, passed: Passed])[] }
  | { readonly kind: 'relayed'; readonly id: number; readonly passed: Passed | null; readonly end: RelayEnd };
