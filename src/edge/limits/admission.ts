import type { Hold } from '#resilience/meter';
import { refusalOf, takeAll } from '#resilience/admission';
import type { Want } from '#resilience/admission';
import type { Account, Gauge } from './accounts.ts';

/** What was taken for one request, until it is over. */
export interface Admission {
  readonly taken: Taken[];
  /** Set where tokens are counted: what is known of them. */
  tokens: TokenCount | null;
  /** Bytes of the connection when it was let in; null where they are not counted. */
  bytes: ByteCount | null;
}

export interface Taken {
  readonly gauge: Gauge;
  readonly hold: Hold;
}

/** Tokens of one call to an engine. */
export interface TokenCount {
  /** What its prompt is guessed to be, until the engine says. */
  readonly prompt: number;
  /** What was reserved for prompt and answer. */
  readonly reserved: number;
  /** The body as it goes to the engine. */
  readonly question: Readonly<Record<string, unknown>>;
  /** Whether the engine tells after each piece how much it was so far. */
  readonly continuous: boolean;
  /** Whether it got to the engine, and was not refused by it. */
  reached: boolean;
  /** As the engine told it, the latest. */
  reported: number | null;
  /** Events of a stream that came, where nothing was reported. */
  events: number;
}

export interface ByteCount {
  readonly read: number;
  written: number;
}

/** Bytes of an answer that somebody else wrote to its connection, which does not count them. */
export function writtenElsewhere(admission: Admission | null, bytes: number): void {
  if (admission?.bytes) admission.bytes.written -= bytes;
}

export interface GaugeWant extends Want {
  readonly gauge: Gauge;
}

export interface GaugeRefusal {
  readonly gauge: Gauge;
  readonly waitMs: number | null;
}

/** Takes all that is wanted into the admission, or nothing, and says what was in the way. */
export function takeInto(admission: Admission, wants: readonly GaugeWant[], now: number): GaugeRefusal | null {
  const refusal = refusalOf(wants, now);
  if (refusal) return { gauge: (refusal.want as GaugeWant).gauge, waitMs: refusal.waitMs };
  const holds = takeAll(wants, now);
  for (const [index, { gauge }] of wants.entries()) {
    gauge.account.changed = true;
    admission.taken.push({ gauge, hold: holds[index] as Hold });
  }
  return null;
}

/** Gives back what was taken beyond the first so many, as if it had never been. */
export function cancelFrom(admission: Admission, first: number): void {
  for (const { hold } of admission.taken.splice(first)) hold.cancel();
}

/** Ends it: what was used counts, what was only held is free. */
export function settleAll({ taken, tokens }: Admission, bytes: number, now: number): void {
  for (const { gauge, hold } of taken.splice(0)) {
    const { kind } = gauge.quota;
    hold.settle(kind === 'tokens' ? spentTokens(tokens) : kind === 'bytes' ? bytes : 1, now);
    touch(gauge.account);
  }
}

const touch = (account: Account): void => void (account.changed = true);

/**
 * In this order: what the engine said; nothing where it was never asked, or refused; of a stream that was left and never said
 * how much it was, an event for a token; of an answer in one piece that was left, what was reserved, since somewhere between
 * nothing and all of it was computed.
 */
export function spentTokens(tokens: TokenCount | null): number {
  if (!tokens) return 0;
  if (tokens.reported !== null) return tokens.reported;
  if (!tokens.reached) return 0;
  return tokens.question.stream === true ? tokens.prompt + tokens.events : tokens.reserved;
}
