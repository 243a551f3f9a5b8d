import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import type { Arrival } from './plan.ts';

export interface Outcome {
  readonly arrival: Arrival;
  /** `whole`: everything came. `cut`: it had begun and broke off. `error`: nothing of it came, or a refusal. */
  readonly kind: 'whole' | 'cut' | 'error';
  /** Milliseconds to its first byte, which the service sends as soon as it is asked. NaN when none came. */
  readonly waitMs: number;
  readonly totalMs: number;
  readonly message: string;
}

export interface Door {
  readonly port: number;
  readonly key: string;
}

export interface Load {
  readonly outcomes: readonly Outcome[];
  readonly sent: () => number;
  /** Resolves when every request has come to its end. */
  readonly done: Promise<void>;
  stop(): void;
}

/** Sends each request at its time, whatever became of those before it. */
export function drive(arrivals: readonly Arrival[], door: Door, clientTimeoutMs: number): Load {
  const outcomes: Outcome[] = [];
  let sent = 0;
  const began = performance.now();
  const one = async (arrival: Arrival) => {
    sent++;
    outcomes.push(await ask(arrival, door, clientTimeoutMs));
  };
  const stop = new AbortController();
  const run = async () => {
    const pending: Promise<void>[] = [];
    for (const arrival of arrivals) {
      await until(began + arrival.at, stop.signal);
      if (stop.signal.aborted) break;
      pending.push(one(arrival));
    }
    await Promise.all(pending);
  };
  return { outcomes, sent: () => sent, done: run(), stop: () => stop.abort() };
}

function until(time: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, Math.max(0, time - performance.now()));
    signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
  });
}

/** Never rejects. A connection of its own each time: a kept one that closes would look like a fault of the platform. */
export function ask(arrival: Arrival, { port, key }: Door, timeoutMs: number): Promise<Outcome> {
  const { service, workMs, bytes, events } = arrival;
  const path = `/services/${service}/work?ms=${workMs}&bytes=${bytes}`;
  const headers = { authorization: `Bearer ${key}`, accept: events ? 'text/event-stream' : '*/*' };
  return new Promise((resolve) => {
    const began = performance.now();
    const body = events ? readEvents() : readBytes(bytes);
    let waitMs = NaN;
    const end = (failure: string | null) => {
      clearTimeout(timer);
      const message = failure ?? body.fault() ?? '';
      const kind = message === '' ? 'whole' : Number.isNaN(waitMs) ? 'error' : 'cut';
      resolve({ arrival, kind, waitMs, totalMs: performance.now() - began, message });
    };
    const req = request({ host: '127.0.0.1', port, path, headers, agent: false }, (res) => {
      if (res.statusCode !== 200) return void refusal(res).then((text) => end(`${res.statusCode}: ${text}`));
      res.setEncoding('latin1');
      res.on('data', (text: string) => {
        if (body.take(text) && Number.isNaN(waitMs)) waitMs = performance.now() - began;
      });
      res.on('error', (error) => end(error.message));
      res.on('end', () => end(null));
    });
    const timer = setTimeout(() => req.destroy(new Error(`no whole answer after ${timeoutMs} ms`)), timeoutMs);
    req.on('error', (error) => end(error.message));
    req.end();
  });
}

async function refusal(res: IncomingMessage): Promise<string> {
  let text = '';
  try {
    for await (const chunk of res) if (text.length < 2_000) text += String(chunk);
  } catch {
    // What came says enough.
  }
  return text.slice(0, 400);
}

interface Reader {
  /** True when something of the service's own was in it. */
  take(text: string): boolean;
  /** What is wrong with the answer as a whole; null when nothing is. */
  fault(): string | null;
}

function readBytes(expected: number): Reader {
  let got = 0;
  return {
    take(text) {
      got += text.length;
      return text.length > 0;
    },
    fault: () => (got === expected ? null : `${got} of ${expected} bytes came`),
  };
}

/** The door's comments are no answer yet, and an answer that lacks the last event is not whole. */
function readEvents(): Reader {
  let rest = '';
  let last = '';
  let error = '';
  return {
    take(text) {
      const blocks = (rest + text).split('\n\n');
      rest = blocks.pop() ?? '';
      const own = blocks.filter((block) => /^(data|event):/m.test(block));
      error ||= own.find((block) => /^event: error/m.test(block)) ?? '';
      last = own.at(-1) ?? last;
      return own.some((block) => !/^event: error/m.test(block));
    },
    fault: () => error || (last === 'data: end' && rest === '' ? null : `the last event was ${last.slice(0, 40)}`),
  };
}
