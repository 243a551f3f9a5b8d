import { formatBytes } from '#kernel/quantities';
import { defineCommand } from './command.ts';
import { exitCodes, usageError } from './failure.ts';
import { gatherFacts } from './probes.ts';
import type { Facts } from './probes.ts';
import { painter } from './style.ts';
import type { Colour } from './style.ts';

export const doctor = defineCommand({
  arguments: '',
  about: 'Checks what the platform needs of this machine, and says what to do about what is missing.',
  options: {
    port: { type: 'string', value: 'N', help: 'The port to look at (otherwise 8080)' },
  },
  examples: ['sutaz doctor'],
  async run(values, _words, context) {
    const port = Number(values.port ?? '8080');
    if (!Number.isInteger(port) || port < 1 || port > 65_535) throw usageError(`--port ${values.port} is not a port.`);
    const checks = examine(await gatherFacts(context.home, port, { ...context.env }, context.composition));
    const failed = checks.some(({ verdict }) => verdict === 'fail');
    if (context.json) context.printJson({ ok: !failed, checks });
    else {
      const paint = painter(context.outTty, context.env);
      for (const { verdict, name, text, advice } of checks) {
        context.out(`${paint(colours[verdict], verdict.padEnd(4))}  ${name.padEnd(9)}${text}\n`);
        if (advice) context.out(`${' '.repeat(15)}${advice}\n`);
      }
    }
    return failed ? exitCodes.failed : exitCodes.ok;
  },
});

export interface Check {
  readonly verdict: 'ok' | 'warn' | 'fail';
  readonly name: string;
  readonly text: string;
  /** What to do about it. */
  readonly advice?: string;
}

const colours: Readonly<Record<Check['verdict'], Colour>> = { ok: 'green', warn: 'yellow', fail: 'red' };
const GiB = 2 ** 30;

const ok = (name: string, text: string): Check => ({ verdict: 'ok', name, text });
const warn = (name: string, text: string, advice: string): Check => ({ verdict: 'warn', name, text, advice });
const fail = (name: string, text: string, advice: string): Check => ({ verdict: 'fail', name, text, advice });

/** Judges what was found. Pure. What only some services need is a warning, what nothing runs without a failure. */
export function examine(facts: Facts): Check[] {
  return [
    checkNode(facts),
    checkPython(facts),
    checkNpm(facts),
    checkMemory(facts),
    ...checkGpu(facts),
    ...checkConfinement(facts),
    checkDisk(facts),
    checkHome(facts),
    ...checkKey(facts),
    ...facts.issuers.map(checkIssuer),
    ...checkPlatform(facts),
  ];
}

function checkNode({ node, cores }: Facts): Check {
  const text = `Node ${node}, ${cores} core${cores === 1 ? '' : 's'}`;
  const major = Number(/^v(\d+)/.exec(node)?.[1] ?? 0);
  return major >= 24 ? ok('node', text) : fail('node', text, 'Node.js 24 or newer is needed: https://nodejs.org');
}

function checkPython({ python, pip, uv }: Facts): Check {
  if (uv !== null) return ok('python', `${python ?? 'no python3, but uv brings one'}, ${uv}`);
  if (python === null) {
    return warn('python', 'no python3', 'Python services need it: apt install python3 python3-pip python3-venv');
  }
  if (pip === null) {
    return warn('python', `${python}, neither uv nor pip`, 'Python services need one of them: apt install python3-pip');
  }
  return ok('python', `${python}, pip (uv is installed into the home folder on first use)`);
}

const checkNpm = ({ npm }: Facts): Check =>
  // The platform brings pnpm for its services; npm only sets up a checkout.
  npm === null
    ? warn('npm', 'no npm', 'A checkout needs it to install what is missing: apt install npm')
    : ok('npm', npm);

function checkMemory({ memory: { total, free, cgroupLimit } }: Facts): Check {
  const usable = cgroupLimit ?? total;
  const limit = cgroupLimit === null ? '' : `, limited to ${formatBytes(cgroupLimit)} by the cgroup`;
  const text = `${formatBytes(total)}${limit}, ${formatBytes(free)} free`;
  if (usable < GiB) return fail('memory', text, 'At least 1 GiB is needed for the platform and the smallest model.');
  return usable < 4 * GiB
    ? warn('memory', text, 'Enough for small models; most services want 4 GiB or more.')
    : ok('memory', text);
}

/** Most machines have none, and nothing needs one. */
function checkGpu({ gpu }: Facts): Check[] {
  if (gpu === null) return [];
  if ('error' in gpu) {
    const advice = 'Models run on the CPU meanwhile. Install a driver that fits this kernel, or restart the machine.';
    return [warn('gpu', gpu.error, advice)];
  }
  const names = gpu.devices.map(({ name, totalBytes, usedBytes }) => {
    if (totalBytes === null) return name;
    const used = usedBytes ? `, of which ${formatBytes(usedBytes)} are in use` : '';
    return `${name}, ${formatBytes(totalBytes)}${used}`;
  });
  return [ok('gpu', names.join('; ') || 'nvidia-smi finds no device')];
}

/** A user of its own is what keeps one service from another's data; the bounds are what keeps it from the rest of the machine. */
function checkConfinement({ confinement: { memory, processes, cpu, files, noUsers } }: Facts): Check[] {
  const unbounded = [
    ...(memory === 'cgroup' ? [] : ['the memory of a service is bounded for each of its processes only']),
    ...(processes === 'cgroup' || noUsers === null ? [] : ['its processes are not counted']),
    ...(cpu === 'cgroup' ? [] : ['its CPU time is not bounded']),
  ];
  const bounds =
    unbounded.length === 0
      ? ok('limits', 'memory, processes and CPU of each service are bounded')
      : warn('limits', unbounded.join(', '), 'Give the platform a control group that it may write: docs/sandbox.md.');
  const users =
    noUsers === null
      ? ok('users', 'each service gets a user of its own')
      : warn(
          'users',
          `services run as the platform's user: ${noUsers}`,
          'docs/sandbox.md says what it takes, and what stays open without.',
        );
  const bounded =
    files === 'landlock'
      ? ok('files', 'services and runs of tools write in their own folders alone')
      : warn(
          'files',
          'services and runs of tools write wherever their users may, /tmp and the like included',
          'Landlock keeps them to their folders: Linux 5.19 or newer with perl and setpriv, see docs/sandbox.md.',
        );
  return [bounds, users, bounded];
}

function checkDisk({ disk, home }: Facts): Check {
  if (disk === null) return warn('disk', `cannot tell for ${home.path}`, 'Models need a few GiB there.');
  const text = `${formatBytes(disk.free)} free for ${home.path}`;
  if (disk.free < GiB) return fail('disk', text, 'Free some space, or choose another home folder with SUTAZ_HOME.');
  return disk.free < 10 * GiB
    ? warn('disk', text, 'Enough for small models; larger ones take several GiB each.')
    : ok('disk', text);
}

function checkHome({ home }: Facts): Check {
  const text = `${home.path}${home.exists ? '' : ' (made by the first `sutaz up`)'}`;
  const advice = 'Make it writable for this user, or choose another home folder with SUTAZ_HOME.';
  return home.writable ? ok('home', text) : fail('home', `${text} cannot be written`, advice);
}

function checkKey({ key }: Facts): Check[] {
  if (key === null) return [];
  const mode = key.mode.toString(8).padStart(3, '0');
  const open = (key.mode & 0o077) !== 0;
  return [
    open ? fail('key', `${key.path} can be read by others (${mode})`, `chmod 600 '${key.path}'`) : ok('key', key.path),
  ];
}

/** Its people cannot come in; everybody else can, and the platform starts without it. */
function checkIssuer({ issuer, problem }: Facts['issuers'][number]): Check {
  if (problem === null) return ok('issuer', `${issuer} tells its keys`);
  const advice =
    'Its tokens are refused meanwhile; keys and sessions go on. See security.oidc in sutaz.yaml: `issuer` to the letter as in its ' +
    'tokens, `jwks` where its keys are elsewhere, and whether this machine reaches it.';
  return warn('issuer', `${issuer}: ${problem}`, advice);
}

function checkPlatform({ platform, port }: Facts): Check[] {
  if (platform?.ready) return [ok('platform', `ready at ${platform.url} (process ${platform.pid})`)];
  const portCheck = port.free
    ? ok('port', `${port.number} is free`)
    : warn('port', `${port.number} is used by another program`, 'Start with another: sutaz up --port N, or --port 0.');
  if (platform === null) return [portCheck, ok('platform', 'not running')];
  if (!platform.alive)
    return [portCheck, warn('platform', 'it was killed the last time', '`sutaz up` cleans up after it.')];
  const advice = 'It may still be starting. If it stays so, see logs/platform.log in the home folder.';
  return [fail('platform', `process ${platform.pid} runs, but is not ready at ${platform.url}`, advice)];
}
