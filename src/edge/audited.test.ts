import { afterEach, describe, expect, it } from 'vitest';
import { openDoor } from './door.fake.ts';
import type { OpenDoor } from './door.fake.ts';

let door: OpenDoor;
afterEach(() => door.close());

describe('what changes rights or state', () => {
  it.each([
    ['POST', '/sutaz/v1/units/x/stop', 'stopUnit', 'x', 200],
    ['DELETE', '/sutaz/v1/models/hf%2Fx', 'removeModel', 'hf/x', 204],
    ['POST', '/sutaz/v1/console-links', 'createConsoleLink', null, 201],
    ['POST', '/api/pull', 'POST /api/pull', null, 400],
  ])('%s %s is written down', async (method, path, what, target, status) => {
    door = await openDoor((_, res) => res.end());
    await door.ask(path, { method });
    const who = { principal: 'admin', keyId: 'key-admin', from: '127.0.0.1' };
    expect(door.audited).toMatchObject([{ what, target, status, ...who, traceId: expect.stringMatching(/^\w{32}$/) }]);
  });

  it('regression: behind a trusted proxy the address is the client it tells of', async () => {
    const peers = { trusts: (address: string) => address === '127.0.0.1', needsTls: () => false };
    door = await openDoor((_, res) => res.end(), { peers });
    await door.ask('/sutaz/v1/units/x/stop', {
      method: 'POST',
      headers: { 'x-forwarded-for': '10.0.0.1, 203.0.113.7' },
    });
    expect(door.audited).toMatchObject([{ what: 'stopUnit', from: '203.0.113.7' }]);
  });

  it('is written down when it is refused, too', async () => {
    door = await openDoor((_, res) => res.end());
    await door.ask('/sutaz/v1/units/x/stop', { method: 'POST', key: 'sutaz-use' });
    expect(door.audited).toMatchObject([{ what: 'stopUnit', target: 'x', status: 403, principal: 'user' }]);
  });

  it('and nothing else is', async () => {
    door = await openDoor((_, res) => res.end());
    for (const path of [
      '/sutaz/v1/state',
      '/sutaz/v1/units/x/logs',
      '/v1/models',
      '/services/x/',
      '/healthz',
      '/sutaz/v1/keys',
    ])
      await door.ask(path);
    await door.ask('/services/x/', { method: 'POST' });
    await door.ask('/sutaz/v1/units/x/stop', { method: 'PUT' });
    await door.ask('/sutaz/v1/units/x/stop', { method: 'POST', key: null });
    expect(door.audited).toEqual([]);
  });
});
