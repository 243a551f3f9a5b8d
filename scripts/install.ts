/**
 * R31 fresh-install: installs a copy of what is committed in an empty folder, with the lockfile (`npm ci`) and without (`npm
 * install`), with an empty cache and neither compiler, Python nor git on the PATH; starts it for the first time, follows a
 * stream through the door, and stops it. Ends with 1 when any of that fails. `npm run test:install [-- ci|install]`.
 */
import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { echoService } from '../test/_platform.ts';
import { until } from '../test/_processes.ts';

const run = promisify(execFile);
const root = new URL('..', import.meta.url).pathname;

/** What `./sutaz` and npm call, and what every machine has. A machine without more must be enough. */
const tools =
  'sh env cat chmod cp date dirname find grep head id ln ls mkdir mktemp mv ps readlink rm rmdir sed sleep sort tail touch tr uname wc';
const unwanted = ['cc', 'gcc', 'g++', 'c++', 'clang', 'make', 'cmake', 'python', 'python3', 'git'];

const ways: readonly string[] = ['ci', 'install'];

const placeOf = (tool: string): string => execFileSync('sh', ['-c', `command -v ${tool}`], { encoding: 'utf8' }).trim();

/** A folder for the PATH with these tools alone, Node and npm among them. */
async function makePath(folder: string): Promise<string> {
  await mkdir(folder);
  for (const tool of tools.split(' ')) await symlink(await realpath(placeOf(tool)), join(folder, tool));
  await symlink(process.execPath, join(folder, 'node'));
  await symlink(await realpath(placeOf('npm')), join(folder, 'npm'));
  const there = unwanted.filter((tool) => {
    try {
      execFileSync('/bin/sh', ['-c', `command -v ${tool}`], { env: { PATH: folder } });
      return true;
    } catch {
      return false;
    }
  });
  if (there.length > 0) throw new Error(`${there.join(', ')} are on the PATH.`);
  return folder;
}

/** The folder's own home and cache; where the registry is, and how it is reached, as for whoever runs this. */
async function environmentOf(folder: string): Promise<NodeJS.ProcessEnv> {
  const kept = Object.entries(process.env).filter(([name]) => !/^(SUTAZ_|NODE_OPTIONS|npm_(?!config_))/i.test(name));
  return {
    ...Object.fromEntries(kept),
    PATH: await makePath(join(folder, 'bin')),
    HOME: join(folder, 'home'),
    npm_config_cache: join(folder, 'cache'),
    npm_config_userconfig: process.env['npm_config_userconfig'] ?? join(homedir(), '.npmrc'),
  };
}

async function copyTo(checkout: string): Promise<void> {
  await mkdir(checkout);
  const archive = `${checkout}.tar`;
  await run('git', ['archive', '--output', archive, 'HEAD'], { cwd: root });
  await run('tar', ['-xf', archive, '-C', checkout]);
}

/** Starts it as its README says, and resolves when it says where it is. */
async function start(checkout: string, home: string, env: NodeJS.ProcessEnv) {
  const child = spawn(join(checkout, 'sutaz'), ['up', '--home', home, '--port', '0'], {
    ...{ cwd: checkout, env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (text: Buffer) => (said += text.toString()));
  const announced = async (): Promise<boolean> => {
    const end = child.exitCode ?? child.signalCode;
    if (end !== null) throw new Error(`./sutaz up ended with ${end}: ${said}`);
    return (await readFile(join(home, 'platform.json'), 'utf8').catch(() => '')) !== '';
  };
  const stop = async (): Promise<number | null> => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM');
      await once(child, 'exit');
    }
    return child.exitCode;
  };
  await until(announced, 'the first start', 300_000).catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  const { url } = JSON.parse(await readFile(join(home, 'platform.json'), 'utf8')) as { url: string };
  return { url, stop, said: () => said };
}

/** A stream that came whole, and the console's page. */
async function use(url: string, home: string): Promise<void> {
  const key = (await readFile(join(home, 'keys/admin.key'), 'utf8')).trim();
  const headers = { authorization: `Bearer ${key}`, accept: 'text/event-stream' };
  const streamed = await fetch(`${url}/services/echo/sse?count=20&every=10`, { headers });
  const events = (await streamed.text()).match(/^data: \d+$/gm)?.length ?? 0;
  if (streamed.status !== 200 || events !== 20)
    throw new Error(`The stream: ${streamed.status}, ${events} of 20 events.`);
  const page = await fetch(`${url}/console/`);
  if (page.status !== 200) throw new Error(`The console: ${page.status}.`);
}

async function install(way: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), `sutaz-install-${way}-`));
  const [checkout, home] = [join(folder, 'sutazai'), join(folder, 'data')];
  const began = performance.now();
  const seconds = () => ((performance.now() - began) / 1_000).toFixed(1);
  try {
    const env = await environmentOf(folder);
    await mkdir(env.HOME as string);
    await copyTo(checkout);
    if (way === 'install') await rm(join(checkout, 'package-lock.json'));
    await run('npm', [way], { cwd: checkout, env, maxBuffer: 2 ** 24 });
    console.log(`npm ${way}: installed after ${seconds()} s`);
    await mkdir(join(home, 'catalog/services'), { recursive: true });
    await writeFile(join(home, 'catalog/services/echo.yaml'), echoService('echo', { dir: join(checkout, 'test') }));
    const platform = await start(checkout, home, env);
    console.log(`npm ${way}: started after ${seconds()} s; it said: ${platform.said().trim() || 'nothing'}`);
    try {
      await use(platform.url, home);
    } finally {
      const code = await platform.stop();
      if (code !== 0) console.error(`npm ${way}: it ended with ${code}: ${platform.said()}`);
      process.exitCode ||= code === 0 ? 0 : 1;
    }
    console.log(`npm ${way}: a stream came whole, the console is there, and it stopped, after ${seconds()} s`);
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

const asked = process.argv.slice(2);
for (const way of asked) {
  if (!ways.includes(way)) throw new Error(`There is no way "${way}": give ${ways.join(' or ')}, or none for both.`);
}
for (const way of asked.length > 0 ? asked : ways) {
  await install(way).catch((error: unknown) => {
    const { stderr = '', message } = error as { stderr?: string; message: string };
    console.error(`npm ${way} FAILED: ${message}\n${stderr.slice(-2_000)}`);
    process.exitCode = 1;
  });
}
