import type { ControlDeps, Route } from './control-route.ts';
import { route } from './control-route.ts';
import { clearRouteCaches, routeCaches } from './http-cache/view.ts';

/** What the control API tells of kept answers, and does to them. */
export const cacheRoutes: readonly Route[] = [
  route('readCache', (_, { answers, routes }) => {
    const { dealt, settings, ...kept } = answers.counts();
    const models = {
      ...kept,
      limitBytes: settings.memory,
      ageMs: settings.age,
      shared: settings.shared,
      requests: dealt,
    };
    return { ...models, routes: routeCaches(routes.table()) };
  }),
  route('clearCache', ({ query }, deps) => ({ cleared: forget(query, deps) })),
];

function forget(query: URLSearchParams, { answers, models, routes }: ControlDeps): number {
  const [model, principal, route, tag] = ['model', 'principal', 'route', 'tag'].map((name) => query.get(name));
  const whose = principal ? { principal } : {};
  // By whatever name it is called: a name that nothing has is told, and forgets nothing.
  const id = model ? { model: models.unit(model).slice('model/'.length) } : {};
  const ofServices = { ...whose, ...(route ? { route } : {}), ...(tag ? { tag } : {}) };
  const fromServices = model ? 0 : clearRouteCaches(routes.table(), ofServices);
  return fromServices + (route || tag ? 0 : answers.clear({ ...id, ...whose }));
}
