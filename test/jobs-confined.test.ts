// Tools that try what they should not: docs/sandbox.md says what holds where.
import { chmod, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createClient } from '#clients/sdk';
import type { ApiJob, ApiJobAsk } from '#contracts/jobs-api';
import { enforcedHere } from '#drivers/runtime/process';
import { whyNoUsers } from '#runtime/sandbox/users';
import { temporary, toolDefinition } from './_jobs.ts';
import { startPlatform } from './_platform.ts';
import type { TestPlatform } from './_platform.ts';
import { until } from './_processes.ts';

const { files } = await enforcedHere();
const noUsers = await whyNoUsers(70_000);
/** Landlock bounds signals, too, from Linux 6.12 on. */
const [major = 0, minor = 0] = release().split('.').map(Number);
const scoped = major > 6 || (major === 6 && minor >= 12);

let home: string;
let platform: TestPlatform;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'sutaz-jobs-'));
  const catalog = {
    'services/tool.yaml': toolDefinition('tool'),
    'services/free.yaml': toolDefinition('free'),
  };
  const config = 'services: { free: { sandbox: "off" } }';
  platform = await startPlatform({ home, config, catalog });
});
afterAll(async () => {
  await platform.stop();
  await rm(home, { recursive: true, force: true });
});

interface Attempted {
  readonly job: ApiJob;
  readonly uid: number;
  readonly said: readonly string[];
}

async function attempted(tries: readonly string[], more: Partial<ApiJobAsk> = {}): Promise<Attempted> {
  const client = createClient(platform);
  const { id } = await client.startJob({ tool: 'tool', args: ['attempt', ...tries], ...more });
  let text = '';
  for await (const { event, data } of client.readJobOutput(id)) {
    if (event === 'output') text += data.text;
    if (event === 'done') return { job: data, ...(JSON.parse(text) as { uid: number; said: string[] }) };
  }
  throw new Error(`The output of ${id} broke off.`);
}

/** Nothing of this may it do. */
async function outside(): Promise<readonly string[]> {
  const folder = await temporary();
  // Landlock alone keeps anybody from that.
  if (files === 'landlock') await chmod(folder, 0o777);
  const names = ['x', 'services/x', 'jobs/x', 'env/x', 'catalog/services/x.yaml'];
  return [
    `write:${join(folder, 'x')}`,
    ...names.map((name) => `write:${join(home, name)}`),
    ...['keys/admin.key', 'state.db', 'platform.json'].map((name) => `read:${join(home, name)}`),
    `read:/proc/${platform.pid}/environ`,
  ];
}

it.skipIf(noUsers !== null && files === 'none')(
  'a run in a folder of its own writes there, in its data and where temporary files go, and nowhere else',
  async () => {
    const begin = ['write:here', 'write:$HOME/kept', 'write:$TMPDIR/x', 'write:/dev/null'];
    const { uid, said } = await attempted([...begin, ...(await outside())]);
    expect(said.slice(0, 4)).toEqual(['done', 'done', 'done', 'done']);
    expect(said.slice(4).filter((one) => one !== 'EACCES')).toEqual([]);
    if (noUsers === null) expect(uid).toBeGreaterThan(70_000);
  },
);

it.skipIf(files === 'none')('a run in a folder that was named writes in no other, and signals nobody', async () => {
  const folder = await temporary();
  await writeFile(join(folder, 'there'), 'before');
  const tries = [...(await outside()), ...(scoped ? [`signal:${platform.pid}`] : [])];
  const begin = ['write:there', 'write:new', 'write:$HOME/kept', 'read:/etc/passwd'];
  const { said } = await attempted([...begin, ...tries], { folder });
  expect(said.slice(0, 4)).toEqual(['done', 'done', 'done', 'done']);
  expect(said.slice(4).filter((one) => !['EACCES', 'EPERM'].includes(one))).toEqual([]);
  expect((await readdir(folder)).sort()).toEqual(['new', 'there']);
  // Made by whoever works there otherwise.
  expect((await stat(join(folder, 'new'))).uid).toBe(process.getuid?.());
});

it('runs as the user of the platform, with all that may, where that is chosen', async () => {
  const folder = await temporary();
  const { uid, said } = await attempted([`write:${join(folder, 'x')}`], { tool: 'free' });
  expect([uid, said]).toEqual([process.getuid?.(), ['done']]);
});

it('takes its temporary files along, and finds its data whoever had it last', async () => {
  const folder = await temporary();
  const shared = ['write:$HOME/shared', 'write:$TMPDIR/x'];
  const runs = [
    await attempted(shared),
    await attempted([...shared, 'write:$HOME/more'], { folder }),
    await attempted([...shared, 'write:$HOME/more']),
  ];
  expect(runs.flatMap(({ said }) => said).filter((one) => one !== 'done')).toEqual([]);
  for (const { job } of runs) {
    await until(async () => !(await readdir(join(home, 'jobs', job.id))).includes('tmp'), 'them to go');
  }
});

it('is not begun in a folder that has the home in it', async () => {
  await expect(attempted([], { folder: join(home, '..') })).rejects.toThrow('keys and all');
});
