/** Certificate and key in PEM, with which TLS is spoken. */
export interface Pair {
  readonly cert: string;
  readonly key: string;
}

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
  | { readonly kind: 'go' };

/** What a worker tells the platform. */
export type FromWorker =
  /** It has a certificate. */
  | { readonly kind: 'ready' }
  /** The connection came. */
  | { readonly kind: 'taken' }
  | { readonly kind: 'closed'; readonly count: number };
