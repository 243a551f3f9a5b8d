import { before } from './claims.ts';
import type { ClaimKey } from './claims.ts';
import { chargedVramOf } from './devices.ts';
import { check, leasesOf, openOf } from './machine.fake.ts';
import type { Machine } from './machine.fake.ts';
import { chargedOf, fixedOf, incomingOf, isProtected, isSpeculative } from './state.ts';
import type { State, Unit } from './state.ts';

const isStopping = ({ phase }: Unit): boolean => phase.kind === 'stopping';

/** Whether the sums and lists that are kept up say what a count from nothing says. */
function recount({ totals, idle, claims, units, awake, devices, cores }: State): void {
  const total = (bytes: (unit: Unit) => number) => [...units.values()].reduce((sum, unit) => sum + bytes(unit), 0);
  check(totals.charged === total(chargedOf), () => `${totals.charged} charged, ${total(chargedOf)} counted`);
  check(totals.incoming === total(incomingOf), () => `${totals.incoming} incoming, ${total(incomingOf)} counted`);
  check(totals.fixed === total(fixedOf), () => `${totals.fixed} fixed, ${total(fixedOf)} counted`);
  for (const [id, device] of devices) {
    const on = [...units.values()].filter(({ card }) => card.held?.device === id);
    const there = (some: (unit: Unit) => boolean) =>
      on.filter(some).reduce((sum, unit) => sum + chargedVramOf(unit), 0);
    check(device.charged === there(() => true), () => `${device.charged} charged on ${id}`);
    check(device.incoming === there(isStopping), () => `${device.incoming} incoming on ${id}`);
    const fixed = there((unit) => isProtected(unit) && !isStopping(unit));
    check(device.fixed === fixed, () => `${device.fixed} fixed on ${id}, ${fixed} counted`);
  }
  const busy = total(({ leases, threads }) => (leases.size > 0 ? threads : 0));
  check(cores.busy === busy, () => `${cores.busy} threads busy, ${busy} counted`);
  for (const unit of units.values()) {
    const { kind } = unit.phase;
    const free = unit.leases.size === 0 && !isProtected(unit);
    const spare = kind === 'ready' || isSpeculative(unit);
    check(idle.ready.has(unit) === (free && spare), () => `${unit.spec.id}: wrong among the idle`);
    check(idle.frozen.has(unit) === (free && kind === 'frozen'), () => `${unit.spec.id}: wrong among the frozen`);
    check(awake.has(unit) === 'bytes' in unit.phase, () => `${unit.spec.id}: wrong among the awake`);
    check(claims.includes(unit) === (unit.booked.claim !== null), () => `${unit.spec.id}: wrong among the claims`);
    const first = unit.original === null ? (unit.queue.line[0] ?? null) : null;
    check(unit.booked.first === first, () => `${unit.spec.id}: another one is the first of those who wait`);
  }
  const places = claims.map(({ booked }) => booked.claim);
  check(
    places.every((place, i) => i === 0 || (place && places[i - 1] && before(places[i - 1] as ClaimKey, place) < 0)),
    () => 'claims out of order',
  );
}

/** Whether the scheduler's account says what the machine is. */
export function agree(machine: Machine): void {
  recount(machine.state);
  const { state, instances, waiting } = machine;
  let queued = 0;
  for (const unit of state.units.values()) {
    agreeOn(machine, unit);
    if (unit.original === null) queued += unit.waiters.size;
  }
  check(queued === waiting.size, () => `${waiting.size} wait, ${queued} are queued`);
  for (const id of instances.keys()) check(state.units.has(id), () => `${id} is forgotten and runs`);
}

function agreeOn(machine: Machine, unit: Unit): void {
  const { id } = unit.spec;
  const stage = machine.instances.get(id)?.stage;
  const believed = 'bytes' in unit.phase ? unit.phase.kind : undefined;
  check(believed === stage, () => `${id} is ${stage} and believed ${unit.phase.kind}`);
  const held = leasesOf(machine, id);
  check(held.size === unit.leases.size, () => `${id}: ${held.size} leases, believed ${unit.leases.size}`);
  for (const waiter of unit.leases.keys()) check(held.has(waiter), () => `${id}: ${waiter} holds no lease`);
  const open = [...openOf(machine, id)].join();
  check(open === [...unit.connections].join(), () => `${id}: ${open} open, believed ${[...unit.connections].join()}`);
  for (const waiter of unit.waiters.keys()) check(machine.waiting.has(waiter), () => `${waiter} does not wait`);
  if (unit.phase.kind === 'ready') {
    const idle = unit.phase.idleSince !== null;
    check(idle === (held.size === 0), () => `${id} has ${held.size} leases and is ${idle ? 'idle' : 'busy'}`);
  }
  const alone = unit.original === null && !unit.copies.some((copy) => machine.instances.has(copy.spec.id));
  const leaves = unit.original === null && unit.removed;
  const hopeless = machine.state.closing || leaves || (alone && unit.phase.kind === 'quarantined');
  check(!hopeless || unit.waiters.size === 0, () => `${id} keeps waiters for nothing`);
}
