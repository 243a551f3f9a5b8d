import { originalOf } from '#kernel/ids';
import type { UnitId } from '#kernel/ids';
import type { ModelStore } from '#models/store';
import type { Outcomes } from '#runtime/instance';
import type { Scheduler } from '#scheduler/run-loop';
import { compileRights } from '#security/scopes';
import type { Units } from '#units/units';
import type { Addresses } from './addresses.ts';
import type { PlatformIdentity } from './identity.ts';
import type { Needs } from './needs.ts';

export interface OutcomeDeps {
  readonly scheduler: Scheduler;
  readonly units: Units;
  readonly identity: Pick<PlatformIdentity, 'minted'>;
  readonly store: ModelStore;
  readonly needs: Pick<Needs, 'give' | 'lost' | 'returned'>;
  readonly addresses: Pick<Addresses, 'started'>;
  /** What an instance of the unit may ask the door for. */
  readonly scopesOf: (unit: UnitId) => readonly string[];
  /** Digests of the model files that engines have open, by unit. */
  readonly usedFiles: Map<UnitId, string>;
}

/** What happens to an instance, as the scheduler's events; and what else follows from it. */
export function outcomesFor(deps: OutcomeDeps): Outcomes {
  const { scheduler, units, identity, usedFiles, store, needs, addresses, scopesOf } = deps;
  const file = (unit: UnitId) =>
    unit.startsWith('model/') ? store.get(originalOf(unit).slice('model/'.length))?.sha256 : undefined;
  const remember = (unit: UnitId) => {
    const known = scheduler.state.units.get(unit);
    if (!known) return;
    const { learnedBytes: bytes, startMs, frozenBytes, thawMs, card } = known;
    units.learn(unit, { bytes, startMs, frozenBytes, thawMs, vramBytes: card.learned });
  };
  return {
    begun({ unit, key }) {
      // Copies are one principal: asking for things in turns, a unit has no more turns for having more of them.
      const id = originalOf(unit);
      const rights = compileRights(scopesOf(id));
      const facts = { id, name: `instance of ${id}`, keyId: null, roles: [], rights, expiresAt: null };
      identity.minted.mint(unit, facts, key);
      const sha256 = file(unit);
      if (sha256) usedFiles.set(unit, sha256);
    },
    ended(unit) {
      identity.minted.withdraw(unit);
      needs.give(unit);
      usedFiles.delete(unit);
    },
    started(unit) {
      scheduler.dispatch({ kind: 'started', unit });
      remember(unit);
      needs.returned(unit);
      addresses.started(unit);
    },
    failed: (unit, message, permanent) => scheduler.dispatch({ kind: 'failed', unit, message, permanent }),
    exited(unit, message) {
      scheduler.dispatch({ kind: 'exited', unit, message });
      needs.lost(unit);
    },
    stopped(unit) {
      scheduler.dispatch({ kind: 'stopped', unit });
      remember(unit);
    },
    frozen: (unit) => scheduler.dispatch({ kind: 'frozen', unit }),
    thawed(unit) {
      scheduler.dispatch({ kind: 'thawed', unit });
      remember(unit);
    },
    measured(unit, bytes) {
      scheduler.dispatch({ kind: 'measured', unit, bytes });
      remember(unit);
    },
  };
}
