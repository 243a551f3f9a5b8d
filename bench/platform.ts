/**
 * The platform's own cost, measured on real processes: resident memory at rest, a command of the command line, what the
 * door adds to a warm model's first byte, and what the platform adds to a service's own start.
 *
 *   node --conditions=source bench/platform.ts [HOME]
 *
 * HOME is kept (the model and the engine are fetched into it once); without it a temporary one is made and removed.
 * Prints a table; read ratios and medians, the machine's other work shows in the rest.
 */
import { execFileSync, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { echoService } from '../test/_platform.ts';
import { freePort } from '#runtime/ports';

const root = new URL('..', import.meta.url).pathname;
const home = process.argv[2] ?? (await mkdtemp(join(tmpdir(), 'sutaz-bench-')));
const env = { ...process.env, SUTAZ_HOME: home };
const sutaz = (...argv: string[]) =>
  execFileSync(join(root, 'sutaz'), argv, { env, stdio: ['ignore', 'pipe', 'inherit'] }).toString();

const sorted = (values: readonly number[]) => [...values].sort((a, b) => a - b);
const quantile = (values: readonly number[], q: number) => sorted(values)[Math.floor(q * (values.length - 1))] ?? NaN;
const rows: string[][] = [];
const row = (what: string, values: readonly number[], unit: string, goal = '') =>
  rows.push([what, ...[0.5, 0.9].map((q) => `${quantile(values, q).toFixed(1)} ${unit}`), String(values.length), goal]);

interface Sent {
  readonly port: number;
  readonly path: string;
  readonly key: string;
  readonly body?: unknown;
}

/** Milliseconds until the first byte of the answer's body. */
function firstByte({ port, path, key, body }: Sent): Promise<number> {
  return new Promise((resolve, reject) => {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const started = performance.now();
    const headers = {
      authorization: `Bearer ${key}`,
      ...(text ? { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) } : {}),
    };
    const req = request({ host: '127.0.0.1', port, path, method: text ? 'POST' : 'GET', headers }, (res) => {
      let at = NaN;
      res.on('data', () => {
        if (Number.isNaN(at)) at = performance.now() - started;
      });
      res.on('end', () =>
        res.statusCode === 200 ? resolve(at) : reject(new Error(`${path} answers ${res.statusCode}`)),
      );
      res.on('error', reject);
    });
    req.on('error', reject);
    req.end(text);
  });
}

/** Pairs A B A B, so that the machine's drift falls on both alike. */
async function paired(
  pairs: number,
  a: () => Promise<number>,
  b: () => Promise<number>,
): Promise<[number[], number[]]> {
  const [as, bs]: [number[], number[]] = [[], []];
  for (let i = 0; i < pairs; i++) {
    as.push(await a());
    bs.push(await b());
  }
  return [as, bs];
}

const differences = (a: readonly number[], b: readonly number[]) => a.map((value, i) => value - (b[i] ?? 0));

async function memoryAtRest(pid: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 20_000));
  const kib = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
  row('resident memory, 20 s after ready', [kib / 1024], 'MiB', '<= 120 MB (114.4 MiB)');
}

function commands(): void {
  for (const command of [['ps'], ['key']]) {
    const times = Array.from({ length: 15 }, () => {
      const started = performance.now();
      sutaz(...command);
      return performance.now() - started;
    });
    row(`./sutaz ${command.join(' ')}`, times, 'ms', '<= 250 ms');
  }
}

/** The engine's own address and token, from the platform's record of it. */
function instanceOf(unit: string): { readonly port: number; readonly key: string } {
  const db = new DatabaseSync(join(home, 'state.db'), { readOnly: true });
  try {
    const found = db.prepare("SELECT value FROM state WHERE tab = 'instances' AND key = ?").get(unit);
    return JSON.parse(String(found?.value)) as { port: number; key: string };
  } finally {
    db.close();
  }
}

async function warmModel(port: number, key: string): Promise<void> {
  const body = {
    model: 'default',
    stream: true,
    max_tokens: 1,
    temperature: 0,
    messages: [{ role: 'user', content: 'Hi' }],
  };
  const door: Sent = { port, path: '/v1/chat/completions', key, body };
  await firstByte(door);
  const direct: Sent = { ...door, ...instanceOf('model/smollm2:135m') };
  await paired(
    5,
    () => firstByte(door),
    () => firstByte(direct),
  );
  const [through, straight] = await paired(
    60,
    () => firstByte(door),
    () => firstByte(direct),
  );
  row('first byte of a warm model, direct', straight, 'ms');
  row('first byte of a warm model, through the door', through, 'ms');
  row('added by the door (pair by pair)', differences(through, straight), 'ms', '<= 3 ms (p50)');
}

async function warmService(port: number, key: string): Promise<void> {
  const door: Sent = { port, path: '/services/echo/x', key };
  await firstByte(door);
  const direct: Sent = { port: instanceOf('service/echo').port, path: '/x', key };
  await paired(
    50,
    () => firstByte(door),
    () => firstByte(direct),
  );
  const [through, straight] = await paired(
    500,
    () => firstByte(door),
    () => firstByte(direct),
  );
  row('added to a warm service (pair by pair)', differences(through, straight), 'ms');
}

/** The service's own start: from the spawn until its health path answers, looked at each millisecond. */
async function ownStart(): Promise<number> {
  const port = await freePort();
  const started = performance.now();
  const child = spawn(process.execPath, [join(root, 'test/echo.mjs'), String(port), '0', ''], { stdio: 'ignore' });
  try {
    for (;;) {
      const up = await firstByte({ port, path: '/health', key: '' }).catch(() => null);
      if (up !== null) return performance.now() - started;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  } finally {
    child.kill('SIGKILL');
  }
}

async function wake(port: number, key: string): Promise<number> {
  sutaz('stop', 'echo');
  for (;;) {
    const [unit] = (
      JSON.parse(sutaz('ps', '--all', '--json')) as { units: { name: string; state: string }[] }
    ).units.filter(({ name }) => name === 'echo');
    if (unit?.state === 'cold') break;
  }
  return firstByte({ port, path: '/services/echo/health', key });
}

const defined = join(home, 'catalog/services/echo.yaml');
try {
  await mkdir(join(home, 'catalog/services'), { recursive: true });
  await writeFile(defined, echoService('echo', { dir: join(root, 'test') }));
  const { url, pid } = JSON.parse(sutaz('up', '--detach', '--json', '--port', '0')) as { url: string; pid: number };
  const port = Number(new URL(url).port);
  const key = sutaz('key').trim();
  await memoryAtRest(pid);
  commands();
  await warmModel(port, key);
  await warmService(port, key);
  const [woken, own] = await paired(15, () => wake(port, key), ownStart);
  row("a service's own start", own, 'ms');
  row('its wake through the platform', woken, 'ms');
  row('added by the platform (pair by pair)', differences(woken, own), 'ms', '<= 50 ms');
  const head = ['', 'p50', 'p90', 'n', 'goal'];
  for (const line of [head, head.map(() => '---'), ...rows]) console.log(`| ${line.join(' | ')} |`);
} finally {
  sutaz('down');
  await rm(defined, { force: true });
  if (process.argv[2] === undefined) await rm(home, { recursive: true, force: true });
}
