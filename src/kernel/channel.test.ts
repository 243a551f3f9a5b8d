import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createChannel } from './channel.ts';

async function collect<T>(values: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const value of values) all.push(value);
  return all;
}

const forever = () => new AbortController().signal;

describe('subscribe', () => {
  it('gives each reader the newest that fit its buffer, in order, and counts what it lost', async () => {
    const publications = fc.array(fc.integer(), { maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(publications, fc.integer({ min: 1, max: 10 }), async (values, capacity) => {
        const channel = createChannel<number>(capacity);
        let dropped = 0;
        const reader = channel.subscribe(forever(), (count) => (dropped += count));
        for (const value of values) channel.publish(value);
        channel.close();
        expect(await collect(reader)).toEqual(values.slice(-capacity));
        expect(dropped).toBe(Math.max(0, values.length - capacity));
      }),
    );
  });

  it('misses nothing while it keeps up, whether it was waiting or not', async () => {
    const channel = createChannel<number>(2);
    const reader = collect(channel.subscribe(forever()));
    for (let i = 0; i < 20; i++) {
      channel.publish(i);
      if (i % 2 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    channel.close();
    expect(await reader).toEqual(Array.from({ length: 20 }, (_, i) => i));
  });

  it('starts at the call, not at the first read', async () => {
    const channel = createChannel<string>();
    channel.publish('before');
    const reader = channel.subscribe(forever());
    channel.publish('after');
    channel.close();
    expect(await collect(reader)).toEqual(['after']);
  });

  it('ends for whoever leaves, waiting or not, and drops what it did not read', async () => {
    const channel = createChannel<string>();
    const waiting = new AbortController();
    const reader = collect(channel.subscribe(waiting.signal));
    await new Promise((resolve) => setImmediate(resolve));
    waiting.abort();
    expect(await reader).toEqual([]);
    const behind = new AbortController();
    const unread = channel.subscribe(behind.signal);
    channel.publish('unread');
    behind.abort();
    expect(await collect(unread)).toEqual([]);
  });

  it('ends at once when the signal was aborted or the channel closed before', async () => {
    const channel = createChannel<string>();
    expect(await collect(channel.subscribe(AbortSignal.abort()))).toEqual([]);
    channel.close();
    expect(await collect(channel.subscribe(forever()))).toEqual([]);
  });

  it('lets go of a reader that breaks off', async () => {
    const channel = createChannel<string>(1);
    let dropped = 0;
    const reader = channel.subscribe(forever(), () => dropped++);
    channel.publish('one');
    for await (const value of reader) {
      expect(value).toBe('one');
      break;
    }
    channel.publish('two');
    channel.publish('three');
    expect(dropped).toBe(0);
  });
});

describe('listen', () => {
  it('is told until it stops, once a call to listen', () => {
    const channel = createChannel<number>();
    const heard: number[] = [];
    const listener = (value: number) => void heard.push(value);
    const stop = channel.listen(listener);
    channel.listen(listener);
    channel.publish(1);
    stop();
    channel.publish(2);
    channel.close();
    channel.publish(3);
    expect(heard).toEqual([1, 1, 2]);
  });

  it('tells a listener that comes during a publication only of the next one, and one that left of none', () => {
    const channel = createChannel<number>();
    const heard: string[] = [];
    let stopOther = (): void => undefined;
    const stop = channel.listen(() => {
      stop();
      stopOther();
      channel.listen((value) => void heard.push(`late ${value}`));
    });
    stopOther = channel.listen((value) => void heard.push(`other ${value}`));
    channel.publish(1);
    channel.publish(2);
    expect(heard).toEqual(['late 2']);
  });
});
