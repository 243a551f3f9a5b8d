import { describe, expect, it } from 'vitest';
import { memoryState } from '#contracts/state.fake';
import { fakeClock } from '#kernel/clock.fake';
import { createKeyDesk } from './key-desk.ts';
import { openKeys } from './keys.ts';
import type { MadeKey } from './keys.ts';
import { principalWith } from './principal.fake.ts';
import { createRoles } from './roles.ts';

const admin = principalWith('admin');
const clerk = principalWith('user', ['keys']);
const day = 86_400_000;

function opened(store = memoryState()) {
  const clock = fakeClock();
  const roles = createRoles({ reader: ['audit:read'] });
  const keys = openKeys({ store, clock, roles });
  const replaced: MadeKey[] = [];
  const first = keys.create({ name: 'the owner', principal: 'admin', roles: ['admin'], scopes: [], expiresAt: null });
  const owner = { id: () => first.facts.keyId, replace: async (made: MadeKey) => void replaced.push(made) };
  return { clock, roles, keys, first, owner, replaced, desk: createKeyDesk({ keys, roles, clock, owner }) };
}
const code = (expected: string, message?: string | RegExp) =>
  expect.objectContaining({
    code: expected,
    ...(message ? { message: expect.stringMatching(message) as string } : {}),
  }) as Error;

describe('a new key', () => {
  it('is a user by default, speaks for its name, and lasts', () => {
    const { desk, keys } = opened();
    const { key, facts } = desk.create(admin, { name: 'My Notebook' });
    expect(facts).toMatchObject({
      principal: 'my-notebook',
      roles: ['user'],
      scopes: [],
      expiresAt: null,
      replacedBy: null,
    });
    expect(keys.verify(key)?.id).toBe('my-notebook');
    expect(JSON.stringify(desk.list())).not.toContain(key);
  });

  it('ends when it was said to, and never after the one that made it', () => {
    const { clock, desk } = opened();
    const ends = (by: typeof admin, expiresIn?: string) =>
      Date.parse(desk.create(by, { name: 'x', ...(expiresIn ? { expiresIn } : {}) }).facts.expiresAt ?? '') -
      clock.wall();
    const brief = { ...admin, expiresAt: clock.wall() + day };
    expect([ends(admin, '90d'), ends(brief, '90d'), ends(brief), ends(brief, '1h')]).toEqual([
      ...[90 * day, day, day, 3_600_000],
    ]);
  });

  it.each([
    [{}, 'name is missing'],
    [{ name: ' ' }, 'name is missing'],
    [{ name: 'service/n8n' }, 'no / or #'],
    [{ name: 'x', principal: 'https://issuer#ada' }, 'no / or #'],
    [{ name: 'x'.repeat(101) }, 'at most 100'],
    [{ name: 'a\nb' }, 'no / or #'],
    [{ name: 'x', roles: ['admn'] }, 'There is no role admn. Did you mean admin?'],
    [{ name: 'x', scopes: ['model:use'] }, 'Did you mean models:use?'],
    [{ name: 'x', roles: [] }, 'good for nothing'],
    [{ name: 'x', expiresIn: 'soon' }, 'expiresIn is no duration'],
    [{ name: 'x', expiresIn: '0s' }, 'good for nothing'],
    [{ name: 'x', expiresIn: '9999999d' }, 'expiresIn is no duration'],
  ])('%j is refused: %s', (ask, message) => {
    const { desk, keys } = opened();
    expect(() => desk.create(admin, ask)).toThrow(code('BAD_REQUEST', message));
    expect(keys.list()).toHaveLength(1);
  });
});

describe('nobody', () => {
  it('gives more than they hold, by a role or by a scope', () => {
    const { desk } = opened();
    for (const ask of [
      { roles: ['admin'] },
      { roles: ['operator'] },
      { roles: ['reader'] },
      { scopes: ['*'] },
      { scopes: ['models:manage'] },
    ])
      expect(() => desk.create(clerk, { name: 'x', ...ask })).toThrow(code('FORBIDDEN'));
    expect(desk.create(clerk, { name: 'x', scopes: ['models:use:a*', 'keys'] }).facts.scopes).toHaveLength(2);
  });

  it('renews or ends a key that may more than they do', async () => {
    const { desk, first, keys } = opened();
    await expect(desk.rotate(clerk, first.facts.keyId, '1h')).rejects.toThrow(code('FORBIDDEN'));
    const strong = desk.create(admin, { name: 'ops', roles: ['operator'] });
    expect(() => desk.revoke(clerk, strong.facts.keyId)).toThrow(code('FORBIDDEN'));
    expect(keys.list()).toHaveLength(2);
  });
});

describe('a key that there is', () => {
  it('is rotated and revoked by its id', async () => {
    const { desk, keys } = opened();
    const old = desk.create(admin, { name: 'x' });
    const made = await desk.rotate(admin, old.facts.keyId, '0s');
    expect([keys.verify(old.key), keys.verify(made.key)?.id]).toEqual([null, 'x']);
    await expect(desk.rotate(admin, old.facts.keyId, '1h')).rejects.toThrow(code('CONFLICT'));
    await expect(desk.rotate(admin, made.facts.keyId, 'soon')).rejects.toThrow(code('BAD_REQUEST', 'overlap'));
    desk.revoke(admin, made.facts.keyId);
    expect(keys.verify(made.key)).toBeNull();
    expect(() => desk.revoke(admin, made.facts.keyId)).toThrow(code('NOT_FOUND'));
  });

  it("of the owner is written to its file when it is rotated, and isn't revoked", async () => {
    const { desk, first, replaced } = opened();
    expect(() => desk.revoke(admin, first.facts.keyId)).toThrow(code('CONFLICT'));
    const made = await desk.rotate(admin, first.facts.keyId, '1h');
    expect(replaced).toMatchObject([{ key: made.key }]);
  });

  /** A store whose so-manieth row from now on cannot be written. */
  function failing() {
    const store = memoryState();
    let left = Infinity;
    const table = (name: string) => {
      const inner = store.table(name);
      const put = (key: string, value: never) => {
        if (--left === 0) throw new Error('the disk is full');
        inner.put(key, value);
      };
      return { ...inner, put };
    };
    return { store: { ...store, table } as typeof store, failAt: (count: number) => void (left = count) };
  }

  it.each([1, 2])('a rotation whose row %i cannot be written leaves what was', async (row) => {
    const { store, failAt } = failing();
    const { desk, keys } = opened(store);
    const old = desk.create(admin, { name: 'x' });
    const before = keys.list();
    failAt(row);
    await expect(desk.rotate(admin, old.facts.keyId, '0s')).rejects.toThrow('the disk is full');
    expect(keys.list()).toEqual(before);
    expect(keys.verify(old.key)).not.toBeNull();
  });

  it("regression: the owner's goes on when the file cannot be written, and the new one is good before the old one ends", async () => {
    const { store, failAt } = failing();
    const { desk, keys, first, owner, replaced } = opened(store);
    const before = keys.list();
    owner.replace = () => Promise.reject(new Error('the disk is full'));
    await expect(desk.rotate(admin, first.facts.keyId, '0s')).rejects.toThrow('the disk is full');
    expect(keys.list()).toEqual(before);
    owner.replace = async (made) => {
      expect([keys.verify(first.key), keys.verify(made.key)]).not.toContain(null);
      replaced.push(made);
    };
    // The new one is in the file by then.
    failAt(2);
    await expect(desk.rotate(admin, first.facts.keyId, '0s')).rejects.toThrow('the disk is full');
    expect([keys.verify(first.key), keys.verify(replaced[0]?.key ?? '')]).not.toContain(null);
  });
});
