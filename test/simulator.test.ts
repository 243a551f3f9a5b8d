/** The simulator as its users run it: files in, one line of JSON out, and what is wrong said in one line with exit code 2. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { root } from './_platform.ts';

/** One of the three fits. `b` and `c` are asked for in turn while `a` is busy. */
const units = `{
  "limitBytes": 10,
  "units": [
    { "id": "a", "bytes": 10, "startMs": 1000 },
    { "id": "b", "bytes": 10, "startMs": 1000 },
    { "id": "c", "bytes": 10, "startMs": 1000 }
  ]
}
`;
const trace = `{"t": 0, "unit": "a", "serviceMs": 9000}
{"t": 1, "unit": "b", "serviceMs": 100, "principal": "ada"}
{"t": 2, "unit": "c", "serviceMs": 100, "principal": "bob", "class": "batch"}
{"t": 3, "unit": "b", "serviceMs": 100, "principal": "ada"}
{"t": 4, "unit": "c", "serviceMs": 100, "principal": "bob", "deadlineMs": 50}
`;

let folder = '';
let files: readonly string[] = [];
const write = (name: string, text: string): string => {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
};
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sutaz-simulator-'));
  files = ['--units', write('U.json', units), '--trace', write('T.jsonl', trace)];
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function command(argv: readonly string[]) {
  const [program = '', ...rest] = argv;
  const { status, stdout, stderr } = spawnSync(program, rest, { cwd: root, encoding: 'utf8', timeout: 60_000 });
  return { status, lines: stdout.trimEnd().split('\n'), stderr: stderr.trimEnd() };
}
/** As `npm run bench:NAME` does, without npm's own seconds and lines. */
const bench = (name: string, ...argv: readonly string[]) =>
  command([
    ...[process.execPath, '--conditions=source', '--disable-warning=ExperimentalWarning'],
    ...[join(root, 'bench', `${name}.ts`), ...argv],
  ]);
const resultOf = ({ lines }: { readonly lines: readonly string[] }) =>
  JSON.parse(lines.at(-1) ?? '') as Record<string, unknown>;

describe('npm run bench:scheduler', () => {
  it('prints the result as its last line', () => {
    const run = command(['npm', 'run', 'bench:scheduler', '--', ...files, '--policy', 'llama-swap', '--json']);
    expect([run.status, run.stderr.replaceAll(/^npm warn .*$/gm, '').trim()]).toEqual([0, '']);
    const result = resultOf(run);
    expect(Object.keys(result).slice(0, 14)).toEqual([
      ...['policy', 'requests', 'served', 'refused', 'coldStarts', 'thaws', 'evictions', 'waitMs'],
      ...['slowestPrincipalP95Ms', 'maxReservedBytes', 'limitBytes', 'byteSeconds', 'wallMs', 'eventsPerSecond'],
    ]);
    // a until 10000; b's two from 11200, c's one from 12500 on, whose other left at 54.
    expect(result).toMatchObject({
      ...{ policy: 'llama-swap', requests: 5, served: 4, refused: 1, coldStarts: 3, thaws: 0, evictions: 2 },
      waitMs: { p50: 11_197, p95: 12_498, p99: 12_498, max: 12_498 },
      ...{ slowestPrincipalP95Ms: 12_498, maxReservedBytes: 10, limitBytes: 10, byteSeconds: 126, virtualMs: 12_600 },
    });
  });

  it('prints a table before it, and with --json nothing but it', () => {
    const [full, short] = [bench('scheduler', ...files), bench('scheduler', ...files, '--json')];
    expect(short.lines).toHaveLength(1);
    expect(full.lines.length).toBeGreaterThan(1);
    expect(full.lines.join('\n')).toMatch(/^cold starts +3$/m);
    const same = { ...resultOf(full), wallMs: 0, eventsPerSecond: 0 };
    expect({ ...resultOf(short), wallMs: 0, eventsPerSecond: 0 }).toEqual(same);
    expect(same).toMatchObject({ policy: 'sutaz', served: 4 });
  });

  it('plays what bench:traces made', () => {
    const out = join(folder, 'made');
    const made = bench('traces', '--family', 'zipf', '--factor', '3', '--seed', '7', '--arrivals', '200', '--out', out);
    expect([made.status, made.stderr]).toEqual([0, '']);
    const run = bench('scheduler', '--units', join(out, 'U.json'), '--trace', join(out, 'T.jsonl'), '--json');
    const { requests, served } = resultOf(run);
    expect([run.status, requests, served]).toEqual([0, 200, 200]);
  });

  it.each<[string, 'U.json' | 'T.jsonl', string, string, string]>([
    [
      'field of a unit',
      'U.json',
      '"c", "bytes": 10',
      '"c", "byts": 10',
      ':6: units[2]: byts is no field. Did you mean bytes?',
    ],
    [
      'value of a unit',
      'U.json',
      '"c", "bytes": 10',
      '"c", "bytes": 0',
      ':6: units[2]: bytes must be at least 1, not 0.',
    ],
    ['field of an arrival', 'T.jsonl', 'deadlineMs', 'deadline', ':5: deadline is no field. Did you mean deadlineMs?'],
    ['unit', 'T.jsonl', '2, "unit": "c"', '2, "unit": "cc"', ':3: unit "cc" is not among the units. Did you mean c?'],
    ['order', 'T.jsonl', '"t": 3', '"t": 1', ':4: t is 1, before the 2 of an earlier line.'],
  ])('ends with 2 for a wrong %s, and says where', (_, name, from, to, message) => {
    const file = write(`wrong.${name}`, (name === 'U.json' ? units : trace).replace(from, to));
    const run = bench('scheduler', ...files, name === 'U.json' ? '--units' : '--trace', file, '--json');
    expect(run).toEqual({ status: 2, lines: [''], stderr: `${file}${message}` });
  });

  it.each([
    [['--policy', 'llama-swop'], '"llama-swop" is no policy. Did you mean llama-swap? Known: sutaz, lru, ollama,'],
    [['--settings', 'agingMs=5'], 'agingMs is no setting. Did you mean ageingMs?'],
    [['--unit', 'U.json'], '--unit is no option. Did you mean --units?'],
    [['--trace', '/nowhere/T.jsonl'], '/nowhere/T.jsonl cannot be read: ENOENT.'],
  ])('ends with 2 for %s, and says what is meant', (argv, message) => {
    const { status, lines, stderr } = bench('scheduler', ...files, ...argv);
    expect([status, lines]).toEqual([2, ['']]);
    expect(stderr.startsWith(message), stderr).toBe(true);
    expect(stderr).not.toContain('\n');
  });
});
