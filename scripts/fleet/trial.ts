/** The trial of one service, on a platform of its own: start, use, sleep, wake, stop, and nothing left. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ServiceDefinition } from '#catalog/service';
import { createClient, finished } from '#clients/sdk';
import type { Client } from '#clients/sdk';
import type { ApiUnit } from '#contracts/api';
import { sleep } from '#kernel/abort';
import { systemClock } from '#kernel/clock';
import { startPlatform } from '../../test/_platform.ts';
import type { TestPlatform } from '../../test/_platform.ts';
import { askedByItself, modelsAskedBy } from './asking.ts';
import { containersBelow } from './containers.ts';
import { modelFor } from './engines.ts';
import { useJob } from './job.ts';
import { versionOf } from './plan.ts';
import type { Way } from './plan.ts';
import { instancePss, isListening, processesBelow } from './processes.ts';
import type { Trial } from './record.ts';
import { strayFiles } from './shelter.ts';
import { use } from './use.ts';
import type { Used } from './use.ts';

/** Idle for so long it goes to sleep; the same for all, so that a trial does not take half an hour. */
const idleSeconds = 3;
/** In which it must be asleep after that. */
const sleepBoundMs = 60_000;

export interface Place {
  readonly home: string;
  /** Null where files are not looked at. */
  readonly shelter: string | null;
  readonly signal: AbortSignal;
  say(text: string): void;
}

/** What was found out, as far as the trial came. */
type Findings = { -readonly [K in 'startSeconds' | 'pssBytes' | 'call' | 'sleep']: Trial[K] } & {
  models?: NonNullable<Trial['models']>;
};

/** Never throws for what the service does wrong: that is its outcome. */
export async function tryService(definition: ServiceDefinition, way: Way, place: Place): Promise<Trial> {
  const findings: Findings = { startSeconds: null, pssBytes: null, call: null, sleep: null };
  const { id } = definition;
  const common = { id, date: new Date().toISOString().slice(0, 10), version: versionOf(definition, way), way };
  try {
    await onPlatform(definition, way, place, findings);
    return { outcome: 'verified', ...common, ...findings };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { outcome: 'failed', ...common, ...findings, error: message.slice(0, 2_000) };
  }
}

async function onPlatform(definition: ServiceDefinition, way: Way, place: Place, findings: Findings): Promise<void> {
  const before = new Set(place.shelter ? await strayFiles(place.shelter) : []);
  const ports: number[] = [];
  // What a trial that failed left there would be found by the next, which begins as on the day of installing.
  const data = join(place.home, 'services');
  await rm(data, { recursive: true, force: true });
  const platform = await startPlatform({ home: place.home, config: settingsFor(definition, way) });
  try {
    if (definition.kind === 'job') await tryJob(definition, platform, place, findings);
    else await tryServer(definition, platform, place, findings, ports);
  } finally {
    await platform.stop();
  }
  const files = place.shelter ? (await strayFiles(place.shelter)).filter((file) => !before.has(file)) : [];
  const open = await Promise.all(ports.map(async (port) => ((await isListening(port)) ? [`port ${port}`] : [])));
  const boxes = way === 'docker' ? await containersBelow(place.home) : [];
  const left = [...processesBelow(place.home), ...boxes, ...open.flat(), ...files.map((file) => `file ${file}`)];
  await rm(data, { recursive: true, force: true });
  if (left.length > 0) throw new Error(`it left behind: ${left.join(', ')}`);
}

/** `sutaz.yaml` for the trial, as JSON, which YAML is too. */
function settingsFor(definition: ServiceDefinition, way: Way): string {
  const own = modelFor(definition);
  const idle = { after: `${idleSeconds}s` };
  if (own !== null) return JSON.stringify({ models: { settings: { [own]: { engine: definition.id, idle } } } });
  const isServer = definition.kind === 'server';
  return JSON.stringify({ services: { [definition.id]: { run: way, ...(isServer && { idle }) } } });
}

async function tryJob(
  definition: ServiceDefinition,
  platform: TestPlatform,
  { signal }: Place,
  findings: Findings,
): Promise<void> {
  const used = await useJob(definition, platform, signal);
  const { startedAt, endedAt, bytes } = used.run;
  // A job has no start and no end to wait for but its own: what it took from the first to the last.
  if (startedAt !== null && endedAt !== null)
    findings.startSeconds = seconds(Date.parse(endedAt) - Date.parse(startedAt));
  findings.pssBytes = bytes.peak;
  settle(used, findings);
  const asked = await modelsAskedBy(definition, platform, signal);
  if (asked.length > 0) findings.models = asked;
}

async function tryServer(
  definition: ServiceDefinition,
  platform: TestPlatform,
  place: Place,
  findings: Findings,
  ports: number[],
): Promise<void> {
  const { signal } = place;
  const { url, key } = platform;
  const client = createClient({ url, key });
  const name = modelFor(definition) ?? definition.id;
  const unit = await started(client, name, place);
  if (unit.instance?.port) ports.push(unit.instance.port);
  if (unit.instance) findings.startSeconds = seconds(Date.now() - Date.parse(unit.instance.startedAt));
  settle(await use(definition, unit, platform, signal), findings);
  await noteModels(definition, platform, place, findings);
  findings.pssBytes = await weightOf(client, name, signal);
  if (definition.tier === 'core') return;
  const rung = await asleep(client, name, signal);
  const woken = performance.now();
  // What is asked beside the door is not woken by being asked.
  const isByCall = !definition.verify || 'path' in definition.verify;
  const awake = rung === 'cold' || !isByCall ? await started(client, name, place) : unit;
  const again = await use(definition, awake, platform, signal);
  findings.sleep = { rung, wakeSeconds: seconds(performance.now() - woken) };
  settle(again, findings, 'woken, it');
  const { instance } = await client.readUnit(name, {}, { signal });
  if (instance?.port) ports.push(instance.port);
  await client.stopUnit(name, { force: true }, { signal });
}

async function noteModels(
  definition: ServiceDefinition,
  platform: TestPlatform,
  { signal, say }: Place,
  findings: Findings,
): Promise<void> {
  const said = await askedByItself(definition, platform, signal);
  const asked = await modelsAskedBy(definition, platform, signal);
  if (said !== null) say(`  it was told: ${said.slice(0, 1_000)}`);
  if (asked.length > 0) findings.models = asked;
  else if (said !== null) throw new Error('it was answered by a model, but the map has nothing of its key');
}

const seconds = (ms: number): number => Number((ms / 1000).toFixed(ms < 1000 ? 3 : 1));

function settle({ what, answer, fault }: Used, findings: Findings, who = 'it'): void {
  findings.call = { what, status: answer.status };
  if (fault !== null) throw new Error(`${who} ${fault}`);
}

/** The unit as soon as it is ready. */
async function started(client: Client, name: string, { signal, say }: Place): Promise<ApiUnit> {
  let last = '';
  return finished(client.startUnit(name, { wait: true }, { signal }), ({ phase }) => {
    if (phase !== last) say(`  ${phase}`);
    last = phase;
  });
}

/** PSS in bytes; of what has no process here what the platform measured. */
async function weightOf(client: Client, name: string, signal: AbortSignal): Promise<number | null> {
  for (let looks = 1; ; looks++) {
    const { instance, bytes } = await client.readUnit(name, {}, { signal });
    const pss = instance?.pid ? await instancePss(instance.id, instance.pid) : 0;
    if (pss > 0) return pss;
    // A container is weighed by the platform alone, with its next survey.
    if (bytes.measured !== null || instance?.way !== 'docker' || looks === 20) return bytes.measured;
    await sleep(systemClock, 250, signal);
  }
}

async function asleep(client: Client, name: string, signal: AbortSignal): Promise<'frozen' | 'cold'> {
  const bound = performance.now() + idleSeconds * 1000 + sleepBoundMs;
  for (;;) {
    const { state, why } = await client.readUnit(name, {}, { signal });
    if (state === 'frozen' || state === 'cold') return state;
    if (performance.now() > bound) throw new Error(`it did not go to sleep: it is ${state}, ${why}`);
    await sleep(systemClock, 100, signal);
  }
}
