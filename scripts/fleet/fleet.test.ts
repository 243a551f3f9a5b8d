import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseStrict } from '#config/strict';
import { serviceSchema } from '#catalog/service';
import type { DockerRun } from '#catalog/service';
import { Fault } from '#kernel/faults';
import { faultOf } from './answer.ts';
import { whyNotFetched } from './containers.ts';
import { absentProgram, planTrial, versionOf } from './plan.ts';
import { merged, noteVerified, readVerified } from './record.ts';
import type { Verification } from './record.ts';

function service(run: string, more = '') {
  const text = `id: a\nname: A\nsummary: A\ncategory: tool\nrun: ${run}\n${more}`;
  const parsed = parseStrict(
    text.includes('resources') ? text : `${text}resources: { memory: 1MiB }\n`,
    'a.yaml',
    serviceSchema,
  );
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  return parsed.value;
}

const bare = { hasGpu: false, hasDocker: false };
const both = '{ process: { command: [a] }, docker: { image: "a/a:1.2", port: 80 } }';
const container = '{ docker: { image: "localhost:5000/a/a", port: 80 } }';

describe('the image of a container', () => {
  const { docker } = service(container).run;
  const asked = async (fault: Fault | null) => {
    const said: string[] = [];
    const prepare = async () => {
      if (fault) throw fault;
    };
    const fetching = { signal: new AbortController().signal, say: (text: string) => void said.push(text) };
    return { why: await whyNotFetched({ prepare }, docker as DockerRun, fetching), said };
  };

  it('is had, or it is recorded why not, in words that say nothing of this machine', async () => {
    expect(await asked(null)).toEqual({ why: null, said: [] });
    expect(await asked(new Fault('UPSTREAM_FAILED', 'proxy 10.0.0.1 refused'))).toEqual({
      why: 'a container only, and its registry could not be reached',
      said: ['  proxy 10.0.0.1 refused'],
    });
    expect((await asked(new Fault('INTERNAL', 'x'))).why).toBe('a container only, and its image could not be fetched');
  });
});

describe('how a service is tried', () => {
  it.each([
    ['as a process where it can', both, '', bare, { way: 'process' }],
    ['as a container where there is nothing else', container, '', { ...bare, hasDocker: true }, { way: 'docker' }],
    ['not at all as a container without an engine', container, '', bare, { way: null, why: 'a container only' }],
    [
      'not without the card that it needs',
      both,
      'resources: { memory: 1MiB, gpu: required }\n',
      bare,
      { way: null, why: 'needs a graphics card' },
    ],
    [
      'not on a platform that it has no packages for',
      '{ process: { node: { packages: [a@1.0.0], platforms: { sunos-sparc: [b@1.0.0] } }, command: [a] } }',
      '',
      bare,
      { way: null, why: 'has no packages for this platform' },
    ],
    [
      'not when it runs elsewhere',
      '{ external: { url: "http://192.0.2.7" } }',
      '',
      bare,
      { way: null, why: 'runs elsewhere only' },
    ],
  ])('%s', (_, run, more, machine, plan) => expect(planTrial(service(run, more), machine)).toEqual(plan));

  it.each([
    ['{ process: { python: { packages: ["a-b==1.2.post1", c==2] }, command: [a] } }', 'process', '1.2.post1'],
    ['{ process: { node: { packages: ["@a/b@1.2.3"] }, command: [a] } }', 'process', '1.2.3'],
    [both, 'process', null],
    [both, 'docker', '1.2'],
    [container, 'docker', null],
  ] as const)('of %s as a %s the version is %s', (run, way, version) =>
    expect(versionOf(service(run), way)).toBe(version),
  );
});

describe('a program that the machine lacks', () => {
  const missing = 'service/a could not be started: the command "a" was not found in PATH (/bin): install it.';
  it('is no failure of the service', () => {
    expect(absentProgram(service(both), missing)).toBe('a');
    expect(absentProgram(service(both), "ollama is not on this machine's PATH. Install it.")).toBe('ollama');
    expect(absentProgram(service(both), 'jaeger is not on this machine. To have it: a release.')).toBe('jaeger');
    expect(absentProgram(service(both), 'it ended with code 1')).toBeNull();
  });

  it('is one where its packages were to bring it', () => {
    const run = '{ process: { python: { packages: [b==1] }, command: [a] } }';
    expect(absentProgram(service(run), missing)).toBeNull();
  });
});

describe('an answer', () => {
  const ok = { status: 200 };
  it.each([
    [{ status: 200, text: '' }, ok],
    [
      { status: 200, text: 'version 1.2' },
      { ...ok, text: '1.2' },
    ],
    [
      { status: 201, text: '{"data":[{"id":0}]}' },
      { status: 201, json: 'data[0].id' },
    ],
    [
      { status: 200, text: '[false]' },
      { ...ok, json: '[0]' },
    ],
  ])('%j is right', (answer, expected) => expect(faultOf(answer, expected)).toBeNull());

  it.each([
    [{ status: 500, text: 'No' }, ok, 'answered 500, not 200: No'],
    [{ status: 200, text: 'version 1.3' }, { ...ok, text: '1.2' }, 'did not say "1.2": version 1.3'],
    [{ status: 200, text: '<html>' }, { ...ok, json: 'id' }, 'did not answer in JSON: <html>'],
    [{ status: 200, text: '{"id":null}' }, { ...ok, json: 'id' }, 'has nothing at id: {"id":null}'],
    [{ status: 200, text: '[]' }, { ...ok, json: 'constructor' }, 'has nothing at constructor: []'],
  ])('%j is wrong', (answer, expected, fault) => expect(faultOf(answer, expected)).toBe(fault));
});

describe('catalog/verified.json', () => {
  const one = (id: string, date = '2026-11-01'): Verification => ({
    ...{ outcome: 'not-here', id, date, version: null },
    why: 'a container only',
  });
  let folder: string;
  let file: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sutaz-fleet-test-'));
    file = join(folder, 'verified.json');
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('keeps what a run of a part did not try, and not what the catalogue has lost', () => {
    const later = one('b', '2026-11-02');
    expect(merged([one('c'), one('b'), one('gone')], [later, one('a')], new Set(['a', 'b', 'c']))).toEqual([
      one('a'),
      later,
      one('c'),
    ]);
  });

  it('is begun when it is not there, and read as it was written', async () => {
    await noteVerified([one('b')], new Set(['a', 'b']), file);
    await noteVerified([one('a')], new Set(['a', 'b']), file);
    expect(await readVerified(file)).toEqual([one('a'), one('b')]);
  });

  it('is left as it is when what was found could not be read again', async () => {
    await noteVerified([one('a')], new Set(['a', 'b']), file);
    const figures = { startSeconds: null, pssBytes: null, sleep: null, way: 'process', version: null } as const;
    const call = { what: 'sutaz run b --help', status: NaN };
    const broken: Verification = { outcome: 'failed', id: 'b', date: '2026-11-01', ...figures, call, error: 'no' };
    await expect(noteVerified([broken], new Set(['a', 'b']), file)).rejects.toThrow('status');
    expect(await readVerified(file)).toEqual([one('a')]);
  });

  it('is left as it is when it cannot be understood', async () => {
    await writeFile(file, '{ "services": [{ "id": 1 }] }');
    await expect(noteVerified([one('a')], new Set(['a']), file)).rejects.toThrow('outcome');
  });
});
