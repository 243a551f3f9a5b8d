import type { ApiPlan, ApiPlannedUnit } from '#contracts/explanations';
import type { UnitId } from '#kernel/ids';
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
  const everyFits = [...members.values()].every((member) => least(member) <= available);
  const sleeping = everyFits ? sleepers(totalBytes - available, members, inputs) : new Set<UnitId>();
  return {
    verdict: totalBytes <= available ? 'together' : everyFits ? 'in-turns' : 'never',
    ...{ limitBytes, limitReason, alwaysBytes, totalBytes, spareBytes: available - totalBytes, elsewhere },
    units: [...members.values()].map((member): ApiPlannedUnit => {
      const { spec, learnedBytes } = member.unit;
      const bytes = { declared: spec.declaredBytes, learned: learnedBytes, reserved: reservationOf(member.unit) };
      return {
        id: spec.id,
        bytes: { ...bytes, withNeeds: least(member) },
        estimated: learnedBytes === null && inputs.isGuess(spec.id),
        ...{ stays: staysOf(member.unit), neededBy: member.neededBy },
        ...{ fits: least(member) <= available, sleeps: sleeping.has(spec.id) },
      };
    }),
    always: always.map((unit) => ({
      id: unit.spec.id,
      bytes: Math.max(reservationOf(unit), chargedOf(unit)),
      why: unit.pinned ? 'pinned' : 'core',
    })),
  };
}

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
function sleepers(over: number, members: ReadonlyMap<UnitId, Member>, { state, now }: TogetherInputs): Set<UnitId> {
  const may = [...members.values()].filter(({ unit }) => !isProtected(unit));
  const ways = (list: readonly Member[]): Candidate<Unit>[] =>
    list.map(({ unit }) => [
      { unit, act: 'stop', frees: reservationOf(unit), costMs: regretOf(unit, state, now) * reloadMs(unit) },
    ]);
  // What others stand on sleeps only where that alone would not do.
  const free = may.filter(({ neededBy }) => neededBy.length === 0);
  const choice = chooseVictims(over, ways(free)) ?? chooseVictims(over, ways(may));
  const found = new Set<UnitId>();
  const add = (id: UnitId): void => {
    if (found.has(id)) return;
    found.add(id);
    for (const by of members.get(id)?.neededBy ?? []) add(by);
  };
  for (const { unit } of choice?.options ?? []) add(unit.spec.id);
  return found;
}
