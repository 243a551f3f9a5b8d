import { describe, expect, it } from 'vitest';
import { decodeLedger, decodeState, decodeUnit } from '../api/decode.ts';
import type { PlatformEvent, Unit } from '../api/types.ts';
import { initialState, maxEvents, reduce } from './state.ts';
import type { ConsoleState } from './state.ts';

const unit = (id: string, extra = {}) => decodeUnit({ id, ...extra }) as Unit;
const snapshot = (...ids: string[]): PlatformEvent => ({
  type: 'state',
  state: decodeState({ units: ids.map((id) => ({ id })) }),
});
const receive = (state: ConsoleState, event: PlatformEvent, now = 0) => reduce(state, { type: 'received', event, now });
const log = (n: number): PlatformEvent => ({ type: 'log', entry: { at: `t${n}`, type: 'started', message: `m${n}` } });

describe('reduce', () => {
  it('is live with a snapshot, which replaces what was there', () => {
    const before = receive(receive(initialState, snapshot('service/a', 'service/b')), snapshot('service/b'));
    expect(before.connection.status).toBe('live');
    expect([...before.units.keys()]).toEqual(['service/b']);
  });

  it('changes one unit and leaves the others the same objects, so that only its row is drawn again', () => {
    const before = receive(initialState, snapshot('service/a', 'service/b'));
    const after = receive(before, { type: 'unit', unit: unit('service/a', { state: 'ready' }) }, 42);
    expect(after.units.get('service/a')).toMatchObject({ state: 'ready', receivedAt: 42 });
    expect(after.units.get('service/b')).toBe(before.units.get('service/b'));
  });

  it('takes the ledger as it comes', () => {
    const after = receive(initialState, { type: 'ledger', ledger: decodeLedger({ limitBytes: 7 }) });
    expect(after.ledger?.limitBytes).toBe(7);
  });

  it('keeps the newest happenings first and no more than it may', () => {
    let state = initialState;
    for (let n = 0; n <= maxEvents; n++) state = receive(state, log(n));
    expect(state.events).toHaveLength(maxEvents);
    expect(state.events[0]?.message).toBe(`m${maxEvents}`);
    expect(state.events.at(-1)?.message).toBe('m1');
  });

  it('does not repeat a happening that is told again after a reconnect, nor change for a sign of life', () => {
    const state = receive(initialState, log(1));
    expect(receive(state, log(1))).toBe(state);
    expect(receive(state, { type: 'alive' })).toBe(state);
  });

  it('keeps what was shown when the connection is lost', () => {
    const before = receive(initialState, snapshot('service/a'));
    const connection = { status: 'lost', reason: 'gone', retryAt: 5 } as const;
    const after = reduce(before, { type: 'connection', connection });
    expect(after).toEqual({ ...before, connection });
  });
});
