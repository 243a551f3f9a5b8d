import { hash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { memoryState } from '#contracts/state.fake';
import { fakeClock } from '#kernel/clock.fake';
import type { Clock } from '#kernel/clock';
import { openKeys } from './keys.ts';
import { createMinted } from './minted.ts';
import { principalWith } from './principal.fake.ts';
import { createRoles } from './roles.ts';
import { allows } from './scopes.ts';

const plain = { name: 'laptop', principal: 'ada', roles: ['user'], scopes: [], expiresAt: null } as const;
const minute = 60_000;

function openedOn<C extends Clock>(clock: C, store = memoryState()) {
  const roles = createRoles();
  return { store, clock, roles, keys: openKeys({ store, clock, roles }) };
}

const opened = ({ store = memoryState(), clock = fakeClock() } = {}) => openedOn(clock, store);

describe('keys', () => {
  it('are known again after a restart, by their hash alone', () => {
    const { store, keys } = opened();
    const { key, facts } = keys.create(plain);
    expect(key.startsWith('sutaz-')).toBe(true);
    expect(key.startsWith(facts.prefix)).toBe(true);
    expect(JSON.stringify([...(store.rows.get('keys') ?? [])])).not.toContain(key);
    const again = opened({ store }).keys;
    expect(again.verify(key)).toMatchObject({ id: 'ada', keyId: facts.keyId, roles: ['user'] });
    expect([again.verify(`${key}x`), again.verify(key.slice(0, -1)), again.verify('')]).toEqual([null, null, null]);
  });

  it('stop working at once when they are revoked, and for good', () => {
    const { store, keys } = opened();
    const [first, second] = [keys.create(plain), keys.create(plain)];
    expect([keys.revoke(first.facts.keyId), keys.revoke(first.facts.keyId)]).toEqual([true, false]);
    expect([keys.verify(first.key), keys.principalOf(first.facts.keyId)]).toEqual([null, null]);
    expect(keys.verify(second.key)).not.toBeNull();
    expect(opened({ store }).keys.list()).toMatchObject([{ keyId: second.facts.keyId }]);
  });

  it('end when they expire, and are shown for a while after', () => {
    const { store, clock, keys } = opened();
    const { key } = keys.create({ ...plain, expiresAt: clock.wall() + minute });
    clock.advance(minute - 1);
    expect(keys.verify(key)).not.toBeNull();
    clock.advance(1);
    expect([keys.verify(key), keys.list()[0]?.expired]).toEqual([null, true]);
    expect(opened({ store, clock }).keys.list()).toHaveLength(1);
    clock.advance(31 * 86_400_000);
    expect(opened({ store, clock }).keys.list()).toEqual([]);
  });

  it('a machine whose date is set back revives none, and one set ahead ends them while it is', () => {
    const clock = fakeClock();
    let shift = 0;
    const { keys } = openedOn({ ...clock, wall: () => clock.wall() + shift });
    const { key } = keys.create({ ...plain, expiresAt: clock.wall() + minute });
    shift = 86_400_000;
    expect(keys.verify(key)).toBeNull();
    shift = 0;
    expect(keys.verify(key)).not.toBeNull();
    shift = -86_400_000;
    clock.advance(minute);
    expect(keys.verify(key)).toBeNull();
  });

  it('are rotated: both are good for the overlap, then only the new one', () => {
    const { store, clock, keys } = opened();
    const first = keys.create({ ...plain, expiresAt: clock.wall() + 60 * minute });
    const second = keys.renew(first.facts.keyId);
    if (!second) throw new Error('no key');
    keys.retire(first.facts.keyId, second.facts.keyId, 10 * minute);
    expect(second.facts).toMatchObject({ principal: 'ada', expiresAt: first.facts.expiresAt });
    expect(keys.list().find(({ keyId }) => keyId === first.facts.keyId)?.replacedBy).toBe(second.facts.keyId);
    for (const one of [keys, opened({ store, clock }).keys]) {
      expect([one.verify(first.key)?.id, one.verify(second.key)?.id]).toEqual(['ada', 'ada']);
    }
    clock.advance(10 * minute);
    expect([keys.verify(first.key), keys.verify(second.key)?.id]).toEqual([null, 'ada']);
    expect([keys.renew(first.facts.keyId), keys.renew('key-none')]).toEqual([null, null]);
  });

  it('an overlap makes no key live longer than it would have', () => {
    const { clock, keys } = opened();
    const first = keys.create({ ...plain, expiresAt: clock.wall() + minute });
    keys.retire(first.facts.keyId, 'key-other', 10 * minute);
    clock.advance(minute);
    expect(keys.verify(first.key)).toBeNull();
  });

  it('one that was revoked meanwhile is not revived by being retired', () => {
    const { store, clock, keys } = opened();
    const first = keys.create(plain);
    keys.revoke(first.facts.keyId);
    keys.retire(first.facts.keyId, 'key-other', 10 * minute);
    for (const one of [keys, opened({ store, clock }).keys]) expect(one.verify(first.key)).toBeNull();
  });

  it('say when they were last used, written down at intervals and not at each use', () => {
    const { store, clock, keys } = opened();
    const { key } = keys.create(plain);
    clock.advance(minute);
    keys.verify(key);
    const at = new Date(clock.wall()).toISOString();
    expect(keys.list()[0]?.lastUsedAt).toBe(at);
    expect(opened({ store, clock }).keys.list()[0]?.lastUsedAt).toBeNull();
    keys.flush();
    expect(opened({ store, clock }).keys.list()[0]?.lastUsedAt).toBe(at);
  });

  it('have what their roles allow now', () => {
    const { roles, keys } = opened();
    const { key } = keys.create({ ...plain, roles: ['reader'] });
    const may = () => allows(keys.verify(key)?.rights ?? { scopes: [], reach: {} }, 'audit:read');
    expect(may()).toBe(false);
    roles.configure({ reader: ['audit:read'], admin: [] });
    expect([may(), roles.scopesOf('admin')]).toEqual([true, ['*']]);
    roles.configure({});
    expect(may()).toBe(false);
  });

  it('a flood of wrong ones leaves nothing behind', () => {
    const { keys, store } = opened();
    for (let i = 0; i < 10_000; i++) expect(keys.verify(`sutaz-${i}`)).toBeNull();
    expect([keys.list(), store.rows.get('keys')?.size]).toEqual([[], 0]);
  });
});

describe('keys of the first form', () => {
  const row = (id: string, role: string) => ({
    id,
    name: id,
    role,
    prefix: 'sutaz-AbCd',
    createdAt: '2026-01-01T00:00:00Z',
  });

  it('go on, each with an id of its own, and are written anew', () => {
    const store = memoryState();
    const table = store.table('keys');
    const [first, second, strange] = ['sutaz-one', 'sutaz-two', 'sutaz-three'];
    table.put(hash('sha256', first), row('admin', 'admin'));
    table.put(hash('sha256', second), row('bob', 'use'));
    table.put(hash('sha256', strange), { role: 'root' });
    const { keys } = opened({ store });
    const rightsOf = (key: string) => keys.verify(key)?.rights ?? { scopes: [], reach: {} };
    expect(keys.verify(first)).toMatchObject({ id: 'admin', roles: ['admin'] });
    expect(allows(rightsOf(first), 'platform:manage')).toBe(true);
    expect([allows(rightsOf(second), 'models:use', 'x'), allows(rightsOf(second), 'models:manage')]).toEqual([
      true,
      false,
    ]);
    expect(rightsOf(strange).scopes).toEqual([]);
    const ids = keys.list().map(({ keyId }) => keyId);
    expect(new Set(ids).size).toBe(3);
    expect(
      opened({ store })
        .keys.list()
        .map(({ keyId }) => keyId),
    ).toEqual(ids);
    expect([...(store.rows.get('keys')?.values() ?? [])].join()).not.toContain('"role"');
  });
});

it('keys of instances are withdrawn with them', () => {
  const minted = createMinted();
  const a = principalWith('service', [], 'service/a');
  minted.mint('service/a', a, 'secret');
  minted.mint('service/a~2', a, 'other');
  expect([minted.verify('secret')?.id, minted.verify('other')?.id]).toEqual(['service/a', 'service/a']);
  minted.withdraw('service/a');
  expect([minted.verify('secret'), minted.verify('other')?.id]).toEqual([null, 'service/a']);
});
