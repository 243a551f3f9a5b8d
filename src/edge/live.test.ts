import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import type { ApiState, ApiUnit } from '#contracts/api';
import { fakeClock } from '#kernel/clock.fake';
import { beginExchange } from './exchange.ts';
import { createLive } from './live.ts';

/** A client, and the events it was sent: `unit ready` for a unit, the name alone for the rest. */
function client() {
  const res = new ServerResponse(new IncomingMessage(new Socket()));
  const seen: string[] = [];
  res.write = (chunk: unknown) => {
    const [, event, data] = /^event: (.*)\ndata: (.*)\n\n$/.exec(String(chunk)) ?? [];
    if (event) seen.push(event === 'unit' ? `unit ${(JSON.parse(data ?? '') as ApiUnit).state}` : event);
    return true;
  };
  return { exchange: beginExchange(res.req, res, 0), seen, leave: () => void res.emit('close') };
}

function bench() {
  const clock = fakeClock();
  const world = { state: 'cold' };
  const read = () => ({ ledger: {}, units: [{ id: 'service/a', state: world.state, idleMs: 1 }] });
  return { clock, world, live: createLive(read as unknown as () => ApiState, clock) };
}

describe('the live view', () => {
  it('tells a burst of changes as one, and nothing when nothing differs', () => {
    const { clock, world, live } = bench();
    const a = client();
    live.attach(a.exchange);
    for (const state of ['queued', 'starting', 'ready']) {
      world.state = state;
      live.touch();
    }
    clock.advance(100);
    expect(a.seen).toEqual(['state', 'unit ready']);
    live.touch();
    clock.advance(10_000);
    expect(a.seen).toEqual(['state', 'unit ready']);
  });

  it('tells a change back to what an earlier client saw last', () => {
    const { clock, world, live } = bench();
    const before = client();
    live.attach(before.exchange);
    clock.advance(2_000);
    before.leave();
    world.state = 'ready';
    const after = client();
    live.attach(after.exchange);
    world.state = 'cold';
    live.touch();
    clock.advance(100);
    expect(after.seen).toEqual(['state', 'unit cold']);
  });

  it('regression: keeps nobody who had left before', () => {
    const { clock, live } = bench();
    const a = client();
    a.leave();
    live.attach(a.exchange);
    clock.advance(2_000);
    expect({ seen: a.seen, pending: clock.pending }).toEqual({ seen: [], pending: 0 });
  });

  it('stops looking when the last client has left', () => {
    const { clock, live } = bench();
    const a = client();
    live.attach(a.exchange);
    a.leave();
    clock.advance(2_000);
    expect(clock.pending).toBe(0);
  });
});
