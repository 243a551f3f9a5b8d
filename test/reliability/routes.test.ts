import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { echoService, root, startPlatform } from '../_platform.ts';
import type { TestPlatform } from '../_platform.ts';
import { until } from '../_processes.ts';

const catalog = { 'services/echo.yaml': echoService('echo', { dir: `${root}test` }) };
const times = Number(process.env.RELOADS ?? 100);

/** One number in three places: in a route, and in two steps of a set. */
const file = (round: number) => `
routes:
  r${round}:
    match: { path: /r/* }
    to: { service: echo }
    with: [{ stripPrefix: /r }, marked, { responseHeaders: { set: { X-One: "${round}" } } }]
middlewares:
  marked: [{ requestHeaders: { set: { X-Round: "${round}" } } }, { responseHeaders: { set: { X-Two: "${round}" } } }]
`;

interface Seen {
  readonly status: number;
  /** The round as the route, the set and the service have it. */
  readonly rounds: readonly unknown[];
}

function ask(platform: TestPlatform, agent: Agent): Promise<Seen> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${platform.key}` };
    const req = request({ host: '127.0.0.1', port: platform.port, path: '/r/x', headers, agent }, (res) => {
      let text = '';
      res.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      res.on('error', reject);
      res.on('end', () => {
        if (!res.complete) return reject(new Error('cut'));
        if (res.statusCode !== 200) return resolve({ status: res.statusCode ?? 0, rounds: [text] });
        const echoed = JSON.parse(text) as { readonly headers: Readonly<Record<string, string>> };
        resolve({ status: 200, rounds: [res.headers['x-one'], res.headers['x-two'], echoed.headers['x-round']] });
      });
    });
    req.on('error', reject);
    req.end();
  });
}

/** Put in its place whole: a file that is read while it is written is another configuration. */
const hangUp = async (platform: TestPlatform, text: string): Promise<void> => {
  const path = join(platform.home, 'sutaz.yaml');
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
  process.kill(platform.pid, 'SIGHUP');
};

it(`R15 hot-reload: ${times} reloads of routes under load fail no request, and none sees two configurations`, async () => {
  const platform = await startPlatform({ catalog, config: file(1) });
  try {
    const first = new Agent({ keepAlive: true, maxSockets: 1 });
    expect(await ask(platform, first)).toEqual({ status: 200, rounds: ['1', '1', '1'] });
    const bad: unknown[] = [];
    const rounds = new Set<unknown>();
    let [running, answered] = [true, 0];
    const client = async () => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      while (running) {
        const seen = await ask(platform, agent).catch((error: unknown) => ({ status: 0, rounds: [String(error)] }));
        const isWhole =
          seen.status === 200 && seen.rounds.every((round) => round !== undefined && round === seen.rounds[0]);
        if (isWhole) answered++;
        else bad.push(seen);
        rounds.add(seen.rounds[0]);
      }
      agent.destroy();
    };
    const load = Array.from({ length: 6 }, client);
    for (let round = 2; round <= times + 1; round++) {
      await hangUp(platform, file(round));
      await until(async () => (await ask(platform, first)).rounds[0] === String(round), `the routes of round ${round}`);
      if (round % 10 > 0) continue;
      await hangUp(platform, file(round).replace('service: echo', 'servce: echo'));
      expect(await ask(platform, first)).toEqual({ status: 200, rounds: Array(3).fill(String(round)) });
    }
    running = false;
    await Promise.all(load);
    first.destroy();
    expect(bad).toEqual([]);
    // The load was there while they changed, and not only before or after.
    expect(rounds.size).toBeGreaterThan(times / 2);
    expect(answered).toBeGreaterThan(times);
  } finally {
    expect(await platform.stop()).toBe(0);
  }
});

it("a module of one's own is taken up when it changes; a broken one leaves running what ran and says where", async () => {
  const module = (round: string) =>
    `export default { response(headers: Record<string, string>) { headers['x-own'] = '${round}'; } };`;
  const config = `routes: { r: { match: { path: /r/* }, to: { service: echo }, with: [{ use: middlewares/mine.ts }] } }\n`;
  const platform = await startPlatform({ catalog, config: '' });
  const own = async () => (await platform.fetch('/r/x')).headers.get('x-own');
  const write = async (text: string) => {
    await mkdir(join(platform.home, 'middlewares'), { recursive: true });
    await writeFile(join(platform.home, 'middlewares/mine.ts'), text, { mode: 0o600 });
    await hangUp(platform, config);
  };
  try {
    await write(module('1'));
    await until(async () => (await own()) === '1', 'the module');
    await write(module('2'));
    await until(async () => (await own()) === '2', 'the changed module');
    await write('export default { response: 3 };');
    const log = () => readLog(platform);
    await until(
      async () => (await log()).includes('middlewares/mine.ts has response, which is no function'),
      'the problem',
    );
    expect(await log()).toMatch(/sutaz\.yaml:1:\d+: routes\.r\.with\[0\]\.use: /);
    expect(await own()).toBe('2');
  } finally {
    expect(await platform.stop()).toBe(0);
  }
});

async function readLog({ home }: TestPlatform): Promise<string> {
  const files = (await readdir(join(home, 'logs'), { recursive: true })).filter((name) => name.endsWith('.log'));
  return (await Promise.all(files.map((name) => readFile(join(home, 'logs', name), 'utf8')))).join('\n');
}
