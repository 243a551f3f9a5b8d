import type { RequestListener } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { Fault } from '#kernel/faults';
import { openDoor } from './door.fake.ts';
import type { Asking, OpenDoor } from './door.fake.ts';

let door: OpenDoor;
afterEach(() => door.close());
const sleeping = async (service: RequestListener) => {
  door = await openDoor(service);
  door.world.hold();
  return door;
};
const until = async (done: () => boolean): Promise<void> => {
  while (!done()) await new Promise((resolve) => setImmediate(resolve));
};
const waiting = (count = 1) => until(() => door.world.waiting.size === count);

const streamed: Asking = { method: 'POST', body: '{"model":"x","stream":true}' };
const chat = (asking: Asking = streamed) => door.ask('/v1/chat/completions', asking);
const events: RequestListener = (_, res) => {
  res.writeHead(200, { 'content-type': 'text/event-stream' });
  res.end('data: {"token":1}\n\ndata: [DONE]\n\n');
};
const refuses: RequestListener = (_, res) => {
  res.writeHead(400, { 'content-type': 'application/json' });
  res.end('{\n  "error": {"message": "no"}\n}');
};

describe('a stream that waits', () => {
  it('for less than a second is an answer like any other', async () => {
    await sleeping(events);
    const asked = chat();
    await waiting();
    door.clock.advance(999);
    door.world.wake();
    const { text, headers } = await asked;
    expect(text).toBe('data: {"token":1}\n\ndata: [DONE]\n\n');
    expect(headers['server-timing']).toBeDefined();
  });

  it('gets its headers after a second, and comments until it is served', async () => {
    await sleeping(events);
    const asked = chat();
    await waiting();
    door.clock.advance(2_000);
    door.world.wake();
    const { status, text } = await asked;
    expect(status).toBe(200);
    expect(text.split('\n\n').slice(0, 3)).toEqual([
      ': {"phase":"starting","percent":10}',
      ': {"phase":"starting","percent":10}',
      'data: {"token":1}',
    ]);
    door.clock.advance(60_000);
    expect(door.clock.pending).toBe(0);
    await until(() => door.world.leases === 0);
  });

  it('is told of a failure by a status before its headers, by an event and a broken end after them', async () => {
    await sleeping(events);
    const early = chat();
    await waiting();
    door.world.fail(new Fault('NO_MEMORY', 'too large'));
    expect(await early).toMatchObject({ status: 503 });
    door.world.waiting.clear();
    const late = chat();
    await waiting();
    door.clock.advance(1_000);
    door.world.fail(new Fault('NO_MEMORY', 'too large'));
    await expect(late).rejects.toThrow();
  });

  it('that the engine refuses in the end is told so in one event', async () => {
    await sleeping(refuses);
    const asked = chat();
    await waiting();
    door.clock.advance(1_000);
    door.world.wake();
    expect((await asked).text).toMatch(/\n\ndata: \{ "error": \{"message": "no"\} \}\n\n$/);
  });

  it('regression: an answer that is no stream does not break the stream that was begun', async () => {
    await sleeping((_, res) => res.setHeader('content-type', 'application/json').end('{"a":\n1}'));
    const asked = door.ask('/services/x/', { headers: { accept: 'text/event-stream' } });
    await waiting();
    door.clock.advance(1_000);
    door.world.wake();
    expect((await asked).text).toMatch(/\n\ndata: \{"a": 1\}\n\n$/);
  });

  it('regression: who takes JSON as well is not answered by events', async () => {
    await sleeping((_, res) => res.end('plain'));
    const asked = door.ask('/services/x/', { headers: { accept: 'application/json, text/event-stream' } });
    await waiting();
    door.clock.advance(2_000);
    door.world.wake();
    expect((await asked).text).toBe('plain');
  });

  it('and whose client leaves is forgotten', async () => {
    await sleeping(events);
    const leaving = new AbortController();
    const asked = chat({ ...streamed, signal: leaving.signal });
    await waiting();
    leaving.abort();
    await expect(asked).rejects.toThrow();
    await waiting(0);
    expect([door.world.lingered, door.world.leases]).toEqual([[], 0]);
    door.clock.advance(10_000);
    expect(door.clock.pending).toBe(0);
  });
});

describe('a plain caller', () => {
  it('is held, then told to come back, while the wake goes on', async () => {
    await sleeping(events);
    const asked = chat({ method: 'POST', body: '{"model":"x"}' });
    await waiting();
    door.clock.advance(10_000);
    const { status, headers, text } = await asked;
    expect({ status, retry: headers['retry-after'] }).toEqual({ status: 503, retry: '5' });
    expect(JSON.parse(text)).toMatchObject({ error: { code: 'waking', details: { progress: { phase: 'starting' } } } });
    expect(door.world.lingered).toEqual(['model/x']);
  });

  it('in a browser sees a page that asks again, and nothing of a service is run in it', async () => {
    await sleeping(events);
    const page = await door.ask('/services/x/', { headers: { accept: 'text/html' } });
    expect(page).toMatchObject({ status: 503, headers: { 'retry-after': '1', 'cache-control': 'no-store' } });
    expect(page.text).toContain('http-equiv="refresh"');
    expect(page.text).toContain('&lt;x&gt; is waking');
    expect(page.text).not.toContain('<x>');
    expect(door.world.lingered).toEqual(['service/x']);
  });
});

it('a stream under way ends with an error event and no clean end when its engine dies', async () => {
  door = await openDoor((_, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    res.write('data: 1\n\n', () => res.destroy());
  });
  let text = '';
  const { request } = await import('node:http');
  const headers = { host: `localhost:${door.port}`, 'x-sutaz-key': 'sutaz-use' };
  const req = request({ port: door.port, host: '127.0.0.1', method: 'POST', path: '/v1/chat/completions', headers });
  const broken = new Promise((resolve) =>
    req.on('response', (res) => res.on('data', (data) => (text += String(data))).on('error', resolve)),
  );
  req.end(streamed.body);
  await broken;
  expect(text).toMatch(/^data: 1\n\ndata: \{"error":\{"message":"The service broke off/);
  await until(() => door.world.leases === 0);
});

describe('a stream of events that may be silent', () => {
  /** Begun, with what says its next event. */
  async function silent() {
    const said: ((text: string) => void)[] = [];
    door = await openDoor((_, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      res.write('data: 0\n\n');
      said.push((text) => (text === '' ? res.end() : res.write(`data: ${text}\n\n`)));
    });
    door.world.silenceMs = 1_000;
    const answer = door.ask('/services/x/events');
    // Handled here too: a test may fail before it awaits the answer.
    answer.catch(() => undefined);
    await until(() => door.world.open === 1);
    door.clock.advance(1_000);
    expect(door.world.leases).toBe(0);
    door.world.hold();
    return { answer, say: (text: string) => said[0]?.(text) };
  }

  it('holds no lease while nothing comes, and takes one before what comes passes', async () => {
    const { answer, say } = await silent();
    say('1');
    say('2');
    say('');
    await waiting();
    door.world.wake();
    expect((await answer).text).toBe('data: 0\n\ndata: 1\n\ndata: 2\n\n');
    await until(() => door.world.leases === 0 && door.world.open === 0);
  });

  it('is broken off when its unit cannot be woken', async () => {
    const { answer, say } = await silent();
    say('1');
    await waiting();
    door.world.fail(new Fault('NO_MEMORY', 'too little'));
    await expect(answer).rejects.toThrow();
    await until(() => door.world.open === 0);
    expect(door.logged).toMatchObject([{ code: 'UPSTREAM_FAILED' }]);
  });

  it('that the service breaks off says so with its lease', async () => {
    door = await openDoor((_, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      res.write('data: 0\n\n', () => res.destroy());
    });
    door.world.silenceMs = 1_000;
    await expect(door.ask('/services/x/events')).rejects.toThrow();
    await until(() => door.world.open === 0);
    expect([door.world.leases, door.world.broken]).toEqual([0, 1]);
  });

  it('is given up when its client leaves', async () => {
    const leaving = new AbortController();
    door = await openDoor((_, res) => void res.writeHead(200, { 'content-type': 'text/event-stream' }).write(':\n\n'));
    door.world.silenceMs = 1_000;
    const answer = door.ask('/services/x/events', { signal: leaving.signal });
    const left = expect(answer).rejects.toThrow();
    await until(() => door.world.open === 1);
    door.clock.advance(1_000);
    leaving.abort();
    await left;
    await until(() => door.world.open === 0);
    expect(door.world.leases).toBe(0);
  });
});
