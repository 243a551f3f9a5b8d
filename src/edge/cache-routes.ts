import { route } from './control-route.ts';
import type { Route } from './control-route.ts';

/** What the control API tells of kept answers, and does to them. */
export const cacheRoutes: readonly Route[] = [
  route('readCache', (_, { answers }) => {
    const { dealt, settings, ...kept } = answers.counts();
    return { ...kept, limitBytes: settings.memory, ageMs: settings.age, shared: settings.shared, requests: dealt };
  }),
  route('clearCache', ({ query }, { answers, models }) => {
    const [model, principal] = ['model', 'principal'].map((name) => query.get(name));
    return {
      cleared: answers.clear({
        // By whatever name it is called: a name that nothing has is told, and forgets nothing.
        ...(model ? { model: models.unit(model).slice('model/'.length) } : {}),
        ...(principal ? { principal } : {}),
      }),
    };
  }),
];
