/** One use of a service as its definition's `verify` says, or a look at its health path where that says nothing. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Agent, Headers, fetch } from 'undici';
import type { RequestInit } from 'undici';
import type { ServiceDefinition } from '#catalog/service';
import type { Verify, VerifyCall } from '#catalog/verify';
import { createClient } from '#clients/sdk';
import type { ApiUnit } from '#contracts/api';
import { sleep } from '#kernel/abort';
import { systemClock } from '#kernel/clock';
import { fill, fillAll } from '#runtime/blueprint';
import { lastingSecret } from '#security/lasting';
import type { TestPlatform } from '../../test/_platform.ts';
import { faultOf } from './answer.ts';
import type { Answer } from './answer.ts';
import { environmentOf } from './processes.ts';

export interface Used {
  /** `GET /api/version`, `psql -c ...`. */
  readonly what: string;
  readonly answer: Answer;
  /** Null where it was as expected. */
  readonly fault: string | null;
}

type Beside = Extract<Verify, { command: unknown }>;

export async function use(
  definition: ServiceDefinition,
  unit: ApiUnit,
  platform: TestPlatform,
  signal: AbortSignal,
): Promise<Used> {
  const { verify, health } = definition;
  if (verify && 'command' in verify) return useBeside(verify, definition, unit, platform, signal);
  if (verify && 'path' in verify) return useCall(verify, definition, unit, platform, signal);
  if ('http' in health) return useCall({ path: health.http }, definition, unit, platform, signal);
  throw new Error('Its definition does not say how it is used: it has no verify, and no health path.');
}

async function useCall(
  call: VerifyCall,
  { id, kind }: ServiceDefinition,
  unit: ApiUnit,
  platform: TestPlatform,
  signal: AbortSignal,
): Promise<Used> {
  const { body, status = 200, text, json } = call;
  const method = call.method ?? (body === undefined ? 'GET' : 'POST');
  const values = valuesOf(id, unit, platform);
  const headers = new Headers({ 'x-sutaz-key': platform.key });
  if (body !== undefined && typeof body !== 'string') headers.set('content-type', 'application/json');
  for (const [name, value] of Object.entries(call.headers ?? {})) headers.set(name, fill(value, values, name));
  const path = fill(call.path, values, 'path');
  const answer = await asked(`${platform.url}${kind === 'engine' ? '' : `/services/${id}`}${path}`, {
    ...{ method, headers, signal, redirect: 'manual' },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  return { what: `${method} ${call.path}`, answer, fault: faultOf(answer, { status, text, json }) };
}

/** The signal ends a call. Left to itself `fetch` does after five minutes, in which an agent on a busy machine has not said a word. */
const patient = new Agent({ headersTimeout: 0, bodyTimeout: 0 });

/** Asks until the service is awake: a request that waited too long for that is told when to come back. */
async function asked(url: string, init: RequestInit & { readonly signal: AbortSignal }): Promise<Answer> {
  for (;;) {
    const response = await fetch(url, { ...init, dispatcher: patient });
    const text = await response.text();
    const after = Number(response.headers.get('retry-after') ?? 1);
    const isGateway = response.status === 503 && response.headers.get('x-sutaz-source') === 'gateway';
    // What could not be started is left alone for longer than anybody waits here.
    const isWaking = isGateway && !text.includes('"START_FAILED"');
    if (!isWaking) return { status: response.status, text };
    await sleep(systemClock, after * 1000, init.signal);
  }
}

async function useBeside(
  { command, env = {}, text }: Beside,
  { id }: ServiceDefinition,
  unit: ApiUnit,
  platform: TestPlatform,
  signal: AbortSignal,
): Promise<Used> {
  const values = valuesOf(id, unit, platform);
  const pid = unit.instance?.pid;
  if (!pid) throw new Error(`${id} has no process of its own that could be asked beside.`);
  const argv = command.map((part, i) => fill(part, values, `verify.command[${i}]`));
  const variables = { ...environmentOf(pid), ...fillAll(env, values, 'verify.env') };
  const client = createClient(platform);
  // The door sees nothing of it: left alone, the service would go to sleep under a program that takes its time.
  await client.pinUnit(unit.id, {}, { signal });
  try {
    const answer = await ran(argv, { cwd: values.data, env: variables, signal });
    return { what: command.join(' '), answer, fault: faultOf(answer, { status: 0, text }) };
  } finally {
    await client.unpinUnit(unit.id, {});
  }
}

/** Runs a program to its end. All that it says is in the answer, which a code other than 0 does not make an error. */
function ran(
  argv: readonly string[],
  options: { cwd: string; env: Readonly<Record<string, string>>; signal: AbortSignal },
): Promise<Answer> {
  const [program = '', ...rest] = argv;
  return new Promise((resolve, reject) => {
    const child = execFile(program, rest, { ...options, maxBuffer: 2 ** 24 }, (error, stdout, stderr) => {
      if (error && typeof error.code !== 'number') return reject(error);
      resolve({ status: typeof error?.code === 'number' ? error.code : 0, text: `${stdout}${stderr}` });
    });
    child.stdin?.end();
  });
}

interface Values extends Readonly<Record<string, string>> {
  readonly data: string;
}

function valuesOf(id: string, { id: unit, instance }: ApiUnit, { home }: TestPlatform): Values {
  return {
    host: '127.0.0.1',
    port: String(instance?.port ?? ''),
    data: join(home, 'services', id),
    key: keyOf(unit, home),
    secret: lastingSecret(readFileSync(join(home, 'keys/services.seed'), 'utf8').trim(), 'service', id),
  };
}

/** The key that was minted for the instance, from the platform's record of it; empty where it has none. */
function keyOf(unit: string, home: string): string {
  const db = new DatabaseSync(join(home, 'state.db'), { readOnly: true });
  try {
    const found = db.prepare("SELECT value FROM state WHERE tab = 'instances' AND key = ?").get(unit);
    return found ? ((JSON.parse(String(found.value)) as { readonly key?: string }).key ?? '') : '';
  } finally {
    db.close();
  }
}
