import { join } from 'node:path';
import { Fault } from '#kernel/faults';
import { buildFault, words } from './failures.ts';
import { noteOf } from './folders.ts';
import { chooseInterpreter, type Choice } from './interpreters.ts';
import { formatVersion } from './python-versions.ts';
import { runTool } from './tool.ts';
import type { BuildContext, PythonSpec } from './types.ts';
import type { Uv } from './uv.ts';

export const pythonWish = (spec: PythonSpec) => ({
  kind: 'python',
  packages: [...new Set(spec.packages)].sort(),
  platform: `${process.platform}-${process.arch}`,
  ...(spec.build && { build: Object.entries(spec.build).sort() }),
});

/** What uv is told to make the environment with: the path of an interpreter, or a range for one that it downloads. */
export interface PythonSource {
  readonly request: string;
  /** For the name of the environment: `3.11.7`, or the range. */
  readonly version: string;
  readonly isDownload: boolean;
  readonly others: Choice['others'];
}

/** An interpreter of this machine; when none fits, one that uv may download, unless the user has said never. */
export async function choosePython(
  spec: PythonSpec,
  preferred: string | undefined,
  context: BuildContext,
): Promise<PythonSource> {
  const { chosen, others } = await chooseInterpreter(spec.version, preferred, context);
  if (chosen) return { request: chosen.path, version: formatVersion(chosen.version), isDownload: false, others };
  const source = { request: spec.version, version: spec.version, isDownload: true, others };
  if (context.env['UV_PYTHON_DOWNLOADS'] === 'never') throw noPython(source, '');
  return source;
}

/** Installs into `path/venv`. */
export async function buildPython(
  path: string,
  spec: PythonSpec,
  source: PythonSource,
  uv: Uv,
  context: BuildContext,
): Promise<void> {
  const bad = spec.packages.find((name) => !/^[A-Za-z0-9]/.test(name));
  if (bad !== undefined) {
    throw new Fault('BAD_REQUEST', `"${bad}" is no Python requirement: write it as pip does, as in "chromadb==1.5.9".`);
  }
  const venv = join(path, 'venv');
  const env = source.isDownload ? { ...uv.env, UV_PYTHON_DOWNLOADS: 'automatic' } : uv.env;
  const run = {
    cwd: path,
    env: { ...env, ...spec.build },
    signal: context.signal,
    clock: context.clock,
    note: noteOf(path),
  };
  const made = await runTool({ ...run, argv: [uv.program, 'venv', '--no-project', '--python', source.request, venv] });
  if (made.code !== 0) {
    const said = reason(made.stderr);
    throw source.isDownload
      ? noPython(source, said)
      : buildFault(
          `A Python environment with ${source.request}`,
          said,
          'Check that this interpreter works.',
          context.dir,
        );
  }
  const progress = createUvProgress(spec.packages.join(', '), context.onProgress);
  // Not compiled: a service imports a small part of what is installed, and what is compiled is a copy in each environment.
  const flags = ['--python', join(venv, 'bin', 'python'), '--strict'];
  const installed = await runTool({
    ...run,
    argv: [uv.program, 'pip', 'install', ...flags, '--', ...spec.packages],
    onLine: (line, from) => from === 'stderr' && progress(line),
  });
  if (installed.code === 0) return;
  throw buildFault(
    `The Python packages ${spec.packages.join(', ')}`,
    reason(installed.stderr) || `uv ended with code ${installed.code}.`,
    `Check the names and versions in the definition (Python here is ${source.version}), and that the index can be reached ("python3 -m pip download" asks the same one).`,
    context.dir,
  );
}

function noPython({ request, others }: PythonSource, said: string): Fault {
  const found =
    others.map(({ version, path }) => `${formatVersion(version)} (${path})`).join(', ') || 'none that could be asked';
  const tried = said === '' ? '' : ` Downloading one failed: ${said}`;
  return new Fault(
    'START_FAILED',
    `No Python fits "${request}": found ${found}.${tried}\nInstall one that does, with your package manager or pyenv.`,
  );
}

/** uv tells why in its last paragraph; what it did before is told line by line in known words. */
function reason(lines: readonly string[]): string {
  const start = lines.findIndex((line) => /^\s*(error|×)/.test(line));
  const told = start >= 0 ? lines.slice(start) : lines.filter((line) => !parseStep(line)).slice(-12);
  return words(told);
}

interface Step {
  readonly kind: 'resolved' | 'downloading' | 'downloaded' | 'building' | 'prepared' | 'installed';
  readonly subject: string;
}

const steps: readonly (readonly [RegExp, Step['kind']])[] = [
  [/^Resolved (\d+) packages?/, 'resolved'],
  [/^Downloading (\S+)/, 'downloading'],
  [/^Downloaded (\S+)/, 'downloaded'],
  [/^Building (\S+)/, 'building'],
  [/^Prepared (\d+) packages?/, 'prepared'],
  [/^Installed (\d+) packages?/, 'installed'],
];

export function parseStep(line: string): Step | null {
  for (const [pattern, kind] of steps) {
    const subject = pattern.exec(line.trim())?.[1];
    if (subject !== undefined) return { kind, subject };
  }
  return null;
}

/** Each package counts two steps, fetched and linked. uv names only the larger downloads. */
export function createUvProgress(what: string, onProgress: BuildContext['onProgress']): (line: string) => void {
  let packages: number | undefined;
  let fetched = 0;
  let done = 0;
  return (line) => {
    const step = parseStep(line);
    if (!step) return;
    if (step.kind === 'resolved') packages = Number(step.subject);
    if (step.kind === 'downloaded') done = Math.max(done, ++fetched);
    if (packages !== undefined && step.kind === 'prepared') done = Math.max(done, packages);
    if (packages !== undefined && step.kind === 'installed') done = 2 * packages;
    const isNamed = step.kind === 'downloading' || step.kind === 'downloaded' || step.kind === 'building';
    onProgress({
      ...{ phase: 'installing', what: isNamed ? step.subject : what, done, unit: 'steps' },
      ...(packages === undefined ? {} : { total: 2 * packages }),
    });
  };
}
