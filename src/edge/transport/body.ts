import type { BodyFraming, Framing } from './answer-head.ts';
import { createChunked } from './chunked.ts';

/** Takes bytes of a body away; false when nothing more is to come for now. */
export type Emit = (bytes: Buffer, from: number, to: number) => boolean;

/** Reads the body of an answer, cut anywhere. */
export interface Body {
  /** Reads from `at` on, and returns how far: all of it, to the end of the body, or to where `emit` said false. Throws Malformed. */
  take(bytes: Buffer, at: number, emit: Emit): number;
  readonly isOver: boolean;
  /** Whether the end of the connection is its end. */
  readonly endsWithConnection: boolean;
  /** How what is still to come goes on, for somebody else who reads it; null in the middle of what says so. */
  rest(): BodyFraming | null;
}

/** Null when there is none. */
export function bodyOf(framing: BodyFraming): Body;
export function bodyOf(framing: Framing): Body | null;
export function bodyOf(framing: Framing): Body | null {
  switch (framing.kind) {
    case 'none':
      return null;
    case 'chunked':
      return createChunked();
    case 'length':
      return measured(framing.bytes);
    case 'open':
      return open;
  }
}

function measured(length: number): Body {
  let left = length;
  return {
    take(bytes, at, emit) {
      const to = Math.min(bytes.length, at + left);
      left -= to - at;
      if (to > at) emit(bytes, at, to);
      return to;
    },
    get isOver() {
      return left === 0;
    },
    endsWithConnection: false,
    rest: () => ({ kind: 'length', bytes: left }),
  };
}

const open: Body = {
  take(bytes, at, emit) {
    emit(bytes, at, bytes.length);
    return bytes.length;
  },
  isOver: false,
  endsWithConnection: true,
  rest: () => ({ kind: 'open' }),
};
