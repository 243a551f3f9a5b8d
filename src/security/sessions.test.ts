import { describe, expect, it } from 'vitest';
import { fakeClock } from '#kernel/clock.fake';
import { principalWith } from './principal.fake.ts';
import type { Principal } from './principal.ts';
import { allows } from './scopes.ts';
import { createSessions, sessionMs, ticketMs } from './sessions.ts';

const admin = principalWith('admin');
const opened = (present: (principal: Principal) => Principal | null = (principal) => principal) => {
  const clock = fakeClock();
  return { clock, sessions: createSessions({ clock, present }) };
};

describe('sessions', () => {
  it('come from a ticket that is good once, and for a while', () => {
    const { clock, sessions } = opened();
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
    const { sessions } = opened();
    const { token } = sessions.ticket(admin);
    expect(sessions.verify(token)).toBeNull();
    const session = sessions.redeem(token)?.token ?? '';
    expect(sessions.redeem(session)).toBeNull();
  });

  it('however many tickets are asked for, the newest works', () => {
    const { sessions } = opened();
    for (let i = 0; i < 1_500; i++) sessions.ticket(admin);
    const { token } = sessions.ticket(admin);
    expect(sessions.redeem(token)).not.toBeNull();
  });

  it('end with the key they were opened with, and have what it has now', () => {
    let now: Principal | null = admin;
    const { sessions } = opened(() => now);
    const session = sessions.redeem(sessions.ticket(admin).token)?.token ?? '';
    const waiting = sessions.ticket(admin).token;
    now = principalWith('user');
    expect(sessions.verify(session)?.roles).toEqual(['user']);
    now = null;
    expect([sessions.verify(session), sessions.redeem(waiting)]).toEqual([null, null]);
  });

  it('for one service are good for that one alone, and only while their key is', () => {
    let now = principalWith('user');
    const { sessions } = opened(() => now);
    const session = sessions.redeem(sessions.ticket(now, ['services:use:x']).token)?.token ?? '';
    const rights = sessions.verify(session)?.rights ?? { scopes: [], reach: {} };
    expect(['x', 'y'].map((name) => allows(rights, 'services:use', name))).toEqual([true, false]);
    expect(allows(rights, 'state:read')).toBe(false);
    now = principalWith(null, ['services:use:y']);
    expect(sessions.verify(session)).toBeNull();
  });
});
