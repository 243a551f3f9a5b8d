import type { ApiCache, ApiCacheRequests, ApiRouteCache } from '#contracts/cache-api';
import { formatBytes, formatDuration } from '#kernel/quantities';
import { defineCommand } from './command.ts';
import { painter } from './style.ts';
import { renderTable } from './table.ts';
import type { Column } from './table.ts';

export const cacheShow = defineCommand({
  arguments: '',
  about:
    'Shows how many answers of models are kept (cache in sutaz.yaml), how many of services, by route (httpCache), and how\n' +
    'requests were dealt with.',
  options: {},
  examples: ['sutaz cache show', "sutaz cache show --json | jq '.requests.hit'"],
  async run(_values, _words, context) {
    const client = await context.connect();
    const told = await client.readCache();
    if (context.json) return context.printJson(told);
    context.out(renderCache(told));
    const { routes = [] } = told;
    if (routes.length === 0) return;
    const width = context.outTty ? context.columns() : Infinity;
    context.out(`\n${renderTable(columns, routes, { width, paint: painter(context.outTty, context.env) })}`);
  },
});

const words: readonly (readonly [keyof ApiCacheRequests, string])[] = [
  ['hit', 'answered from it'],
  ['collapsed', 'joined another one'],
  ['miss', 'not in it'],
  ['stale', 'too old in it'],
  ['asked-anew', 'wanted anew'],
  ['bypass', 'not to be kept'],
];

const count = (title: string, name: keyof ApiRouteCache['requests']): Column<ApiRouteCache> => ({
  ...{ title, align: 'right', value: ({ requests }) => String(requests[name]) },
});

const columns: readonly Column<ApiRouteCache>[] = [
  { title: 'ROUTE', value: ({ route }) => route },
  { title: 'KEPT', align: 'right', value: ({ entries }) => String(entries) },
  {
    title: 'SIZE',
    align: 'right',
    value: ({ bytes, limitBytes }) => `${formatBytes(bytes)} of ${formatBytes(limitBytes)}`,
  },
  ...[count('HITS', 'hit'), count('JOINED', 'collapsed'), count('ASKED ABOUT', 'revalidated')],
  ...[count('MISSES', 'miss'), count('STALE', 'stale'), count('PASSED', 'bypass')],
  { title: 'SPARED', align: 'right', value: ({ sparedBytes }) => formatBytes(sparedBytes) },
  { title: 'MADE ROOM', align: 'right', value: ({ evicted }) => String(evicted) },
];

function renderCache({ entries, bytes, limitBytes, ageMs, shared, evicted, requests }: ApiCache): string {
  if (limitBytes === 0) return 'Nothing is kept. cache.memory in sutaz.yaml says how much may be.\n';
  const room = `${entries} answers, ${formatBytes(bytes)} of ${formatBytes(limitBytes)}`;
  const dealt = words.map(([name, text]) => `${String(requests[name]).padStart(8)}  ${text}\n`).join('');
  const whose = shared ? 'for all callers' : 'each for its caller';
  return `${room}, good for ${formatDuration(ageMs)}, ${whose}; ${evicted} made room.\nRequests to models:\n${dealt}`;
}

export const cacheClear = defineCommand({
  arguments: '',
  about:
    'Forgets the answers that are kept, of models and of services: all, or those that all of the options fit. What is under\n' +
    'way is not kept either.',
  options: {
    model: { type: 'string', value: 'MODEL', help: 'Only those of this model' },
    principal: { type: 'string', value: 'NAME', help: 'Only those to this caller' },
    route: { type: 'string', value: 'NAME', help: 'Only those of services, kept by this route' },
    tag: { type: 'string', value: 'WORD', help: 'Only those of services with this word in their Cache-Tag' },
  },
  examples: [
    'sutaz cache clear',
    'sutaz cache clear --model smollm2:135m',
    'sutaz cache clear --route wiki --tag news',
  ],
  async run({ model, principal, route, tag }, _words, context) {
    const client = await context.connect();
    const told = await client.clearCache({
      ...{ ...(model && { model }), ...(principal && { principal }) },
      ...{ ...(route && { route }), ...(tag && { tag }) },
    });
    if (context.json) return context.printJson(told);
    context.out(told.cleared === 1 ? '1 answer is forgotten.\n' : `${told.cleared} answers are forgotten.\n`);
  },
});
