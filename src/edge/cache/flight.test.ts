import { describe, expect, it } from 'vitest';
import { Fault } from '#kernel/faults';
import type { AnswerSink } from '../transport/upstreams.ts';
import { createFlight } from './flight.ts';
import type { FlightParts, Reader } from './flight.ts';

const head = { status: 200, headers: ['content-type', 'text/plain'], framing: { kind: 'chunked' } } as const;

/** A flight whose engine says what the test has it say. */
function flying(largest = 100) {
  const ended: Parameters<FlightParts['onEnd']>[0][] = [];
  const engine = Promise.withResolvers<void>();
  let to: { sink: AnswerSink; signal: AbortSignal } | null = null;
  const flight = createFlight({
    largest,
    send(sink, signal) {
      to = { sink, signal };
      signal.addEventListener('abort', () => engine.reject(signal.reason as Error));
      return engine.promise;
    },
    onEnd: (answer) => void ended.push(answer),
  });
  return {
    ...{ flight, ended, engine },
    get sink() {
      return to?.sink as AnswerSink;
    },
    get signal() {
      return to?.signal as AbortSignal;
    },
    say: (text: string, resume = () => undefined) => (to?.sink as AnswerSink).data(Buffer.from(text), resume),
  };
}

/** Reads until it is told to wait. */
function reading() {
  const told: string[] = [];
  const held: (() => void)[] = [];
  const control = { slow: false };
  const reader: Reader = {
    head: ({ status }) => void told.push(String(status)),
    data(chunk, resume) {
      told.push(chunk.toString());
      if (control.slow) held.push(resume);
      return !control.slow;
    },
  };
  return { ...{ told, held, control, reader }, signal: new AbortController() };
}

describe('a flight', () => {
  it('tells who comes late from the beginning', async () => {
    const one = flying();
    const [early, late] = [reading(), reading()];
    const first = one.flight.join(early.reader, early.signal.signal);
    one.flight.start();
    one.sink.head(head);
    one.say('a');
    const second = one.flight.join(late.reader, late.signal.signal);
    one.say('b');
    one.engine.resolve();
    await Promise.all([first, second]);
    expect([early.told, late.told]).toEqual([
      ['200', 'a', 'b'],
      ['200', 'a', 'b'],
    ]);
    expect(one.ended.map((answer) => answer?.body.toString())).toEqual(['ab']);
    expect(one.flight.open).toBe(false);
  });

  it('lets a slow reader hold back only itself', async () => {
    const one = flying();
    const [slow, quick] = [reading(), reading()];
    slow.control.slow = true;
    const all = [slow, quick].map(({ reader, signal }) => one.flight.join(reader, signal.signal));
    one.flight.start();
    one.sink.head(head);
    expect(one.say('a')).toBe(true);
    expect(one.say('b')).toBe(true);
    one.engine.resolve();
    await all[1];
    expect(slow.told).toEqual(['200', 'a']);
    slow.control.slow = false;
    slow.held[0]?.();
    await all[0];
    expect(slow.told).toEqual(['200', 'a', 'b']);
  });

  it('that is too long to be held goes at the pace of who is there, takes nobody more and is not kept', async () => {
    const one = flying(2);
    const { told, held, control, reader, signal } = reading();
    const joined = one.flight.join(reader, signal.signal);
    one.flight.start();
    one.sink.head(head);
    expect(one.say('aaa')).toBe(true);
    expect(one.flight.open).toBe(false);
    control.slow = true;
    const asked: string[] = [];
    one.say('b');
    expect(one.say('c', () => void asked.push('go on'))).toBe(false);
    held.shift()?.();
    held.shift()?.();
    expect(asked).toEqual(['go on']);
    one.engine.resolve();
    await joined;
    expect(told).toEqual(['200', 'aaa', 'b', 'c']);
    expect(one.ended).toEqual([null]);
  });

  it('goes on when one leaves, ends when the last does, and takes nobody from then on', async () => {
    const one = flying();
    const [first, second] = [reading(), reading()];
    const all = [first, second].map(({ reader, signal }) => one.flight.join(reader, signal.signal));
    one.flight.start();
    first.signal.abort(new Fault('CANCELLED', 'left'));
    await expect(all[0]).rejects.toThrow('left');
    expect(one.signal.aborted).toBe(false);
    second.signal.abort(new Fault('CANCELLED', 'left too'));
    await expect(all[1]).rejects.toThrow('left too');
    expect(one.signal.aborted).toBe(true);
    expect(one.flight.open).toBe(false);
  });

  it('tells a failure to all, after what came before it', async () => {
    const one = flying();
    const { told, reader, signal } = reading();
    const joined = one.flight.join(reader, signal.signal);
    one.flight.start();
    one.sink.head(head);
    one.say('a');
    one.engine.reject(new Fault('UPSTREAM_FAILED', 'It broke off.'));
    await expect(joined).rejects.toThrow('It broke off.');
    expect(told).toEqual(['200', 'a']);
    expect(one.ended).toEqual([null]);
  });

  it('is left by a reader that cannot go on, and by nobody else', async () => {
    const one = flying();
    const well = reading();
    const throws: Reader = {
      head() {
        throw new Error('no');
      },
      data: () => true,
    };
    const never = new AbortController().signal;
    const all = [one.flight.join(throws, never), one.flight.join(well.reader, never)];
    one.flight.start();
    one.sink.head(head);
    await expect(all[0]).rejects.toThrow('no');
    one.say('a');
    one.engine.resolve();
    await all[1];
    expect(well.told).toEqual(['200', 'a']);
  });
});
