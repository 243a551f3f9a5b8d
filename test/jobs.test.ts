import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { ApiJob, ApiJobAsk, ApiJobOutput } from '#contracts/jobs-api';
import type { ApiAuditList, ApiMadeKey } from '#contracts/security-api';
import { enforcedHere } from '#drivers/runtime/process';
import { temporary, toolDefinition as definition } from './_jobs.ts';
import { followEvents, root, startPlatform } from './_platform.ts';
import type { TestPlatform } from './_platform.ts';
import { exited, until } from './_processes.ts';

const catalog = {
  'services/tool.yaml': definition('tool'),
  'services/single.yaml': definition('single').replace('concurrency: 8', 'concurrency: 1'),
  'services/huge.yaml': definition('huge')
    .replace('memory: 64MiB', 'memory: 1TiB')
    .replace('memory: 256MiB', 'memory: 2TiB'),
};

const { memory } = await enforcedHere();

let home: string;
let platform: TestPlatform;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'sutaz-jobs-'));
  platform = await startPlatform({ home, catalog });
});
afterAll(async () => {
  await platform.stop();
  await rm(home, { recursive: true, force: true });
});

const post = (ask: Partial<ApiJobAsk>, key = platform.key) =>
  platform.fetch('/sutaz/v1/jobs', {
    method: 'POST',
    body: JSON.stringify(ask),
    headers: { authorization: `Bearer ${key}` },
  });

async function started(args: readonly string[], more: Partial<ApiJobAsk> = {}): Promise<ApiJob> {
  const response = await post({ tool: 'tool', args, ...more });
  expect(response.status).toBe(202);
  const job = (await response.json()) as ApiJob;
  expect(response.headers.get('location')).toBe(`/sutaz/v1/jobs/${job.id}`);
  return job;
}

const read = async (id: string): Promise<ApiJob> =>
  (await (await platform.fetch(`/sutaz/v1/jobs/${id}`)).json()) as ApiJob;

/** All it wrote, and how it ended. */
async function outcome(
  id: string,
): Promise<{ readonly job: ApiJob; readonly stdout: string; readonly stderr: string }> {
  const events = followEvents(platform, `/sutaz/v1/jobs/${id}/output`);
  onTestFinished(() => events.stop());
  await until(() => events.seen.some(({ event }) => event === 'done'), `the end of ${id}`, 60_000);
  const written = events.seen.filter(({ event }) => event === 'output').map(({ data }) => data as ApiJobOutput);
  const of = (name: ApiJobOutput['stream']) =>
    written
      .filter(({ stream }) => stream === name)
      .map(({ text }) => text)
      .join('');
  return { job: events.seen.at(-1)?.data as ApiJob, stdout: of('stdout'), stderr: of('stderr') };
}

const ran = async (args: readonly string[], more: Partial<ApiJobAsk> = {}) => outcome((await started(args, more)).id);

/** Its first line of output that begins so, as it is written. */
async function line(id: string, begin: string): Promise<readonly string[]> {
  let found: string | undefined;
  const file = join(home, 'jobs', id, 'stdout');
  await until(async () => {
    const text = await readFile(file, 'utf8').catch(() => '');
    found = text.split('\n').find((one) => one.startsWith(begin) && text.includes(`${one}\n`));
    return found !== undefined;
  }, `${id} to say ${begin}`);
  return (found ?? '').split(' ');
}

const cancel = (id: string) => platform.fetch(`/sutaz/v1/jobs/${id}`, { method: 'DELETE' });
const keyWorks = async (key: string) =>
  (await platform.fetch('/v1/models', { headers: { authorization: `Bearer ${key}` } })).status;

function cli(args: readonly string[], cwd = root) {
  const argv = ['--conditions=source', '--disable-warning=ExperimentalWarning', join(root, 'src/cli.ts'), ...args];
  const child = spawn(process.execPath, argv, { cwd, env: { ...process.env, SUTAZ_HOME: home } });
  const said = { out: '', err: '' };
  child.stdout.on('data', (chunk: Buffer) => (said.out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (said.err += chunk.toString()));
  child.stdin.end();
  return { child, said, code: once(child, 'close').then(([code]) => code as number) };
}

describe('a run', () => {
  it('has its output streamed with both streams told apart, and its exit code', async () => {
    const { job, stdout, stderr } = await ran(['say', '3', 'out {port} {nothing}', 'err']);
    expect([stdout, stderr]).toEqual(['out {port} {nothing}\n', 'err\n']);
    expect(job).toMatchObject({ state: 'ended', end: { reason: 'exited', code: 3, signal: null } });
    expect(await read(job.id)).toEqual(job);
  });

  it('is shown as it comes, not at its end', async () => {
    const { id } = await started(['wait']);
    const events = followEvents(platform, `/sutaz/v1/jobs/${id}/output`);
    await until(() => events.seen.some(({ event }) => event === 'output'), 'its first line');
    expect((await read(id)).state).toBe('running');
    await cancel(id);
    await until(() => events.seen.some(({ event }) => event === 'done'), 'its end');
    await events.stop();
  });

  it('works in an empty folder, in a folder that is named, or in a copy of it', async () => {
    const folder = await temporary();
    await writeFile(join(folder, 'kept'), 'as it was');
    const own = await ran(['facts']);
    expect(JSON.parse(own.stdout)).toMatchObject({ cwd: join(home, 'jobs', own.job.id, 'work'), args: [] });
    const place = await ran(['facts', '--repo', '.', 'x'], { cwd: folder });
    expect(JSON.parse(place.stdout)).toMatchObject({ cwd: folder, args: ['x'] });
    const copy = await ran(['write', 'kept', 'other'], { folder, copy: true });
    expect(copy.job).toMatchObject({ folder: { kind: 'copy' }, end: { code: 0 } });
    expect(await readFile(join(folder, 'kept'), 'utf8')).toBe('as it was');
    expect(await readFile(join(copy.job.folder.path, 'kept'), 'utf8')).toBe('other');
    await ran(['write', 'kept', 'new'], { folder });
    expect(await readFile(join(folder, 'kept'), 'utf8')).toBe('new');
  });

  it('is given its input', async () => {
    expect((await ran(['input'], { stdin: 'gruß 🐘' })).stdout).toBe('GRUSS 🐘\n');
    expect((await ran(['input'])).stdout).toBe('\n');
  });

  it('has its memory in the ledger for as long as it runs, and none afterwards', async () => {
    const { id } = await started(['wait']);
    await line(id, 'pid');
    const unit = async () => (await platform.state()).units.find((one) => one.id === `job/${id}`);
    expect(await unit()).toMatchObject({ kind: 'job', state: 'ready', leases: 1, title: 'Tool' });
    expect((await unit())?.bytes.reserved).toBeGreaterThanOrEqual(64 * 2 ** 20);
    await until(async () => ((await unit())?.bytes.measured ?? 0) > 2 ** 20, 'it to be weighed');
    await cancel(id);
    await until(async () => (await unit()) === undefined, 'its line to go');
  });

  it('survives a change of the catalogue', async () => {
    const { id } = await started(['wait']);
    await line(id, 'pid');
    await writeFile(join(home, 'catalog/services/another.yaml'), definition('another'));
    await until(async () => (await (await platform.fetch('/sutaz/v1/catalog')).text()).includes('another'), 'it');
    expect((await read(id)).state).toBe('running');
    await cancel(id);
    expect((await outcome(id)).job.end?.reason).toBe('cancelled');
  });

  it('waits for another one of a tool that runs once at a time', async () => {
    const first = await started(['wait'], { tool: 'single' });
    await line(first.id, 'pid');
    const second = await started(['say', '0', 'second', ''], { tool: 'single' });
    await until(async () => (await read(second.id)).state === 'queued', 'the second to wait');
    await cancel(first.id);
    expect(await outcome(second.id)).toMatchObject({ stdout: 'second\n', job: { end: { code: 0 } } });
  });
});

describe('the end of a run', () => {
  it('takes all it started along when it is cancelled, and its key', async () => {
    const { id } = await started(['cling']);
    const [, pid, child, key = ''] = await line(id, 'pids');
    expect(await keyWorks(key)).toBe(200);
    expect((await cancel(id)).status).toBe(202);
    const { job, stdout } = await outcome(id);
    expect(stdout).toContain('asked to end');
    expect(job.end).toMatchObject({ reason: 'cancelled', signal: 'SIGKILL' });
    expect([exited(Number(pid)), exited(Number(child))]).toEqual([true, true]);
    expect(await keyWorks(key)).toBe(401);
    expect((await cancel(id)).status).toBe(202);
    expect(await read(id)).toEqual(job);
  });

  it('comes when its time is up', async () => {
    const { job, stdout } = await ran(['cling'], { timeLimit: '1s' });
    const [, pid, child] =
      stdout
        .split('\n')
        .find((one) => one.startsWith('pids'))
        ?.split(' ') ?? [];
    expect(job.end).toMatchObject({ reason: 'time', message: expect.stringContaining('1 s') });
    expect([exited(Number(pid)), exited(Number(child))]).toEqual([true, true]);
  });

  it('comes when it weighs more than it may', async () => {
    const { job } = await ran(['eat'], { memoryLimit: '160MiB' });
    expect(job.end).toMatchObject({ reason: 'memory', message: expect.stringContaining('160 MiB') });
    expect(job.bytes.peak).toBeGreaterThan(64 * 2 ** 20);
  });

  it.skipIf(memory === 'rlimit')('comes at its limit, however quick it is there', async () => {
    const { job } = await ran(['gorge'], { memoryLimit: '160MiB' });
    expect(job.end).toMatchObject({ reason: 'memory', message: expect.stringContaining('160 MiB') });
    expect(job.bytes.peak ?? 0).toBeLessThan(161 * 2 ** 20);
  });

  it('comes when it writes without end', async () => {
    const { id } = await started(['flood']);
    await until(async () => (await read(id)).state === 'ended', 'its end', 60_000);
    expect((await read(id)).end?.reason).toBe('output');
  });

  it('comes before its beginning where it cannot begin', async () => {
    const { id } = await started(['wait'], { tool: 'single' });
    const waiting = await started(['wait'], { tool: 'single' });
    await cancel(waiting.id);
    expect((await outcome(waiting.id)).job).toMatchObject({
      startedAt: null,
      end: { reason: 'cancelled', code: null },
    });
    await cancel(id);
    const huge = await ran(['wait'], { tool: 'huge' });
    expect(huge.job).toMatchObject({
      startedAt: null,
      end: { reason: 'failed', message: expect.stringContaining('needs 1 TiB') },
    });
  });
});

describe('what a run may', () => {
  it('is to ask the one model it was given, and nothing else', async () => {
    const { stdout, job } = await ran(['facts'], { model: 'smollm2' });
    expect(job.model).toBe('smollm2:135m');
    expect(JSON.parse(stdout)).toMatchObject({ model: 'smollm2:135m', url: `${platform.url}/v1` });
    expect((await ran(['ask', '/v1/models/smollm2:135m', '/v1/models/gemma3:270m', '/sutaz/v1/state'])).stdout).toBe(
      '200\n403\n403\n',
    );
  });

  it('is no more than whoever runs it may', async () => {
    const made = async (name: string, scopes: string[]) => {
      const body = JSON.stringify({ name, scopes });
      return ((await (await platform.fetch('/sutaz/v1/keys', { method: 'POST', body })).json()) as ApiMadeKey).key;
    };
    const runner = await made('runner', ['jobs:run:tool', 'models:use:smollm2:*']);
    const poor = await made('poor', ['jobs:run']);
    const [ask, other] = [{ tool: 'tool', args: ['say', '0', '', ''] }, { tool: 'single' }];
    expect([(await post(ask, poor)).status, (await post(other, runner)).status]).toEqual([403, 403]);
    const job = (await (await post(ask, runner)).json()) as ApiJob;
    expect((await outcome(job.id)).job.end?.code).toBe(0);
    const as = (key: string, path: string, method = 'GET') =>
      platform.fetch(path, { method, headers: { authorization: `Bearer ${key}` } });
    const path = `/sutaz/v1/jobs/${job.id}`;
    expect([(await as(runner, path)).status, (await as(poor, path)).status]).toEqual([200, 404]);
    expect((await as(poor, path, 'DELETE')).status).toBe(404);
    expect((await as(poor, `${path}/output`)).status).toBe(404);
    const listed = (await (await as(runner, '/sutaz/v1/jobs')).json()) as { jobs: ApiJob[] };
    expect(listed.jobs.map(({ id }) => id)).toEqual([job.id]);
  });

  it('is in the audit, without what was asked', async () => {
    const { id } = await started(['say', '0', 'secret-of-the-user', '']);
    await outcome(id);
    const { entries } = (await (await platform.fetch('/sutaz/v1/audit?what=startJob')).json()) as ApiAuditList;
    expect(entries[0]).toMatchObject({ what: 'startJob', target: id, status: 202 });
    expect(JSON.stringify(entries)).not.toContain('secret-of-the-user');
  });
});

describe('what cannot be run', () => {
  it.each([
    [{ tool: 'tol' }, 404, 'Did you mean tool'],
    [{ tool: 'chroma' }, 404, 'is no tool that is run, but a server'],
    [{}, 400, 'tool is missing'],
    [{ tool: 'tool', timelimit: '1s' }, 400, 'Did you mean timeLimit'],
    [{ tool: 'tool', timeLimit: 'soon' }, 400, 'a time such as 10m'],
    [{ tool: 'tool', memoryLimit: '0' }, 400, 'a size such as 512MiB'],
    [{ tool: 'tool', model: 'nothing' }, 404, 'No model is called nothing'],
    [{ tool: 'tool', folder: 'somewhere' }, 400, 'is relative'],
    [{ tool: 'tool', folder: '/there/is/none' }, 400, 'is not there'],
    [{ tool: 'tool', copy: true }, 400, 'copy needs the folder'],
  ])('%j', async (ask, status, message) => {
    const before = await readdir(join(home, 'jobs'));
    const response = await post(ask as Partial<ApiJobAsk>);
    expect(response.status).toBe(status);
    expect(JSON.stringify(await response.json())).toContain(message);
    expect(await readdir(join(home, 'jobs'))).toEqual(before);
  });

  it('works in the home of the platform, or on a copy of it', async () => {
    for (const [folder, copy] of [
      [join(home, 'keys'), false],
      [home, true],
      [join(home, '..'), true],
    ] as const) {
      expect((await post({ tool: 'tool', folder, copy })).status).toBe(400);
    }
  });
});

describe('on the command line', () => {
  it('hands on everything behind the name, streams and exit code', async () => {
    const folder = await temporary();
    const ran = cli(['run', '--time', '30s', 'tool', 'say', '7', '--json', '-h'], folder);
    expect(await ran.code).toBe(7);
    expect(ran.said).toEqual({ out: '--json\n', err: '-h\n' });
    await mkdir(join(folder, 'inner'));
    const facts = cli(['run', 'tool', 'facts', '--repo', 'inner'], folder);
    expect([await facts.code, JSON.parse(facts.said.out)]).toEqual([
      0,
      expect.objectContaining({ cwd: join(folder, 'inner') }),
    ]);
  });

  it('ends the run with Ctrl-C', async () => {
    const ran = cli(['run', 'tool', 'cling']);
    await until(() => ran.said.out.includes('pids'), 'it to run');
    const [, pid, child] =
      ran.said.out
        .split('\n')
        .find((one) => one.startsWith('pids'))
        ?.split(' ') ?? [];
    ran.child.kill('SIGINT');
    expect(await ran.code).toBe(130);
    expect([exited(Number(pid)), exited(Number(child))]).toEqual([true, true]);
  });

  it('says who ended it', async () => {
    const late = cli(['run', '--time', '500ms', 'tool', 'wait']);
    expect([await late.code, late.said.err]).toEqual([124, expect.stringContaining('longer than its limit')]);
    const heavy = cli(['run', '--memory', '160MiB', 'tool', 'eat']);
    expect([await heavy.code, heavy.said.err]).toEqual([137, expect.stringContaining('its limit is 160 MiB')]);
  });

  it('lists, shows and calls off runs', async () => {
    const detached = cli(['run', '--detach', 'tool', 'wait']);
    expect(await detached.code).toBe(0);
    const id = detached.said.out.trim();
    await line(id, 'pid');
    const list = cli(['jobs', 'ls']);
    expect([await list.code, list.said.out]).toEqual([0, expect.stringMatching(new RegExp(`^${id} +running `, 'm'))]);
    expect(await cli(['jobs', 'cancel', id]).code).toBe(0);
    const output = cli(['jobs', 'output', id]);
    expect([await output.code, output.said.out]).toEqual([130, expect.stringMatching(/^pid \d+\n$/)]);
  });
});

describe('the platform', () => {
  it('ends a run when it is stopped', async () => {
    const { id } = await started(['cling']);
    const [, pid, child] = await line(id, 'pids');
    await platform.stop();
    expect([exited(Number(pid)), exited(Number(child))]).toEqual([true, true]);
    platform = await startPlatform({ home, catalog });
    expect((await read(id)).end?.reason).toBe('shutdown');
  });

  it('killed in the middle leaves nothing once it is back', async () => {
    const { id } = await started(['cling'], { timeLimit: '10m' });
    const [, pid, child, key = ''] = await line(id, 'pids');
    await until(async () => (await read(id)).state === 'running', 'it to run');
    await platform.kill9();
    platform = await startPlatform({ home, catalog });
    expect([exited(Number(pid)), exited(Number(child))]).toEqual([true, true]);
    expect(await keyWorks(key)).toBe(401);
    expect(await read(id)).toMatchObject({ state: 'ended', end: { reason: 'interrupted' } });
    expect((await platform.state()).units.filter(({ kind }) => kind === 'job')).toEqual([]);
  });
});
