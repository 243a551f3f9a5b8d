import type { ApiEnvironments, ApiPruned } from '#contracts/environments-api';
import { bodyOf, route } from './control-route.ts';
import type { FieldsOf, Route } from './control-route.ts';
import { flag } from './fields.ts';

/** What the control API tells of the packages that services run from, and does to them. */
export interface EnvironmentDesk {
  /** Seconds for a large home, where they were not weighed before. */
  list(): Promise<ApiEnvironments>;
  /** Removes what no definition and no instance runs from. */
  prune(dryRun: boolean): Promise<ApiPruned>;
}

const pruning: FieldsOf<'pruneEnvironments'> = { dryRun: flag };

export const environmentRoutes: readonly Route[] = [
  route('listEnvironments', (_, { control }) => control.environments.list()),
  route('pruneEnvironments', async (exchange, { control }) => {
    const { dryRun = false } = await bodyOf(exchange, pruning);
    return control.environments.prune(dryRun);
  }),
];
