import { z } from 'zod';
import { step } from '#config/middlewares';
import { isProtected, match, rivalOf } from '#config/routes';
import type { Route, RouteConfig } from '#config/routes';

/** Where the door's APIs and the services' own addresses are: a file of the user's may take them, a definition not. */
const doorPaths = ['/v1', '/api', '/services'];

const isDoors = (path: string): boolean =>
  path === '/' || isProtected(path) || doorPaths.some((own) => path === own || path.startsWith(`${own}/`));

const serviceRoute = z.strictObject({
  match: match
    .refine((given) => given.host !== undefined || given.path !== undefined, 'needs a host or a path of its own')
    .refine((given) => given.model === undefined, 'model is for what calls models, which goes to no service')
    .refine(
      ({ host, path }) => host !== undefined || path === undefined || !isDoors(path.replace(/\/\*$/, '') || '/'),
      "the door's own paths stay its own",
    ),
  with: z.array(step).min(1).exactOptional().describe('Middlewares, in this order.'),
});

export const serviceRoutes = z
  .array(serviceRoute)
  .default([])
  .describe('More addresses under which the door leads to it, beside /services/ID and ID.localhost.');

/** A route of a definition that another one stands in the way of. */
export interface Shadowed {
  readonly service: string;
  /** The place among its routes, from 0. */
  readonly index: number;
  /** The name of the route that has the address. */
  readonly by: string;
}

interface WithRoutes {
  readonly id: string;
  readonly routes: z.output<typeof serviceRoutes>;
}

/**
 * The configuration's routes with those of the definitions. The user's own word goes first: where the configuration, or
 * a definition before it, has a route at an address, a definition's route to it is left out.
 */
export function withServiceRoutes<C extends Pick<RouteConfig, 'routes'>>(config: C, services: Iterable<WithRoutes>) {
  const routes = new Map<string, Route>(Object.entries(config.routes));
  const shadowed: Shadowed[] = [];
  for (const { id, routes: own } of [...services].toSorted((a, b) => (a.id < b.id ? -1 : 1))) {
    for (const [index, said] of own.entries()) {
      const route: Route = { ...said, to: { service: id } };
      const by = rivalOf(route, routes);
      if (by !== null) shadowed.push({ service: id, index, by });
      // No name in a configuration has a slash.
      else routes.set(`${id}/${index}`, route);
    }
  }
  return { config: { ...config, routes: Object.fromEntries(routes) }, shadowed };
}
