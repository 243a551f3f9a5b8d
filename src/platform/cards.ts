import type { Clock } from '#kernel/clock';
import { toFault } from '#kernel/faults';
import type { UnitId } from '#kernel/ids';
import type { Logger } from '#kernel/logger';
import { repeat } from '#kernel/repeat';
import { bytesByGroup } from '#runtime/gpu';
import type { Gpu, GpuReader, GpuSnapshot } from '#runtime/gpu';
import { chargedVramOf } from '#scheduler/devices';
import type { Scheduler } from '#scheduler/run-loop';
import type { Card, CardFacts } from '#units/placement';

export interface CardDeps {
  readonly reader: GpuReader;
  readonly clock: Clock;
  readonly log: Logger;
  /** Bytes to leave free on each card. */
  readonly reserveBytes: () => number;
  readonly scheduler: Pick<Scheduler, 'dispatch' | 'state'>;
  /** The processes that instances began with, also of those that an earlier platform left and nobody took over yet. */
  readonly instances: () => readonly { readonly unit: UnitId; readonly pid: number }[];
}

export interface Cards {
  /** Empty where there are none. */
  list(): readonly CardFacts[];
  /** Looks now. Never throws: without an answer what was known last holds. */
  look(): Promise<void>;
  /** Looks again now and then, where there is something to look at. `onChange`: another part of units may fit now. */
  follow(onChange: () => void): () => void;
}

/** Milliseconds between looks: asking the driver takes a process and some tens of milliseconds of CPU each time. */
const lookEveryMs = 10_000;
/** What others hold is rounded up to this, lest each of their small changes moves layers about. */
const stepBytes = 256 * 2 ** 20;

/** The graphics cards of this machine in the account: what units may hold there, and what they do. */
export function createCards(deps: CardDeps): Cards {
  const { reader, clock, log, scheduler } = deps;
  const abort = new AbortController();
  let cards: readonly CardFacts[] = [];
  let warned = false;
  const look = async (onChange?: () => void): Promise<void> => {
    const snapshot = await reader.read(abort.signal).catch((error: unknown) => {
      if (!warned && !abort.signal.aborted)
        log.warn('the graphics cards cannot be read', { error: toFault(error).message });
      warned = true;
      return null;
    });
    if (!snapshot) return;
    warned = false;
    const held = await heldByUnits(snapshot, deps);
    const now = cardsFrom(snapshot, (gpu) => oursOn(gpu, snapshot, held, scheduler), deps.reserveBytes());
    const changed = JSON.stringify(now.map(limitsOf)) !== JSON.stringify(cards.map(limitsOf));
    cards = now;
    if (changed) {
      scheduler.dispatch({ kind: 'devices', devices: cards.map(({ id, limitBytes }) => ({ id, limitBytes })) });
      onChange?.();
    }
    tellMeasured(held, cards, scheduler);
  };
  return {
    list: () => cards,
    look: () => look(),
    follow(onChange) {
      const again = () => look(onChange);
      const onError = (error: unknown) => log.error('a look at the graphics cards failed', { error: String(error) });
      const stop = cards.length === 0 ? () => undefined : repeat(clock, lookEveryMs, again, onError);
      return () => {
        stop();
        abort.abort();
      };
    },
  };
}

const limitsOf = ({ id, uuid, limitBytes }: Card) => [id, uuid, limitBytes];

/** What each unit's processes hold, by the card's uuid. */
type Held = ReadonlyMap<UnitId, ReadonlyMap<string, number>>;

async function heldByUnits({ uses }: GpuSnapshot, { instances }: CardDeps): Promise<Held> {
  const groups = await bytesByGroup(uses);
  const held = new Map<UnitId, ReadonlyMap<string, number>>();
  for (const { unit, pid } of instances()) {
    const found = groups.get(pid);
    if (found) held.set(unit, found);
  }
  return held;
}

/** Some drivers keep to themselves what a process holds. */
const isSecret = ({ uses }: GpuSnapshot, gpu: Gpu): boolean =>
  uses.some(({ uuid, bytes }) => uuid === gpu.uuid && bytes === null);

/** What units hold on the card: as far as that is kept secret, what they were admitted with. */
function oursOn(gpu: Gpu, snapshot: GpuSnapshot, held: Held, { state }: CardDeps['scheduler']): number {
  let ours = 0;
  for (const devices of held.values()) ours += devices.get(gpu.uuid) ?? 0;
  for (const unit of isSecret(snapshot, gpu) ? state.awake : []) {
    if (unit.card.held?.device === nameOf(gpu) && !held.get(unit.spec.id)?.has(gpu.uuid)) ours += chargedVramOf(unit);
  }
  return ours;
}

const nameOf = ({ index }: Gpu): string => `gpu${index}`;

/**
 * The cards with what units may hold on them: the whole less what other programs hold and a reserve. Not those that do not tell
 * how much memory they have: what shares the machine's is in that account already.
 */
export function cardsFrom(
  snapshot: GpuSnapshot,
  oursOn: (gpu: Gpu) => number,
  reserveBytes: number,
): readonly CardFacts[] {
  return snapshot.gpus.flatMap((gpu) => {
    if (gpu.totalBytes === null) return [];
    const ours = oursOn(gpu);
    const otherBytes = Math.max(0, (gpu.usedBytes ?? ours) - ours);
    const kept = reserveBytes + Math.ceil(otherBytes / stepBytes) * stepBytes;
    return {
      ...{ id: nameOf(gpu), uuid: gpu.uuid, name: gpu.name, totalBytes: gpu.totalBytes, otherBytes },
      measuredBytes: isSecret(snapshot, gpu) ? null : ours,
      limitBytes: Math.max(0, gpu.totalBytes - kept),
    };
  });
}

function tellMeasured(held: Held, cards: readonly Card[], { dispatch, state }: CardDeps['scheduler']): void {
  for (const [unit, devices] of held) {
    const device = state.units.get(unit)?.card.held?.device;
    const bytes = devices.get(cards.find(({ id }) => id === device)?.uuid ?? '');
    if (bytes !== undefined) dispatch({ kind: 'measured-vram', unit, bytes });
  }
}
