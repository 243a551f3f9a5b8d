import { Fault } from '#kernel/faults';
import { parseUnitId } from '#kernel/ids';
import type { Rights } from '#security/scopes';
import { allows } from '#security/scopes';
import { demandScope, demandService } from './auth.ts';
import type { Control } from './control.ts';
import { decodeSegment, onlyTakes } from './exchange.ts';
import type { Exchange } from './exchange.ts';
import { addressesBelow } from './guards.ts';
import type { Guarded } from './guards.ts';
import type { ModelDirectory } from './models.ts';
import { permitted } from './permitted.ts';

export interface AccessDeps {
  readonly models: ModelDirectory;
  readonly control: Control;
}

/** Throws FORBIDDEN unless the caller may come to this address; NOT_FOUND and METHOD_NOT_ALLOWED where there is none. */
export function demandAccess(exchange: Exchange, guarded: Guarded | null, deps: AccessDeps): void {
  if (!guarded) throw nothingAt(exchange);
  const { guard, allow } = guarded;
  if (allow) throw onlyTakes(exchange.path, allow);
  if (guard.scope === null || guard.scope === 'any') return;
  const name = guarded.name === null ? null : decodeSegment(guarded.name);
  if (guard.scope === 'units:manage') return demandUnit(exchange, name ?? '', deps.control);
  if (guard.scope === 'services:use') return demandService(exchange, name ?? '');
  demandScope(exchange, guard.scope);
  const rights = exchange.principal?.rights;
  if (guard.scope === 'models:use' && name !== null && rights) demandModel(name, rights, deps);
}

/** Whoever may use some models only learns of the others not even whether they are there. */
function demandModel(name: string, rights: Rights, deps: AccessDeps): void {
  if (!allows(rights, 'models:use', null)) permitted(deps, rights).models.unit(name);
}

/** Throws FORBIDDEN unless the caller may start and stop what is named so; NOT_FOUND where nothing is. */
export function demandUnit(exchange: Exchange, named: string, control: Control): void {
  const rights = exchange.principal?.rights;
  const may = (scope: 'services:manage' | 'models:manage', name?: string) =>
    rights !== undefined && allows(rights, scope, name);
  if (!may('services:manage') && !may('models:manage')) demandScope(exchange, 'services:manage');
  const { kind, name } = parseUnitId(control.unitId(named));
  if (kind === 'service' ? may('services:manage', name.replace(/~\d+$/, '')) : may('models:manage')) return;
  throw new Fault('FORBIDDEN', `This key may not manage ${named}.`);
}

function nothingAt({ path, method }: Exchange): Fault {
  return new Fault('NOT_FOUND', `There is no ${method} ${path}. Served here: ${addressesBelow(path).join(', ')}.`);
}
