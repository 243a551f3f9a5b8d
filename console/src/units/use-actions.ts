import { useState } from 'react';
import { asProblem } from '../api/problem.ts';
import type { ApiProblem } from '../api/problem.ts';
import type { UnitAction } from '../api/types.ts';
import { useServices } from '../store/context.tsx';

export interface Actions {
  /** The one that was asked for and not yet accepted. */
  readonly pending: UnitAction | null;
  /** Why the last one was refused. */
  readonly problem: ApiProblem | null;
  act(action: UnitAction): void;
  dismiss(): void;
}

/** What can be done to one unit. The row changes when the platform says so, not when it was asked. */
export function useActions(unit: string): Actions {
  const { client } = useServices();
  const [pending, setPending] = useState<UnitAction | null>(null);
  const [problem, setProblem] = useState<ApiProblem | null>(null);

  async function run(action: UnitAction): Promise<void> {
    setPending(action);
    setProblem(null);
    try {
      await client.act(unit, action);
    } catch (error) {
      setProblem(asProblem(error));
    } finally {
      setPending(null);
    }
  }

  return { pending, problem, act: (action) => void run(action), dismiss: () => setProblem(null) };
}
