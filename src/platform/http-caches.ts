import type { ApiRouteCache } from '#contracts/cache-api';
import { routeCaches } from '#edge/http-cache/view';
import type { Routes } from '#edge/routes/serve';
import type { Metrics } from '#observe/metrics';

/** What each route keeps of the answers of services, as `/metrics` tells it. */
export function registerHttpCaches(metrics: Metrics, { table }: Pick<Routes, 'table'>): void {
  const each = (value: (cache: ApiRouteCache) => number) => () =>
    routeCaches(table()).map((cache) => ({ labels: [cache.route], value: value(cache) }));
  metrics.gauge(
    'sutaz_http_cache_requests_total',
    'Requests of routes with httpCache, by how it dealt with them.',
    ['route', 'outcome'],
    () =>
      routeCaches(table()).flatMap(({ route, requests }) =>
        Object.entries(requests).map(([outcome, value]) => ({ labels: [route, outcome], value: Number(value) })),
      ),
  );
  const one = (name: string, help: string, value: (cache: ApiRouteCache) => number) =>
    metrics.gauge(`sutaz_http_cache_${name}`, help, ['route'], each(value));
  one('bytes', 'What the kept answers of a route take.', ({ bytes }) => bytes);
  one('entries', 'Answers that a route keeps.', ({ entries }) => entries);
  one('evicted_total', 'Answers that made room for others.', ({ evicted }) => evicted);
  one('spared_bytes_total', 'Bytes of bodies that came from no service.', ({ sparedBytes }) => sparedBytes);
}
