import type { ApiCache, ApiCacheRequests } from '#contracts/cache-api';
import { formatBytes, formatDuration } from '#kernel/quantities';
import { defineCommand } from './command.ts';

export const cacheShow = defineCommand({
  arguments: '',
  about: 'Shows how many answers of models are kept (cache in sutaz.yaml), and how requests to models were dealt with.',
  options: {},
  examples: ['sutaz cache show', "sutaz cache show --json | jq '.requests.hit'"],
  async run(_values, _words, context) {
    const client = await context.connect();
    const told = await client.readCache();
    if (context.json) return context.printJson(told);
    context.out(renderCache(told));
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
    'Forgets the answers that are kept: all, or those that all of the options fit. What is under way is not kept either.',
  options: {
    model: { type: 'string', value: 'MODEL', help: 'Only those of this model' },
    principal: { type: 'string', value: 'NAME', help: 'Only those to this caller' },
  },
  examples: ['sutaz cache clear', 'sutaz cache clear --model smollm2:135m'],
  async run({ model, principal }, _words, context) {
    const client = await context.connect();
    const told = await client.clearCache({ ...(model && { model }), ...(principal && { principal }) });
    if (context.json) return context.printJson(told);
    context.out(told.cleared === 1 ? '1 answer is forgotten.\n' : `${told.cleared} answers are forgotten.\n`);
  },
});
