/** All verified services on one platform that has memory for a part of them, visited one after the other. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ServiceDefinition } from '#catalog/service';
import { createClient, finished } from '#clients/sdk';
import type { Client } from '#clients/sdk';
import { formatBytes } from '#kernel/quantities';
import { startPlatform } from '../../test/_platform.ts';
import type { TestPlatform } from '../../test/_platform.ts';
import { modelFor } from './engines.ts';
import type { Apart } from './engines.ts';
import { useJob } from './job.ts';
import { absentProgram } from './plan.ts';
import { processesBelow } from './processes.ts';
import type { Together, Visit } from './together-record.ts';
import { use } from './use.ts';
import type { Used } from './use.ts';
import { watchMemory } from './watch.ts';

export interface TogetherPlace {
  readonly home: string;
  readonly limitBytes: number;
  /** For one visit, what it has to fetch included. */
  readonly limitMs: number;
  readonly signal: AbortSignal;
  say(text: string): void;
}

/** Throws when the platform itself fails; what a service does wrong is in what it finds. */
export async function visitTogether(
  { definitions, files }: Apart,
  others: readonly string[],
  place: TogetherPlace,
): Promise<Together> {
  const { home, limitBytes, signal } = place;
  // Each is to begin as on the day of installing.
  await rm(join(home, 'services'), { recursive: true, force: true });
  const config = settingsFor(definitions, others);
  const platform = await startPlatform({ home, memory: String(limitBytes), config, catalog: files });
  try {
    const client = createClient({ url: platform.url, key: platform.key });
    const needs = await Promise.all(definitions.map((one) => needOf(one, client, signal)));
    const news = followNews(client, signal);
    const doing = { what: 'the start' };
    const watching = watchMemory({ client, home, pid: platform.pid, limitBytes, doing: () => doing.what });
    const visits: Visit[] = [];
    for (const [at, definition] of definitions.entries()) {
      if (signal.aborted) break;
      doing.what = definition.id;
      place.say(definition.id);
      const found = await visited(definition, needs[at] ?? 0, { client, platform, news, place });
      place.say(lineOf(found));
      visits.push(found);
    }
    const watched = await watching.stop();
    news.stop();
    const wantedBytes = needs.reduce((sum, need) => sum + need, 0);
    return { date: new Date().toISOString().slice(0, 10), limitBytes, wantedBytes, ...watched, visits };
  } finally {
    await platform.stop();
    const left = processesBelow(home);
    if (left.length > 0) place.say(`left behind: ${left.join(', ')}`);
  }
}

/** The rest of the catalogue is out of use: what it may need besides is not what is shown here. */
function settingsFor(definitions: readonly ServiceDefinition[], others: readonly string[]): string {
  const off = others.map((id) => [id, { enabled: false }] as const);
  const engines = definitions.flatMap((definition) => {
    const model = modelFor(definition);
    return model === null ? [] : [[model, { engine: definition.id }] as const];
  });
  return JSON.stringify({ services: Object.fromEntries(off), models: { settings: Object.fromEntries(engines) } });
}

const unitOf = (definition: ServiceDefinition): string => modelFor(definition) ?? definition.id;

/** What it reserves when it is awake, in bytes. A run of a job is a unit of its own only while it lasts. */
async function needOf(definition: ServiceDefinition, client: Client, signal: AbortSignal): Promise<number> {
  if (definition.kind === 'job') return definition.resources.memory;
  const { bytes } = await client.readUnit(unitOf(definition), {}, { signal });
  return Math.max(bytes.declared, bytes.learned ?? 0);
}

interface Visiting {
  readonly client: Client;
  readonly platform: TestPlatform;
  readonly news: News;
  readonly place: TogetherPlace;
}

async function visited(definition: ServiceDefinition, need: number, visiting: Visiting): Promise<Visit> {
  const { news, place } = visiting;
  const { id } = definition;
  const began = performance.now();
  news.clear();
  const facts = () => ({ id, seconds: Math.round(performance.now() - began) / 1000, ...news.seen() });
  if (need > place.limitBytes) {
    const why = `needs ${formatBytes(need)} by itself, more than ${formatBytes(place.limitBytes)}`;
    return { outcome: 'too-large', ...facts(), why };
  }
  const limit = AbortSignal.timeout(place.limitMs);
  try {
    const { what, answer, fault } = await usedOnce(definition, visiting, AbortSignal.any([place.signal, limit]));
    if (fault !== null) throw new Error(fault);
    return { outcome: 'answered', ...facts(), call: what, status: answer.status };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (absentProgram(definition, message) !== null) return { outcome: 'not-here', ...facts(), why: message };
    const late = limit.aborted ? 'took too long: ' : '';
    return { outcome: 'failed', ...facts(), error: `${late}${message}`.slice(0, 2_000) };
  }
}

/** The call itself wakes it, except where it has to know what the instance was given, or goes past the door. */
async function usedOnce(definition: ServiceDefinition, visiting: Visiting, signal: AbortSignal): Promise<Used> {
  const { client, platform } = visiting;
  if (definition.kind === 'job') return useJob(definition, platform, signal);
  const name = unitOf(definition);
  const isByInstance = /"command"|\{(?:key|port)\}/.test(JSON.stringify(definition.verify ?? {}));
  const unit = isByInstance
    ? await finished(client.startUnit(name, { wait: true }, { signal }))
    : await client.readUnit(name, {}, { signal });
  return use(definition, unit, platform, signal);
}

/** Who was put to sleep since it was last cleared. */
interface News {
  clear(): void;
  seen(): { readonly stopped: string[]; readonly frozen: string[] };
  stop(): void;
}

function followNews(client: Client, signal: AbortSignal): News {
  const over = new AbortController();
  let stopped: string[] = [];
  let frozen: string[] = [];
  const follow = async () => {
    const all = AbortSignal.any([signal, over.signal]);
    for await (const { event, data } of client.watchEvents({ signal: all })) {
      if (event !== 'log' || data.unit === undefined) continue;
      if (data.type === 'evict') stopped.push(data.unit);
      if (data.type === 'freeze') frozen.push(data.unit);
    }
  };
  // It only tells more of what is found in other ways: without it nothing is wrong.
  follow().catch(() => undefined);
  return {
    clear: () => void ([stopped, frozen] = [[], []]),
    seen: () => ({ stopped, frozen }),
    stop: () => over.abort(),
  };
}

function lineOf(one: Visit): string {
  const { id, outcome, seconds, stopped, frozen } = one;
  const what =
    one.outcome === 'answered' ? `${one.call} ${one.status}` : one.outcome === 'failed' ? one.error : one.why;
  const list = (word: string, names: readonly string[]) => (names.length > 0 ? `, ${word} ${names.join(' ')}` : '');
  return `  ${id}: ${outcome} in ${seconds} s, ${what}${list('stopped', stopped)}${list('froze', frozen)}`;
}
