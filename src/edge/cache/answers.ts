import type { Clock } from '#kernel/clock';
import { Fault } from '#kernel/faults';
import { parseObject } from '../exchange.ts';
import type { Exchange } from '../exchange.ts';
import { headerOf } from '../transport/fields.ts';
import type { AnswerSink } from '../transport/upstreams.ts';
import { whyNotKept } from './deterministic.ts';
import type { Reader } from './flight.ts';
import { digestOf } from './key.ts';
import { createOngoing } from './ongoing.ts';
import { createRecent } from './recent.ts';
import { createAnswerStore } from './store.ts';
import type { AnswerStore, KeptAnswer } from './store.ts';
import { isKeepable } from './whole.ts';
import { cacheStatus, wishesOf } from './wishes.ts';
import type { Dealt } from './wishes.ts';

/** A question to an engine, in OpenAI's API. */
export interface Asked {
  /** Of the model, in the catalogue. */
  readonly model: string;
  /** At the engine. */
  readonly path: string;
  readonly question: Readonly<Record<string, unknown>>;
  /** Another model is asked when this one fails: then its failure is thrown, and not passed on. */
  readonly more: boolean;
}

/** Sends the question for all who wait. `exchange` is the first one's, except that it goes on until the last of them leaves. */
export type Send = (exchange: Exchange, sink: AnswerSink) => Promise<void>;

export interface Hit {
  readonly kind: 'hit';
  readonly answer: KeptAnswer;
  readonly status: string;
  readonly ageSeconds: number;
}

export interface Miss {
  readonly kind: 'miss';
  /** Resolves when the reader was told all of the answer, which is kept when it may be. */
  join(send: Send, reader: Reader): Promise<void>;
}

export interface CacheSettings {
  /** Bytes; 0 for no cache. */
  readonly memory: number;
  /** Milliseconds for which an answer is good. */
  readonly age: number;
  /** Whether an answer to one caller may be given to another. */
  readonly shared: boolean;
}

export interface AnswerCounts {
  readonly entries: number;
  readonly bytes: number;
  /** Answers that made room for others. */
  readonly evicted: number;
  /** How requests were dealt with. */
  readonly dealt: Readonly<Record<Dealt['kind'], number>>;
  readonly settings: CacheSettings;
}

/** What answers are about; all of what is given must fit. */
export interface About {
  readonly model?: string;
  readonly principal?: string;
}

export interface AnswerCache {
  /** What a body says, or BAD_REQUEST. Nobody may change it: while the cache is on, the same is the same object. */
  read(body: Buffer): Readonly<Record<string, unknown>>;
  /**
   * What is known of a question; null where it goes on as if there were no cache. What is said of that in `Cache-Status` is set
   * for any answer but a hit. Throws TIMEOUT where the client wants only what is kept, and nothing is.
   */
  begin(exchange: Exchange, asked: Asked): Hit | Miss | null;
  /** Forgets answers, and keeps none of those that are under way. Returns how many it had. */
  clear(about?: About): number;
  counts(): AnswerCounts;
}

export interface AnswerCacheDeps {
  readonly clock: Clock;
  readonly settings: () => CacheSettings;
  /** Of the file that a model is now; empty for what has none here. */
  readonly version: (model: string) => string;
}

export function createAnswerCache({ clock, settings, version }: AnswerCacheDeps): AnswerCache {
  const ongoing = createOngoing();
  const dealt = { hit: 0, miss: 0, stale: 0, collapsed: 0, 'asked-anew': 0, bypass: 0 };
  let room = 0;
  let store: AnswerStore = createAnswerStore(room);
  /** The store of the size that is wanted now: another one begins empty. */
  const sized = (memory: number): AnswerStore => {
    if (memory !== room) [room, store] = [memory, createAnswerStore(memory)];
    return store;
  };
  const say = (exchange: Exchange, how: Dealt): void => {
    dealt[how.kind]++;
    if (!exchange.res.headersSent) exchange.res.setHeader('cache-status', cacheStatus(how));
  };
  const missing = (exchange: Exchange, asked: Asked, key: string, kind: Missed): Miss => {
    // Whose failure is passed on must not wait for one whose failure is not.
    const flightKey = asked.more ? `${key}+` : key;
    const known = kind === 'asked-anew' ? null : ongoing.joinable(flightKey);
    say(exchange, { kind: known ? 'collapsed' : kind });
    return {
      kind: 'miss',
      join(send, reader) {
        if (known) return known.join(reader, exchange.signal);
        const tags = tagsOf({ model: asked.model, principal: idOf(exchange) });
        const flight = ongoing.launch(flightKey, {
          ...{ tags, largest: store.largest },
          send: (sink, signal) => send({ ...exchange, signal }, sink),
          onWhole(head, body) {
            if (!isKeepable(head, body)) return;
            const contentType = headerOf(head.headers, 'content-type') ?? 'application/json';
            store.set(key, { contentType, body, at: clock.now(), tags });
          },
        });
        const told = flight.join(reader, exchange.signal);
        flight.start();
        return told;
      },
    };
  };
  const recent = createRecent();
  return {
    read: (body) => (settings().memory === 0 ? parseObject(body) : recent(body)),
    begin(exchange, asked) {
      const { memory, age, shared } = settings();
      if (memory === 0) return null;
      const wishes = wishesOf(exchange.req.headers);
      const why = whyNotKept(asked.path, asked.question) ?? whyNotFor(exchange, wishes.keepsNothing);
      if (why !== null) {
        say(exchange, { kind: 'bypass', why });
        return null;
      }
      const key = digestOf({ ...asked, principal: shared ? '' : idOf(exchange), version: version(asked.model) });
      const answer = sized(memory).get(key);
      const ageMs = answer ? clock.now() - answer.at : 0;
      if (answer && !wishes.asksAnew && ageMs < Math.min(age, wishes.maxAgeMs)) {
        dealt.hit++;
        const status = cacheStatus({ kind: 'hit', ttlMs: age - ageMs });
        return { kind: 'hit', answer, status, ageSeconds: Math.floor(ageMs / 1_000) };
      }
      if (wishes.onlyKept) throw new Fault('TIMEOUT', 'No answer is kept to this, and only-if-cached wants no other.');
      return missing(exchange, asked, key, wishes.asksAnew ? 'asked-anew' : answer ? 'stale' : 'miss');
    },
    clear(about = {}) {
      const tags = tagsOf(about);
      ongoing.forget(tags);
      return store.clear(tags);
    },
    counts: () => ({
      entries: store.entries,
      bytes: store.bytes,
      evicted: store.evicted,
      dealt: { ...dealt },
      settings: settings(),
    }),
  };
}

type Missed = 'miss' | 'stale' | 'asked-anew';

const idOf = ({ principal }: Exchange): string => principal?.id ?? '';

/** Nothing is kept for who wants nothing kept, nor of what may be answered by an account that is only the caller's. */
function whyNotFor(exchange: Exchange, keepsNothing: boolean): string | null {
  if (keepsNothing) return 'no-store';
  const own = exchange.req.headers.authorization !== undefined && !exchange.keyInAuthorization;
  return own ? 'authorization' : null;
}

const tagsOf = (about: About): string[] =>
  Object.entries(about).flatMap(([what, name]) => (name === undefined ? [] : [`${what} ${name}`]));
