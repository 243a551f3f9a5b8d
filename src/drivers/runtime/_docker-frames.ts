/** Bytes before each frame: the stream's number, three of nothing, and the length of what follows. */
const headerBytes = 8;

/** A frame of a container's output: the engine's time for it, and what was written. */
export interface Frame {
  /** Nanoseconds since the epoch. */
  readonly at: bigint;
  readonly text: Buffer;
}

/**
 * Takes apart what the engine sends of a container's output: frames that come in pieces of any size, each with its time
 * written before it. (The client's own `demuxStream` neither waits for a slow disk nor keeps frames apart.)
 */
export function createFrames(): (piece: Buffer) => Frame[] {
  let rest: Buffer = Buffer.alloc(0);
  return (piece) => {
    rest = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
    const frames: Frame[] = [];
    let from = 0;
    while (rest.length - from >= headerBytes) {
      const end = from + headerBytes + rest.readUInt32BE(from + 4);
      if (rest.length < end) break;
      frames.push(readFrame(rest.subarray(from + headerBytes, end)));
      from = end;
    }
    rest = Buffer.from(rest.subarray(from));
    return frames;
  };
}

function readFrame(body: Buffer): Frame {
  const space = body.indexOf(' ');
  const at = space < 0 ? null : nanoseconds(body.toString('latin1', 0, space));
  return at === null ? { at: 0n, text: body } : { at, text: body.subarray(space + 1) };
}

/** `2026-11-25T02:35:32.520772673Z` in nanoseconds since the epoch; null for anything else. */
export function nanoseconds(time: string): bigint | null {
  const [, seconds, fraction = ''] = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z$/.exec(time) ?? [];
  if (seconds === undefined) return null;
  return BigInt(Date.parse(`${seconds}Z`)) * 1_000_000n + BigInt(fraction.padEnd(9, '0'));
}
