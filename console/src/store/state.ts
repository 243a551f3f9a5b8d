import type { Ledger, LogEntry, Platform, PlatformEvent, Unit } from '../api/types.ts';

/** How many happenings the page remembers. */
export const maxEvents = 200;

/** `receivedAt` (the page's clock, ms) lets what was a span when it was sent, idle for, about to take, go on counting. */
export type LiveUnit = Unit & { readonly receivedAt: number };

export type LoggedEvent = LogEntry & { readonly key: string };

/** `lost` has happened to a page that was live or could not become so; it retries by itself. `signed-out` does not. */
export type Connection =
  | { readonly status: 'connecting' | 'live' | 'signed-out' }
  | { readonly status: 'lost'; readonly reason: string; readonly retryAt: number };

export interface ConsoleState {
  readonly connection: Connection;
  /** Null until the first snapshot. */
  readonly platform: Platform | null;
  readonly ledger: Ledger | null;
  readonly units: ReadonlyMap<string, LiveUnit>;
  /** Newest first. */
  readonly events: readonly LoggedEvent[];
}

export type Change =
  | { readonly type: 'received'; readonly event: PlatformEvent; readonly now: number }
  | { readonly type: 'connection'; readonly connection: Connection };

export const initialState: ConsoleState = {
  connection: { status: 'connecting' },
  platform: null,
  ledger: null,
  units: new Map(),
  events: [],
};

/** The next state. Gives the same object back when nothing changed, so that nothing is drawn again. */
export function reduce(state: ConsoleState, change: Change): ConsoleState {
  return change.type === 'connection'
    ? { ...state, connection: change.connection }
    : received(state, change.event, change.now);
}

function received(state: ConsoleState, event: PlatformEvent, now: number): ConsoleState {
  switch (event.type) {
    case 'state':
      return {
        ...state,
        // Only a snapshot makes the page live: what it showed before may be of another life of the platform.
        connection: { status: 'live' },
        platform: event.state.platform,
        ledger: event.state.ledger,
        units: new Map(event.state.units.map((unit) => [unit.id, { ...unit, receivedAt: now }])),
      };
    case 'unit':
      return { ...state, units: new Map(state.units).set(event.unit.id, { ...event.unit, receivedAt: now }) };
    case 'ledger':
      return { ...state, ledger: event.ledger };
    case 'log':
      return logged(state, event.entry);
    case 'alive':
      return state;
  }
}

/** A platform that tells its last happenings again to whoever reconnects must not make them happen twice here. */
function logged(state: ConsoleState, entry: LogEntry): ConsoleState {
  const key = [entry.at, entry.type, entry.unit ?? '', entry.message].join('\u0000');
  if (state.events.some((known) => known.key === key)) return state;
  return { ...state, events: [{ ...entry, key }, ...state.events].slice(0, maxEvents) };
}
