import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { bytes, duration, environmentValue, url } from './fields.ts';
import { formatProblem, parseStrict, problemAt } from './strict.ts';
import type { StrictOptions } from './strict.ts';

const schema = z.strictObject({
  id: z.string().regex(/^[a-z]+$/, 'an id is lower-case letters'),
  kind: z.enum(['server', 'job', 'engine']).default('server'),
  homepage: url.optional(),
  resources: z
    .strictObject({
      memory: bytes,
      cpu: z.number().positive().max(64).default(1),
      threads: z.number().int().optional(),
    })
    .default({ memory: 0, cpu: 1 }),
  idle: z.strictObject({ after: duration.optional() }).default({}),
  health: z
    .union([
      z.strictObject({ http: z.string().startsWith('/', 'must be a path'), timeout: duration.optional() }),
      z.strictObject({ tcp: z.literal(true), timeout: duration.optional() }),
      z.strictObject({ log: z.string().min(1) }),
    ])
    .default({ tcp: true }),
  command: z.array(z.string().min(1)).min(1).optional(),
  env: z.record(z.string().regex(/^[A-Z]+$/, 'not a name of a variable'), environmentValue).default({}),
  sources: z
    .array(
      z
        .union([
          z.strictObject({ url: z.strictObject({ url }) }),
          z.strictObject({ hub: z.strictObject({ repo: z.string(), file: z.string() }) }),
        ])
        .transform((source) => Object.keys(source)[0]),
    )
    .default([]),
});

const parse = (text: string, options?: StrictOptions) => parseStrict(text, 'a.yaml', schema, options);

const problems = (text: string, options?: StrictOptions): string[] => {
  const parsed = parse(text, options);
  return parsed.ok ? [] : parsed.problems.map(formatProblem);
};

describe('each problem has its place and plain words', () => {
  it.each<[what: string, text: string, problem: string | string[]]>([
    [
      'an unknown key at the top',
      'id: a\nkidn: job\n',
      'a.yaml:2:1: kidn: unknown key. Did you mean kind? Known here: id, kind, homepage, resources, idle, health, command, env, sources.',
    ],
    [
      'an unknown key below, beside the one that is now missing',
      'id: a\nresources:\n  memry: 1GiB\n',
      [
        'a.yaml:2:1: resources.memory: is required',
        'a.yaml:3:3: resources.memry: unknown key. Did you mean memory? Known here: memory, cpu, threads.',
      ],
    ],
    [
      'an unknown key that resembles nothing',
      'id: a\nidle: { zzz: 1 }\n',
      'a.yaml:2:9: idle.zzz: unknown key. Known here: after.',
    ],
    [
      'a wrong word',
      'id: a\nkind: sever\n',
      'a.yaml:2:7: kind: must be one of server, job, engine. Did you mean server?',
    ],
    [
      'a wrong type',
      'id: a\nresources: { memory: 1, cpu: many }\n',
      'a.yaml:2:30: resources.cpu: must be a number, not text',
    ],
    [
      'a number for text',
      'id: 7\n',
      'a.yaml:1:5: id: must be text, not the number 7 (put it in quotes to make it text)',
    ],
    [
      'a part of a number',
      'id: a\nresources: { memory: 1, threads: 1.5 }\n',
      'a.yaml:2:34: resources.threads: must be a whole number',
    ],
    ['too large', 'id: a\nresources: { memory: 1, cpu: 65 }\n', 'a.yaml:2:30: resources.cpu: must be at most 64'],
    ['a list where a mapping belongs', 'id: a\nidle: [1]\n', 'a.yaml:2:7: idle: must be a mapping, not a list'],
    [
      'a mapping where a list belongs',
      'id: a\ncommand: { a: b }\n',
      'a.yaml:2:10: command: must be a list, not a mapping',
    ],
    ['nothing at a key', 'id: a\nidle:\n', 'a.yaml:2:1: idle: must be a mapping, not empty'],
    ['an empty list', 'id: a\ncommand: []\n', 'a.yaml:2:10: command: must have at least 1 entry'],
    ['an empty text', 'id: a\ncommand: [run, ""]\n', 'a.yaml:2:16: command[1]: must not be empty'],
    ['a missing key at the top', 'kind: job\n', 'a.yaml:1:1: id: is required'],
    ['a missing key below', 'id: a\n\nresources:\n  cpu: 2\n', 'a.yaml:3:1: resources.memory: is required'],
    ["a schema's own message", 'id: A-1\n', 'a.yaml:1:5: id: an id is lower-case letters'],
    [
      'no address',
      'id: a\nhomepage: nowhere\n',
      'a.yaml:2:11: homepage: must be an address such as http://192.0.2.7:8000',
    ],
    [
      'a bad size',
      'id: a\nresources:\n  memory: 256 megs\n',
      'a.yaml:3:11: resources.memory: "256 megs" is not a size. Write it as 256MiB, 4GiB or 1.5GB, or as a plain number of bytes.',
    ],
    [
      'a size that is none at all',
      'id: a\nresources: { memory: true }\n',
      'a.yaml:2:22: resources.memory: must be a size. Write it as 256MiB, 4GiB or 1.5GB, or as a plain number of bytes.',
    ],
    ['a negative size', 'id: a\nresources: { memory: -1 }\n', 'a.yaml:2:22: resources.memory: must be at least 0'],
    [
      'a bad duration',
      'id: a\nidle: { after: 10 minutes }\n',
      'a.yaml:2:16: idle.after: "10 minutes" is not a duration. Write it as 500ms, 30s, 10m, 2h or 1d.',
    ],
    [
      'a duration without its unit',
      'id: a\nidle: { after: 10 }\n',
      'a.yaml:2:16: idle.after: must be a duration. Write it as 500ms, 30s, 10m, 2h or 1d.',
    ],
    [
      'a bad name in a record',
      'id: a\nenv: { OK: 1, not-ok: 2 }\n',
      'a.yaml:2:15: env.not-ok: not a name of a variable',
    ],
    [
      'a bad value in a record',
      'id: a\nenv: { OK: [] }\n',
      'a.yaml:2:12: env.OK: must be text, a number, or true or false',
    ],
    ['no mapping at all', 'just text\n', 'a.yaml:1:1: must be a mapping, not text'],
    ['nothing at all', '# only a comment\n', 'a.yaml:1:1: the file is empty'],
  ])('%s', (_, text, problem) => expect(problems(text)).toEqual([problem].flat()));
});

describe('a union speaks of the branch that was meant', () => {
  it.each<[what: string, text: string, problem: string]>([
    [
      'a typo in the key that chooses',
      'id: a\nhealth: { htp: / }\n',
      'a.yaml:2:11: health.htp: unknown key. Did you mean http? Known here: http, timeout, tcp, log.',
    ],
    [
      'a typo beside the key that chooses',
      'id: a\nhealth: { http: /, timout: 1s }\n',
      'a.yaml:2:20: health.timout: unknown key. Did you mean timeout? Known here: http, timeout, tcp, log.',
    ],
    ['a bad value in one branch', 'id: a\nhealth: { http: health }\n', 'a.yaml:2:17: health.http: must be a path'],
    ['a bad literal', 'id: a\nhealth: { tcp: 8000 }\n', 'a.yaml:2:16: health.tcp: must be true'],
    [
      'two at once',
      'id: a\nhealth: { http: /, tcp: true }\n',
      'a.yaml:2:9: health: needs exactly one of http, tcp, log',
    ],
    [
      'two at once, one of them bad',
      'id: a\nhealth: { http: /, tcp: no }\n',
      'a.yaml:2:9: health: needs exactly one of http, tcp, log',
    ],
    ['none', 'id: a\nhealth: {}\n', 'a.yaml:2:9: health: needs exactly one of http, tcp, log'],
    [
      'only what all share',
      'id: a\nhealth: { timeout: 1s }\n',
      'a.yaml:2:9: health: needs exactly one of http, tcp, log',
    ],
    [
      'no mapping',
      'id: a\nhealth: http\n',
      'a.yaml:2:9: health: must be a mapping, not text: needs exactly one of http, tcp, log',
    ],
    [
      'a missing key deep in a branch of a list',
      'id: a\nsources:\n  - url: { url: "http://x.test" }\n  - hub: { repo: b }\n',
      'a.yaml:4:5: sources[1].hub.file: is required',
    ],
    [
      'an unknown key deep in a branch of a list',
      'id: a\nsources:\n  - hub: { repo: b, fil: c, file: d }\n',
      'a.yaml:3:21: sources[0].hub.fil: unknown key. Did you mean file? Known here: repo, file.',
    ],
    [
      'an unknown branch of a list',
      'id: a\nsources:\n  - hubb: {}\n',
      'a.yaml:3:5: sources[0].hubb: unknown key. Did you mean hub? Known here: url, hub.',
    ],
  ])('%s', (_, text, problem) => expect(problems(text)).toEqual([problem]));
});

describe('YAML that is none', () => {
  it.each<[what: string, text: string, place: RegExp]>([
    ['a bad indent', 'id: a\nresources:\n  memory: 1\n cpu: 2\n', /^a\.yaml:4:\d+: not valid YAML: /],
    ['an open bracket', 'id: a\ncommand: [a, b\n', /^a\.yaml:\d+:\d+: not valid YAML: /],
    ['a key twice', 'id: a\nid: b\n', /^a\.yaml:2:1: not valid YAML: Map keys must be unique/],
    ['two documents', 'id: a\n---\nid: b\n', /^a\.yaml:\d+:1: not valid YAML: /],
    ['an alias without its anchor', 'id: *nowhere\n', /^a\.yaml:1:\d+: not valid YAML: .*nowhere/],
    ['a tag nobody knows', 'id: !secret a\n', /^a\.yaml:1:5: not valid YAML: .*!secret/],
  ])('%s', (_, text, place) => {
    expect(problems(text).length).toBeGreaterThan(0);
    expect(problems(text)[0]).toMatch(place);
  });

  it('does not unfold aliases without end', () => {
    const bomb = ['a: &a [x,x,x,x,x,x,x,x,x,x]'];
    for (let i = 1; i < 10; i++) {
      const before = String.fromCharCode(96 + i);
      const name = String.fromCharCode(97 + i);
      bomb.push(`${name}: &${name} [${Array.from({ length: 10 }, () => `*${before}`).join(',')}]`);
    }
    expect(problems(bomb.join('\n'))).toEqual([expect.stringMatching(/^a\.yaml:1:1: not valid YAML: .*alias/i)]);
  });
});

describe('anchors and aliases', () => {
  it('are followed', () => {
    const parsed = parse('id: &name abc\nenv:\n  A: *name\n');
    expect(parsed).toMatchObject({ ok: true, value: { env: { A: 'abc' } } });
  });

  it('lead a problem to where it is written', () => {
    const found = problems('id: a\nresources: &limits { memory: 1, cpuu: 2 }\nidle: *limits\n');
    expect(found.map((line) => line.slice(0, line.indexOf(': unknown')))).toEqual([
      'a.yaml:2:22: idle.memory',
      'a.yaml:2:33: resources.cpuu',
      'a.yaml:2:33: idle.cpuu',
    ]);
  });
});

describe('${NAME}', () => {
  const environment = { PORT: '8080', TOKEN: 's3cret', EMPTY: '', NAME: 'abc', YES: 'true' };

  it('is replaced in values, also amid text, never in keys', () => {
    const text =
      'id: ${NAME}\nenv:\n  A: "http://${NAME}:${PORT}/"\n  B: ${NONE:-x y}\n  C: "${EMPTY}"\n  D: ${EMPTY:-z}\n';
    expect(parse(text, { environment })).toMatchObject({
      ok: true,
      value: { id: 'abc', env: { A: 'http://abc:8080/', B: 'x y', C: '', D: '' } },
    });
    expect(problems('id: a\n"${NAME}": 1\n', { environment })[0]).toMatch(/^a\.yaml:2:1: "\$\{NAME\}": unknown key/);
  });

  it('may become a number or a truth where it stands without quotes', () => {
    expect(
      parse('id: a\nresources: { memory: 1 }\nhealth:\n  tcp: ${YES}\nenv:\n  A: ${PORT}\n', { environment }).ok,
    ).toBe(true);
    expect(problems('id: a\nhealth:\n  tcp: "${YES}"\n', { environment })).toEqual([
      'a.yaml:3:8: health.tcp: must be true',
    ]);
  });

  it('cannot bring structure with it', () => {
    const parsed = parse('id: a\nenv:\n  A: ${EVIL}\n', { environment: { EVIL: 'x\nB: [1]' } });
    expect(parsed).toMatchObject({ ok: true, value: { env: { A: 'x\nB: [1]' } } });
  });

  it('says which variable is not set, and where', () => {
    expect(problems('id: a\nenv:\n  A: ${NOPE}\n', { environment })).toEqual([
      'a.yaml:3:6: the environment variable NOPE is not set. Set it, or write ${NOPE:-default}',
    ]);
  });

  it('is refused in a form nobody means', () => {
    expect(problems('id: ${}\n', { environment })[0]).toMatch(/^a\.yaml:1:5: \$\{\} is not a variable/);
    expect(problems('id: ${NAME\n', { environment })[0]).toMatch(/\$\{NAME is not a variable/);
    expect(problems('id: ${NAME-x}\n', { environment })[0]).toMatch(/\$\{NAME-x\} is not a variable/);
  });

  it('stands for itself with a second dollar, and everywhere when no environment is given', () => {
    expect(parse('id: a\nenv:\n  A: $${NAME}\n', { environment })).toMatchObject({ value: { env: { A: '${NAME}' } } });
    expect(parse('id: a\nenv:\n  A: ${NAME}\n')).toMatchObject({ value: { env: { A: '${NAME}' } } });
  });

  it('keeps the value out of messages: it may be a secret', () => {
    const found = problems('id: a\nresources:\n  memory: ${TOKEN}\n', { environment });
    expect(found).toEqual([expect.stringContaining('"${TOKEN}" is not a size')]);
    expect(found.join()).not.toContain('s3cret');
  });
});

it('gives all problems at once, in the order of the file', () => {
  const found = problems('kind: x\nresources:\n  memory: y\n  cpu: 1\n  extra: 1\n');
  expect(found.map((line) => line.split(': ')[1])).toEqual(['id', 'kind', 'resources.memory', 'resources.extra']);
});

it('is not led astray by names of Object.prototype', () => {
  expect(
    problems('id: a\nconstructor: 1\ntoString: 2\n__proto__: { x: 1 }\n').map((line) => line.split(': ')[1]),
  ).toEqual(['constructor', 'toString', '__proto__']);
});

it('reads Windows line ends and a byte order mark', () => {
  expect(problems('\uFEFFid: a\r\nresources:\r\n  memory: x\r\n')[0]).toMatch(/^a\.yaml:3:11: /);
});

it('finds the place of a problem that only the whole catalogue can see', () => {
  const text = 'id: a\nneeds:\n  - b\n  - c\n';
  expect(problemAt(text, 'a.yaml', ['needs', 1], 'no such service')).toEqual({
    file: 'a.yaml',
    line: 4,
    column: 5,
    key: 'needs[1]',
    message: 'no such service',
  });
  expect(formatProblem(problemAt(text, 'a.yaml', ['consumes', 'x.y'], 'no'))).toBe('a.yaml:1:1: consumes."x.y": no');
});
