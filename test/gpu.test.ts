/** Graphics cards in the account, with a program in the place of `nvidia-smi` that says what the test wants it to. */
import { execFile } from 'node:child_process';
import { chmod, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import type { ApiAccount, ApiPlan, ApiWhy } from '#contracts/explanations';
import { root, startPlatform } from './_platform.ts';
import type { TestPlatform } from './_platform.ts';

const MiB = 2 ** 20;
let home: string;
let folder: string;
let platform: TestPlatform;
beforeAll(async () => {
  [home, folder] = [await mkdtemp(join(tmpdir(), 'sutaz-gpu-')), await mkdtemp(join(tmpdir(), 'sutaz-smi-'))];
  const program = join(folder, 'nvidia-smi');
  await writeFile(
    program,
    `#!/bin/sh\ncase "$1" in --query-gpu=*) cat '${folder}/cards' ;; *) cat '${folder}/uses' ;; esac\n`,
  );
  await chmod(program, 0o755);
});
afterEach(() => platform.stop());
afterAll(() => Promise.all([home, folder].map((path) => rm(path, { recursive: true, force: true }))));

/** One card of 8 GiB on which so many MiB are in use, by these processes. */
async function says(usedMiB: number, uses: readonly (readonly [pid: number, mib: number])[] = []): Promise<void> {
  const put = async (name: string, text: string) => {
    await writeFile(join(folder, `${name}.new`), text);
    await rename(join(folder, `${name}.new`), join(folder, name));
  };
  await put('uses', uses.map(([pid, mib]) => `${pid}, GPU-one, ${mib}\n`).join(''));
  await put('cards', `0, GPU-one, Stand-in 8G, 8192, ${usedMiB}\n`);
}

const onCard = (id: string, vram: string, gpu = 'optional'): string => `id: ${id}
name: ${id}
summary: Says that it holds memory on a card
category: tool
run: { process: { command: [node, '${join(root, 'test')}/echo.mjs', '{port}', '0', '{data}'] } }
health: { http: /health, startupTimeout: 20s }
resources: { memory: 64MiB, gpu: ${gpu}, vram: ${vram} }
`;
const catalog = {
  'services/one.yaml': onCard('one', '5GiB'),
  'services/two.yaml': onCard('two', '4GiB', 'required'),
  'services/plain.yaml': onCard('plain', '1GiB', 'none'),
  'services/huge.yaml': onCard('huge', '9GiB', 'required'),
};
const start = async (): Promise<void> => {
  const env = { PATH: `${folder}${delimiter}${process.env.PATH}` };
  const config = 'scheduler: { minResidency: 100ms }\nmemory: { gpuReserve: 512MiB }';
  platform = await startPlatform({ home, catalog, memory: '1GiB', config, env });
};
const said = async <T>(path: string) => (await (await platform.fetch(`/sutaz/v1/${path}`)).json()) as T;
const wake = async (id: string): Promise<{ readonly pid: number; readonly status: number }> => {
  const answer = await platform.fetch(`/services/${id}/`);
  return { status: answer.status, ...((await answer.json()) as { pid: number }) };
};
const card = async () => (await said<ApiAccount>('ledger')).devices?.[0];
const execute = promisify(execFile);
const sutaz = async (...words: string[]): Promise<string> => {
  const argv = ['--conditions=source', '--disable-warning=ExperimentalWarning', join(root, 'src/cli.ts'), ...words];
  const bounded = { timeout: 60_000, killSignal: 'SIGKILL' } as const;
  const told = await execute(process.execPath, [...argv, '--home', home], bounded).catch(
    (error: { stdout: string }) => error,
  );
  return told.stdout;
};

it('two services that do not fit onto the card together have it in turn, and the account says so', async () => {
  await says(300);
  await start();
  expect(await card()).toMatchObject({
    ...{ id: 'gpu0', name: 'Stand-in 8G', totalBytes: 8192 * MiB, otherBytes: 300 * MiB, chargedBytes: 0 },
    // What others hold is rounded up to a quarter of a GiB.
    limitBytes: (8192 - 512 - 512) * MiB,
  });
  const { pid } = await wake('one');
  const environment = await readFile(`/proc/${pid}/environ`, 'utf8');
  expect(environment.split('\0')).toContain('CUDA_VISIBLE_DEVICES=GPU-one');
  expect(await card()).toMatchObject({ reservedBytes: 5 * 1024 * MiB, freeBytes: 2 * 1024 * MiB });
  const { outlook } = await said<ApiWhy>('units/two/why');
  expect(outlook?.card).toMatchObject({ device: 'gpu0', need: 4 * 1024 * MiB, free: 2 * 1024 * MiB });
  await expect.poll(async () => (await said<ApiWhy>('units/one/why')).facts?.evictable, { timeout: 10_000 }).toBe(true);
  expect((await wake('two')).status).toBe(200);
  const { units, devices } = await said<ApiAccount>('ledger');
  expect(devices?.[0]).toMatchObject({ reservedBytes: 4 * 1024 * MiB });
  expect(units.find(({ id }) => id === 'service/one')).toMatchObject({
    state: 'cold',
    reason: { code: 'evicted', for: 'service/two', device: 'gpu0', bytes: 5 * 1024 * MiB },
  });
  expect(await sutaz('ps')).toContain(
    'Card gpu0: 4 GiB reserved of 7 GiB (Stand-in 8G, 300 MiB held by other programs)',
  );
  expect(await sutaz('why', 'one')).toContain('5 GiB on gpu0');
  const metrics = await (await platform.fetch('/metrics')).text();
  expect(metrics).toContain(`sutaz_gpu_charged_bytes{device="gpu0"} ${4 * 1024 * MiB}`);
});

it('what needs more than the card has is refused, and what needs none does not see it', async () => {
  await says(0);
  await start();
  const refused = await platform.fetch('/services/huge/');
  expect(refused.status).toBe(503);
  expect(await refused.json()).toMatchObject({
    code: 'NO_MEMORY',
    detail: expect.stringContaining('on gpu0') as string,
  });
  const { pid } = await wake('plain');
  const environment = await readFile(`/proc/${pid}/environ`, 'utf8');
  expect(environment.split('\0')).toContain('CUDA_VISIBLE_DEVICES=');
  const plan = await said<ApiPlan>('plan?unit=one&unit=two');
  expect(plan).toMatchObject({ verdict: 'in-turns', devices: [{ id: 'gpu0', totalBytes: 9 * 1024 * MiB }] });
  expect(await sutaz('plan', 'one', 'huge')).toContain('gpu0');
});

it('what a service is measured to hold on the card is charged, and remembered for its next start', async () => {
  await says(0);
  await start();
  const { pid } = await wake('one');
  await says(6000, [[pid, 6000]]);
  await expect.poll(async () => (await card())?.chargedBytes, { timeout: 25_000 }).toBe(6000 * MiB);
  expect(await card()).toMatchObject({ measuredBytes: 6000 * MiB, otherBytes: 0, limitBytes: (8192 - 512) * MiB });
  expect((await platform.unit('one')).vram).toMatchObject({ measured: 6000 * MiB, next: 6000 * MiB });
  await platform.stop();
  await says(0);
  await start();
  expect((await platform.unit('one')).vram).toMatchObject({ reserved: 0, next: 6000 * MiB });
});
