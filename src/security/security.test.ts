import { describe, expect, it } from 'vitest';
import type { Json } from '#contracts/driver';
import type { StateStore } from '#contracts/state';
import { fakeClock } from '#kernel/clock.fake';
import { isSameOrigin, nameHost } from './hosts.ts';
import { createMinted, openKeys } from './keys.ts';
import { createSessions, sessionMs, ticketMs } from './sessions.ts';

const admin = { id: 'admin', name: 'the owner', role: 'admin' } as const;

function memoryStore(): StateStore & { readonly rows: Map<string, Json> } {
  const rows = new Map<string, Json>();
  const table = <T extends Json>() => ({
    get: (key: string) => (rows.get(key) as T | undefined) ?? null,
    put: (key: string, value: T) => void rows.set(key, value),
    delete: (key: string) => void rows.delete(key),
    list: () => [...rows].map(([key, value]) => ({ key, value: value as T })),
  });
  return { rows, table, close: async () => undefined };
}

describe('keys', () => {
  it('are known again after a restart, by their hash alone', () => {
    const store = memoryStore();
    const key = openKeys(store, fakeClock()).create(admin);
    expect(JSON.stringify([...store.rows])).not.toContain(key);
    expect(openKeys(store, fakeClock()).verify(key)).toMatchObject(admin);
    expect(openKeys(store, fakeClock()).verify(`${key}x`)).toBeNull();
  });

  it('stop working at once when they are revoked', () => {
    const store = memoryStore();
    const keys = openKeys(store, fakeClock());
    const [first, second] = [keys.create(admin), keys.create({ ...admin, id: 'other' })];
    keys.revoke('admin');
    expect(keys.verify(first)).toBeNull();
    expect(keys.verify(second)).toMatchObject({ id: 'other' });
    expect(
      openKeys(store, fakeClock())
        .list()
        .map(({ id }) => id),
    ).toEqual(['other']);
  });

  it('of instances are withdrawn with them', () => {
    const minted = createMinted();
    const a = { id: 'service/a', name: 'a', role: 'use' } as const;
    minted.mint('service/a', a, 'secret');
    minted.mint('service/a~2', a, 'other');
    expect([minted.verify('secret')?.id, minted.verify('other')?.id]).toEqual(['service/a', 'service/a']);
    minted.withdraw('service/a');
    expect([minted.verify('secret'), minted.verify('other')?.id]).toEqual([null, 'service/a']);
  });
});

describe('sessions', () => {
  it('come from a ticket that is good once, and for a while', () => {
    const clock = fakeClock();
    const sessions = createSessions(clock);
    const { token } = sessions.ticket(admin);
    const session = sessions.redeem(token);
    expect(sessions.redeem(token)).toBeNull();
    expect(sessions.verify(session?.token ?? '')).toEqual(admin);
    const late = sessions.ticket(admin).token;
    clock.advance(ticketMs);
    expect(sessions.redeem(late)).toBeNull();
    clock.advance(sessionMs);
    expect(sessions.verify(session?.token ?? '')).toBeNull();
  });

  it('a ticket is no session and a session no ticket', () => {
    const sessions = createSessions(fakeClock());
    const { token } = sessions.ticket(admin);
    expect(sessions.verify(token)).toBeNull();
    const session = sessions.redeem(token)?.token ?? '';
    expect(sessions.redeem(session)).toBeNull();
  });

  it('however many tickets are asked for, the newest works', () => {
    const sessions = createSessions(fakeClock());
    for (let i = 0; i < 1_500; i++) sessions.ticket(admin);
    const { token } = sessions.ticket(admin);
    expect(sessions.redeem(token)).not.toBeNull();
  });
});

describe('hosts', () => {
  it.each([
    ['localhost:8080', { kind: 'door' }],
    ['127.0.0.1', { kind: 'door' }],
    ['[::1]:8080', { kind: 'door' }],
    ['LOCALHOST', { kind: 'door' }],
    ['box.lan:80', { kind: 'door' }],
    ['nas.lan', { kind: 'door' }],
    ['node-red.localhost:8080', { kind: 'service', id: 'node-red' }],
    ['a.b.localhost', { kind: 'unknown' }],
    ['localhost.evil.example', { kind: 'unknown' }],
    ['evil.example', { kind: 'unknown' }],
    ['', { kind: 'unknown' }],
    [undefined, { kind: 'unknown' }],
  ])('%s', (header, named) => expect(nameHost(header, ['box.lan', 'NAS.lan'])).toEqual(named));
});

describe('a request that a cookie vouches for', () => {
  const facts = {
    method: 'GET',
    host: 'localhost:8080',
    origin: undefined,
    fetchSite: undefined,
    fetchMode: undefined,
    upgrade: false,
  };
  it.each([
    ['reads from the same page', { fetchSite: 'same-origin' }, true],
    ['is typed into the address bar', { fetchSite: 'none' }, true],
    ['follows a link from elsewhere', { fetchSite: 'cross-site', fetchMode: 'navigate' }, true],
    ['is an image of another site', { fetchSite: 'cross-site', fetchMode: 'no-cors' }, false],
    ['is an image of another port', { fetchSite: 'same-site', fetchMode: 'no-cors' }, false],
    ['comes from a program that says nothing', {}, true],
    ['posts from the same page', { method: 'POST', origin: 'http://localhost:8080' }, true],
    ['posts from another site', { method: 'POST', origin: 'https://evil.example' }, false],
    ['posts from another port', { method: 'POST', origin: 'http://localhost:9090' }, false],
    ['posts from a sandboxed page', { method: 'POST', origin: 'null' }, false],
    ['posts and does not say from where', { method: 'POST' }, false],
    ['opens a WebSocket from another site', { upgrade: true, origin: 'https://evil.example' }, false],
    ['opens a WebSocket and does not say from where', { upgrade: true, fetchSite: 'none' }, false],
  ])('%s', (_, more, allowed) => expect(isSameOrigin({ ...facts, ...more })).toBe(allowed));
});
