import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { InstanceHandle, InstanceSpec } from '#contracts/runtime';
import { cgroupFolder } from '#kernel/cgroups';

/** True once there is no such process, or only the line that its parent hasn't read. */
export function exited(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return /^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
  } catch {
    return true;
  }
}

/** What a process takes of the machine's memory, its part of what it shares included (PSS). */
export async function pssBytes(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8');
  return Number(/^Pss:\s+(\d+) kB$/m.exec(text)?.[1]) * 1024;
}

/** The control group (version 2) that the driver gave an instance's process; null when it is in none of its own. */
function instanceGroup(pid: number): string | null {
  const read = (name: string) => readFileSync(`/proc/${pid}/${name}`, 'utf8');
  const folder = cgroupFolder(read('cgroup'), read('mountinfo'));
  return folder?.includes('/sutaz-i-') ? folder : null;
}

/** True for a process that a signal stopped, or whose control group is frozen. */
export function isFrozen(pid: number): boolean {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  if (stat.slice(stat.lastIndexOf(')') + 2).startsWith('T')) return true;
  const group = instanceGroup(pid);
  return group !== null && readFileSync(join(group, 'cgroup.events'), 'utf8').includes('frozen 1');
}

/** Freezes or thaws by hand, in the way that the driver does it on this machine. */
export function setFrozen(pid: number, frozen: boolean): void {
  const group = instanceGroup(pid);
  if (group) writeFileSync(join(group, 'cgroup.freeze'), frozen ? '1' : '0');
  else process.kill(pid, frozen ? 'SIGSTOP' : 'SIGCONT');
}

/** Real processes take the time they take: looked at often, waited for within bounds. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  boundMs = 15_000,
): Promise<void> {
  const start = performance.now();
  while (!(await condition())) {
    if (performance.now() - start > boundMs) throw new Error(`Waited ${boundMs} ms in vain for ${what}.`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** A Node process that runs a module's text from source; resolves with the first line it prints. */
export async function runScript(text: string): Promise<{ readonly line: string; readonly kill9: () => Promise<void> }> {
  const child = spawn(process.execPath, ['--conditions=source', '--input-type=module', '-e', text], {
    cwd: new URL('..', import.meta.url),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let out = '';
  for await (const chunk of child.stdout) {
    out += String(chunk);
    if (out.includes('\n')) break;
  }
  return {
    line: out.split('\n')[0] as string,
    async kill9() {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** An instance that an earlier platform started, which was killed since. */
export async function startedEarlier(spec: InstanceSpec): Promise<InstanceHandle> {
  const platform = await runScript(`
    import runtimeProcess from '#drivers/runtime/process';
    import { systemClock } from '#kernel/clock';
    import { silentLogger } from '#kernel/logger';
    const signal = new AbortController().signal;
    const driver = await runtimeProcess.open({}, { log: silentLogger, clock: systemClock, signal });
    console.log(JSON.stringify(await driver.start(${JSON.stringify(spec)}, signal)));
    setInterval(() => undefined, 1_000);`);
  await platform.kill9();
  return JSON.parse(platform.line) as InstanceHandle;
}
