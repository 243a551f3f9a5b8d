import type { ApiMap, ApiMapEdge, ApiMapNode, ApiShared } from '#contracts/map-api';
import { formatBytes, formatDuration } from '#kernel/quantities';
import { defineCommand } from './command.ts';

export const map = defineCommand({
  arguments: '',
  about:
    'Shows who consumes what of whom: as it is bound by the definitions and sutaz.yaml, and as it was asked with the keys of\n' +
    'instances since the platform started. What sleeps and never asked is left out, and shown with --all.',
  options: { all: { type: 'boolean', short: 'a', help: 'Also what sleeps and never asked' } },
  examples: ['sutaz map', 'sutaz map --all', "sutaz map --json | jq '.edges[] | select(.requests > 0)'"],
  async run({ all = false }, _words, context) {
    const client = await context.connect();
    const told = await client.readMap();
    if (context.json) return context.printJson(told);
    context.out(renderMap(told, all, context.clock.wall()));
  },
});

/** A consumer a paragraph, what it consumes a line; then what sharing spares. `now` in milliseconds since the epoch. */
export function renderMap({ nodes, edges, shared }: ApiMap, all: boolean, now: number): string {
  const named = new Map(nodes.map((node) => [node.id, node]));
  const consumers = new Map<string, ApiMapEdge[]>();
  for (const edge of edges) consumers.set(edge.from, [...(consumers.get(edge.from) ?? []), edge]);
  const isOfInterest = (all: readonly ApiMapEdge[]) => all.some(({ key, requests }) => key !== null || requests);
  const shown = [...consumers.values()].filter((of) => all || isOfInterest(of));
  const paragraphs = shown.map((of) => consumer(of, named, now));
  const hidden = consumers.size - shown.length;
  const rest = hidden === 0 ? [] : [`${hidden} more, asleep, and without a request: sutaz map --all\n`];
  return [...paragraphs, ...shared.map(spared), ...rest].join('\n') || 'Nothing consumes anything.\n';
}

function consumer(edges: readonly ApiMapEdge[], named: ReadonlyMap<string, ApiMapNode>, now: number): string {
  const [first] = edges;
  if (!first) return '';
  const key = first.key === null ? '' : `, key ${first.key}...`;
  const width = Math.max(...edges.map(({ capability }) => (capability ?? needed).length));
  const lines = edges.map((edge) => {
    const what = (edge.capability ?? needed).padEnd(width);
    return `  ${what}  ${titled(edge.to, named)}${traffic(edge, now)}\n`;
  });
  return `${titled(first.from, named)}${key}\n${lines.join('')}`;
}

const needed = 'needed';

function titled(id: string, named: ReadonlyMap<string, ApiMapNode>): string {
  const { kind, name, state } = named.get(id) ?? { kind: 'service', name: id, state: null };
  const of = kind === 'service' || kind === 'door' ? name : `${kind} ${name}`;
  return state === null ? of : `${of} (${state})`;
}

function traffic({ way, requests, lastSeen, to }: ApiMapEdge, now: number): string {
  if (way === 'direct') return ', with an account there';
  if (requests === null || to === 'door') return '';
  if (requests === 0 || lastSeen === null) return ', never asked';
  const ago = formatDuration(Math.max(0, now - Date.parse(lastSeen)));
  return `, ${requests} ${requests === 1 ? 'request' : 'requests'}, the last ${ago} ago`;
}

function spared({ provider, users, bytes, sparedBytes }: ApiShared): string {
  const name = provider.slice(provider.indexOf('/') + 1);
  if (users.length === 1) return `${name} (${formatBytes(bytes)}) has one user awake: nothing is spared yet.\n`;
  const others = users.length - 1;
  return (
    `${name} (${formatBytes(bytes)}) has ${users.length} users awake: ${formatBytes(sparedBytes)} spared, ` +
    `${others} more of its size.\n`
  );
}
