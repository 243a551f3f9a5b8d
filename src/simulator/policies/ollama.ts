import type { Event } from '#scheduler/types';
import { createHeap, first, pop, push } from '#scheduler/heap';
import type { Entry, Heap } from '#scheduler/heap';
import type { Policy } from '../policy.ts';
import {
  createDesk,
  drain,
  evictedFor,
  join,
  keepFor,
  nextDeadline,
  note,
  room,
  serve,
  startPending,
  stop,
} from './desk.ts';
import type { Desk, Runner, Waiting } from './desk.ts';

const keepAliveMs = 5 * 60_000;

interface Server {
  readonly desk: Desk;
  /** Who asked for what was not loaded, in the order in which they came. */
  readonly line: Set<Waiting>;
  /** What the first in line waits for: its unit is being brought up. */
  loading: Runner | null;
  readonly expiries: Heap<Entry & { readonly runner: Runner }>;
}

/**
 * After Ollama's scheduler (`server/sched.go` of ollama/ollama, August 2026): who asks for what is loaded or loading is
 * handed to it; everyone else stands in one line, of which only the first is looked at. When it does not fit, the idle unit
 * with the shortest remaining keep-alive of 5 minutes is unloaded, one after the other, until it does; the next in line has
 * its turn once that one is loaded. What was not used for 5 minutes is unloaded.
 *
 * Kinder than the source in three things: it takes the remaining keep-alive where the source compares the configured one
 * (the same for all) and then the names; when nothing is idle it takes the first that becomes so, where the source waits for
 * one it marked; and it may fill the memory, of which the source leaves a fifth free and loads 3 models a GPU.
 */
export function ollama(limitBytes: number): Policy {
  const desk = createDesk(limitBytes);
  const server: Server = { desk, line: new Set(), loading: null, expiries: createHeap() };
  return {
    name: 'ollama',
    step(event, now) {
      note(desk, event, now);
      if (event.kind === 'request') receive(server, desk.waiting.get(event.waiter.id), now);
      else if ('unit' in event && typeof event.unit === 'string') attend(server, event, now);
      expire(server, now);
      advance(server, now);
      startPending(desk);
      return drain(desk);
    },
    nextWake: () => Math.min(nextDeadline(desk), nextExpiry(server)),
  };
}

const isLoaded = ({ phase, pending }: Runner): boolean => phase === 'ready' || phase === 'starting' || pending;

function receive(server: Server, waiter: Waiting | undefined, now: number): void {
  if (!waiter) return;
  if (isLoaded(waiter.runner)) handOver(server, waiter, now);
  else server.line.add(waiter);
}

function handOver({ desk, line }: Server, waiter: Waiting, now: number): void {
  line.delete(waiter);
  join(desk, waiter);
  serve(desk, waiter.runner, now);
}

function attend(server: Server, event: Extract<Event, { unit: unknown }>, now: number): void {
  const runner = typeof event.unit === 'string' ? server.desk.runners.get(event.unit) : undefined;
  if (!runner || runner.phase !== 'ready') return;
  if (event.kind === 'started' && server.loading === runner) server.loading = null;
  serve(server.desk, runner, now);
  const at = runner.lastUsed + keepAliveMs;
  if (server.desk.idle.has(runner)) push(server.expiries, { at, seq: ++server.desk.seq, runner });
}

/** The first in line: handed over, loaded, or waiting for one that is unloaded for it. */
function advance(server: Server, now: number): void {
  const { desk, line } = server;
  for (const head of line) {
    if (!desk.waiting.has(head.id)) {
      line.delete(head);
      continue;
    }
    const { runner } = head;
    if (isLoaded(runner)) {
      handOver(server, head, now);
      continue;
    }
    if (server.loading) {
      if (desk.pending.has(server.loading) || server.loading.phase === 'starting') return;
      // Nobody waits for it any more, and it was not brought up.
      server.loading = null;
    }
    if (runner.bytes <= room(desk)) {
      server.loading = runner;
      handOver(server, head, now);
      keepFor(desk, runner);
      continue;
    }
    // One at a time, and the next only when that one is gone.
    if (desk.incoming > 0) return;
    for (const victim of desk.idle) return stop(desk, victim, evictedFor(runner, victim));
    return;
  }
}

function expire({ desk, expiries }: Server, now: number): void {
  for (let next = first(expiries); next && next.at <= now; next = first(expiries)) {
    pop(expiries);
    const { runner } = next;
    if (!desk.idle.has(runner) || runner.lastUsed + keepAliveMs !== next.at) continue;
    stop(desk, runner, { code: 'idle', ms: keepAliveMs });
  }
}

function nextExpiry({ desk, expiries }: Server): number {
  for (let next = first(expiries); next; next = first(expiries)) {
    if (desk.idle.has(next.runner) && next.runner.lastUsed + keepAliveMs === next.at) return next.at;
    pop(expiries);
  }
  return Infinity;
}
