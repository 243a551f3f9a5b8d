import type { ApiPlan, ApiPlannedUnit } from '#contracts/explanations';
import type { UnitId } from '#kernel/ids';
import { chargedVramOf, vramNeedOf } from '#scheduler/devices';
import { chargedOf, isProtected, reservationOf } from '#scheduler/state';
import type { State, Unit } from '#scheduler/state';
import { chooseVictims } from '#scheduler/victims';
import type { Candidate } from '#scheduler/victims';
import { regretOf, reloadMs } from '#scheduler/worth';

export interface TogetherInputs {
  readonly state: State;
  readonly now: number;
  readonly limitBytes: number;
  readonly limitReason: string;
  readonly asked: readonly UnitId[];
  /** What a unit's definition needs beside it, not what those need in turn. */
  readonly needs: (unit: UnitId) => readonly UnitId[];
  /** Whether what it declares is a guess until its file is here. */
  readonly isGuess: (unit: UnitId) => boolean;
}

/** One of those that are to be awake together, with those that stand on it. */
interface Member {
  readonly unit: Unit;
  readonly needs: readonly UnitId[];
  readonly neededBy: UnitId[];
}

/**
 * Whether units can be awake together with what they need, beside what never sleeps. What is awake now and may sleep does
 * not count: it would make room. Pure; a unit that the scheduler does not know is one that runs elsewhere.
 */
export function planTogether(inputs: TogetherInputs): ApiPlan {
  const { state, limitBytes, limitReason } = inputs;
  const { members, elsewhere } = gather(inputs);
  const always = [...state.units.values()].filter((unit) => isProtected(unit) && !members.has(unit.spec.id));
  const alwaysBytes = sumOf(always, (unit) => Math.max(reservationOf(unit), chargedOf(unit)));
  const units = [...members.values()].map(({ unit }) => unit);
  const totalBytes = sumOf(units, reservationOf);
  const available = limitBytes - alwaysBytes;
  const least = (member: Member) => sumOf(withNeeds(member, members), reservationOf);
  const cards = cardsOf(units, always, state);
  const fits = (member: Member) => least(member) <= available && fitsOnCards(withNeeds(member, members), cards);
  const everyFits = [...members.values()].every(fits);
  const over = { bytes: totalBytes - available, cards: cards.filter(({ spareBytes }) => spareBytes < 0) };
  const isOver = over.bytes > 0 || over.cards.length > 0;
  const sleeping = everyFits && isOver ? sleepers(over, members, inputs) : new Set<UnitId>();
  return {
    verdict: !isOver ? 'together' : everyFits ? 'in-turns' : 'never',
    devices: cards,
    ...{ limitBytes, limitReason, alwaysBytes, totalBytes, spareBytes: available - totalBytes, elsewhere },
    units: [...members.values()].map((member): ApiPlannedUnit => {
      const { spec, learnedBytes } = member.unit;
      const bytes = { declared: spec.declaredBytes, learned: learnedBytes, reserved: reservationOf(member.unit) };
      return {
        id: spec.id,
        bytes: { ...bytes, withNeeds: least(member) },
        vram: vramOf(member.unit),
        estimated: learnedBytes === null && inputs.isGuess(spec.id),
        ...{ stays: staysOf(member.unit), neededBy: member.neededBy },
        ...{ fits: fits(member), sleeps: sleeping.has(spec.id) },
      };
    }),
    always: always.map((unit) => ({
      id: unit.spec.id,
      bytes: Math.max(reservationOf(unit), chargedOf(unit)),
      why: unit.pinned ? 'pinned' : 'core',
    })),
  };
}

const vramOf = (unit: Unit): { readonly device: string; readonly bytes: number } | null => {
  const bytes = vramNeedOf(unit);
  return bytes > 0 && unit.spec.vram ? { device: unit.spec.vram.device, bytes } : null;
};

type CardPlan = NonNullable<ApiPlan['devices']>[number];

/** The sums for each card that any of them needs. */
function cardsOf(units: readonly Unit[], always: readonly Unit[], { devices }: State): readonly CardPlan[] {
  const ids = new Set(units.flatMap((unit) => vramOf(unit)?.device ?? []));
  return [...ids].map((id) => {
    const limitBytes = devices.get(id)?.limitBytes ?? 0;
    const totalBytes = onCard(units, id);
    const alwaysBytes = onCard(always, id);
    return { id, limitBytes, alwaysBytes, totalBytes, spareBytes: limitBytes - alwaysBytes - totalBytes };
  });
}

const onCard = (units: Iterable<Unit>, id: string): number =>
  sumOf(units, (unit) => {
    const held = unit.card.held?.device === id ? chargedVramOf(unit) : 0;
    return Math.max(held, vramOf(unit)?.device === id ? vramNeedOf(unit) : 0);
  });

const fitsOnCards = (units: Iterable<Unit>, cards: readonly CardPlan[]): boolean => {
  const all = [...units];
  return cards.every(({ id, limitBytes, alwaysBytes }) => onCard(all, id) <= limitBytes - alwaysBytes);
};

/** Those asked for and, after each, what it needs; each once. */
function gather({ state, asked, needs }: TogetherInputs) {
  const members = new Map<UnitId, Member>();
  const elsewhere: UnitId[] = [];
  const add = (id: UnitId, by: UnitId | null): void => {
    const known = members.get(id);
    const unit = state.units.get(id);
    if (!unit && !elsewhere.includes(id)) elsewhere.push(id);
    if (known && by && !known.neededBy.includes(by)) known.neededBy.push(by);
    if (known || !unit) return;
    const member: Member = { unit, needs: needs(id), neededBy: by ? [by] : [] };
    members.set(id, member);
    for (const need of member.needs) add(need, id);
  };
  for (const id of asked) add(id, null);
  return { members, elsewhere };
}

const staysOf = (unit: Unit): 'core' | 'pinned' | null =>
  isProtected(unit) ? (unit.pinned ? 'pinned' : 'core') : null;

const sumOf = (units: Iterable<Unit>, bytes: (unit: Unit) => number): number =>
  [...units].reduce((total, unit) => total + bytes(unit), 0);

/** What must be awake for the member to work: itself, what it needs however far, and those that never sleep. */
function withNeeds(member: Member, members: ReadonlyMap<UnitId, Member>): Set<Unit> {
  const found = new Set([...members.values()].map(({ unit }) => unit).filter(isProtected));
  const seen = new Set<Member>();
  const add = (one: Member | undefined): void => {
    if (!one || seen.has(one)) return;
    seen.add(one);
    found.add(one.unit);
    for (const need of one.needs) add(members.get(need));
  };
  add(member);
  return found;
}

/** Who would sleep so that the rest fits, for the least expected waiting; with each also who stands on it. */
function sleepers(
  over: { readonly bytes: number; readonly cards: readonly CardPlan[] },
  members: ReadonlyMap<UnitId, Member>,
  { state, now }: TogetherInputs,
): Set<UnitId> {
  const may = [...members.values()].filter(({ unit }) => !isProtected(unit));
  const ways = (list: readonly Member[]): Candidate<Unit>[] =>
    list.map(({ unit }) => [
      { unit, act: 'stop', frees: reservationOf(unit), costMs: regretOf(unit, state, now) * reloadMs(unit) },
    ]);
  // What others stand on sleeps only where that alone would not do.
  const free = may.filter(({ neededBy }) => neededBy.length === 0);
  const chosen = (list: readonly Member[]): Unit[] | null => {
    const gone: Unit[] = [];
    // Each card in its turn, then what main memory still lacks; what one choice frees elsewhere counts there.
    for (const card of [...over.cards, null]) {
      const rest = list.filter(({ unit }) => !gone.includes(unit));
      const missing = card ? -card.spareBytes - onCard(gone, card.id) : over.bytes - sumOf(gone, reservationOf);
      const options = ways(rest).flatMap(([one]) => {
        const frees = one && (card ? onCard([one.unit], card.id) : one.frees);
        return one && frees ? [[{ ...one, frees }]] : [];
      });
      const choice = chooseVictims(Math.max(0, missing), options);
      if (!choice) return null;
      gone.push(...choice.options.map(({ unit }) => unit));
    }
    return gone;
  };
  const choice = chosen(free) ?? chosen(may);
  const found = new Set<UnitId>();
  const add = (id: UnitId): void => {
    if (found.has(id)) return;
    found.add(id);
    for (const by of members.get(id)?.neededBy ?? []) add(by);
  };
  for (const unit of choice ?? []) add(unit.spec.id);
  return found;
}
