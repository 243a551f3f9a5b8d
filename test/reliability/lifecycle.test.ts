import { writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { echoService, root, startPlatform } from '../_platform.ts';
import type { TestPlatform } from '../_platform.ts';
import { until } from '../_processes.ts';

const catalog = { 'services/echo.yaml': echoService('echo', { dir: `${root}test` }) };
const times = Number(process.env.RELOADS ?? 100);

/** The status, and the text of a whole answer; rejects one that was cut. */
function get(platform: TestPlatform, path: string, agent: Agent | false = false): Promise<[number, string]> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${platform.key}` };
    const req = request({ host: '127.0.0.1', port: platform.port, path, headers, agent }, (res) => {
      let text = '';
      res.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      res.on('end', () => (res.complete ? resolve([res.statusCode ?? 0, text]) : reject(new Error('cut'))));
      res.on('error', reject);
    });
    req.on('error', reject);
    req.end();
  });
}

it('R14 drain: a platform that is told to stop answers what is under way, takes nothing new, and ends with 0', async () => {
  const platform = await startPlatform({ catalog });
  expect((await get(platform, '/services/echo/x'))[0]).toBe(200);
  const streams = Array.from({ length: 30 }, () => get(platform, '/services/echo/sse?count=100&every=20'));
  await until(async () => (await platform.unit('echo')).leases === 30, 'the streams to begin');
  const stopped = platform.stop();
  const refused = () =>
    new Promise<boolean>((resolve) => {
      const socket = connect(platform.port, '127.0.0.1', () => socket.destroy(new Error('taken')));
      socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'));
    });
  await until(refused, 'new connections to be refused');
  for (const [status, text] of await Promise.all(streams)) {
    expect([status, text.match(/^data: \d+$/gm)?.length]).toEqual([200, 100]);
  }
  expect(await stopped).toBe(0);
});

it(`R15 hot-reload: ${times} reloads under load fail no request, cut no stream, and a bad one changes nothing`, async () => {
  const file = (body: string) => `services: { echo: { env: { ROUND: "${body}" } } }\nlimits: { body: ${body}KiB }\n`;
  const platform = await startPlatform({ catalog, config: file('1') });
  try {
    expect((await get(platform, '/services/echo/x'))[0]).toBe(200);
    const bad: unknown[] = [];
    let [running, answered] = [true, 0];
    const client = async () => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      while (running) {
        await get(platform, '/services/echo/x', agent).then(
          ([status, text]) => (status === 200 ? answered++ : bad.push([status, text])),
          (error: unknown) => bad.push(String(error)),
        );
      }
      agent.destroy();
    };
    const load = Array.from({ length: 6 }, client);
    const stream = get(platform, '/services/echo/sse?count=200&every=10');
    /** How large a body may be now: one of so many KiB is taken, and one byte more is not. */
    const takes = async (bytes: number) => {
      const body = JSON.stringify({ model: 'nobody', x: '' }).padEnd(bytes);
      return (await platform.fetch('/v1/chat/completions', { method: 'POST', body })).status !== 413;
    };
    const holds = async (kib: number) => (await takes(kib * 1024)) && !(await takes(kib * 1024 + 1));
    for (let round = 2; round <= times + 1; round++) {
      await writeFile(join(platform.home, 'sutaz.yaml'), file(String(round)));
      process.kill(platform.pid, 'SIGHUP');
      await until(() => holds(round), `the limit of round ${round}`);
      if (round % 10 > 0) continue;
      await writeFile(join(platform.home, 'sutaz.yaml'), `limits: { bdy: 1KiB }\n`);
      process.kill(platform.pid, 'SIGHUP');
      expect(await holds(round)).toBe(true);
    }
    running = false;
    await Promise.all(load);
    expect(bad).toEqual([]);
    expect(answered).toBeGreaterThan(times);
    expect((await stream)[1].match(/^data: \d+$/gm)?.length).toBe(200);
  } finally {
    expect(await platform.stop()).toBe(0);
  }
});
