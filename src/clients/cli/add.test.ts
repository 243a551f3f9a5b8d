import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { validateCatalog } from '../../validate.ts';
import { fakePlatform, json, stream } from './platform.fake.ts';
import type { FakePlatform, RunOptions } from './platform.fake.ts';

const builtIn = join(import.meta.dirname, '../../../catalog');
let platform: FakePlatform;
beforeEach(async () => {
  platform = await fakePlatform();
});
afterEach(() => platform.close());

/** With the real catalogue to judge by. */
const add = (argv: readonly string[], { io, ...rest }: RunOptions = {}) =>
  platform.run(['add', ...argv], {
    ...rest,
    ...(io && { io }),
    composition: { validateCatalog: (asked) => validateCatalog({ ...asked, builtIn }) },
  });
const services = () => join(platform.home, 'catalog/services');
const files = () => {
  try {
    return readdirSync(services());
  } catch {
    return [];
  }
};
const unit = (state: string) => stream(`event: done\ndata: ${JSON.stringify({ name: 'http-server', state })}\n\n`);
const listed = json({ services: [{ id: 'http-server', origin: 'user' }], models: [], disabled: [] });
const server = ['npm:http-server@14.1.1', '--command', "http-server '{data}' -a {host} -p {port}"];

describe('add', () => {
  test('writes a definition of a package and starts it', async () => {
    platform.routes['GET /sutaz/v1/catalog'] = listed;
    platform.routes['POST /sutaz/v1/units/http-server/start'] = unit('ready');
    const { code, out } = await add(server);
    expect([code, out]).toEqual([0, `${join(services(), 'http-server.yaml')}\nhttp-server: ready\n`]);
    const text = readFileSync(join(services(), 'http-server.yaml'), 'utf8');
    expect(text).toMatch(/^# Written on \d{4}-\d\d-\d\d by `sutaz add`, from npm:http-server@14\.1\.1\.\n/);
    expect(parse(text)).toMatchObject({
      id: 'http-server',
      run: {
        process: {
          node: { packages: ['http-server@14.1.1'] },
          command: ['http-server', '{data}', '-a', '{host}', '-p', '{port}'],
        },
      },
      health: { tcp: true },
      resources: { memory: '512MiB' },
    });
  });

  test('tells why it did not start, and leaves the file to be put right', async () => {
    platform.routes['GET /sutaz/v1/catalog'] = listed;
    const problem = { status: 500, code: 'START_FAILED', detail: 'it ended at once', traceId: 'a', source: 'gateway' };
    platform.routes['POST /sutaz/v1/units/http-server/start'] = json(problem, 500);
    const { code, out } = await add([...server, '--json']);
    expect([code, JSON.parse(out)]).toMatchObject([1, { ok: false, state: 'failed', written: true }]);
    expect(out).toContain('it ended at once');
    expect(files()).toEqual(['http-server.yaml']);
  });

  test('prints it and writes nothing with --dry-run', async () => {
    const { code, out } = await add(['chromadb/chroma:1.5.9', '--port', '8000', '--health', '/up', '--dry-run']);
    expect([code, files()]).toEqual([0, []]);
    expect(parse(out)).toMatchObject({
      id: 'chroma',
      run: { docker: { image: 'chromadb/chroma:1.5.9', port: 8000 } },
      health: { http: '/up' },
    });
  });

  test('writes nothing that is wrong, and nothing over what is there', async () => {
    const wrong = await add(['pypi:thing==1.0', '--command', 'thing --port {prot}', '--memory', 'much']);
    expect(wrong.code).toBe(1);
    expect(wrong.out).toContain('resources.memory: "much" is not a size');
    expect(wrong.err).toContain('Nothing was written.');
    expect(files()).toEqual([]);
    mkdirSync(services(), { recursive: true });
    writeFileSync(join(services(), 'http-server.yaml'), 'id: mine\n');
    expect((await add([...server, '--no-start'])).code).toBe(4);
    expect(readFileSync(join(services(), 'http-server.yaml'), 'utf8')).toBe('id: mine\n');
  });

  test('asks what it cannot know on a terminal, and names the option elsewhere', async () => {
    const answers = (text: string | null) => ({ inTty: true, prompt: () => () => Promise.resolve(text) });
    const told = await add(['npm:a@1.0.0', '--dry-run'], { io: answers('a -p {port}') });
    expect(parse(told.out)).toMatchObject({ run: { process: { command: ['a', '-p', '{port}'] } } });
    expect((await add(['npm:a@1.0.0'], { io: answers(null) })).code).toBe(130);
    const unasked = await add(['a/b:1']);
    expect([unasked.code, unasked.err]).toEqual([2, expect.stringContaining('Give it as --port.')]);
    expect(files()).toEqual([]);
  });

  test.each(['npm:', 'pypi:--index-url', 'What?', '--'])('takes no %s for a source', async (source) => {
    expect((await add([source, '--dry-run', '--port', '1'])).code).toBe(2);
  });

  test('is written where no platform runs, and says what is next', async () => {
    const offline = await fakePlatform({ running: false });
    try {
      const { code, out } = await offline.run(['add', ...server]);
      expect([code, out]).toEqual([0, expect.stringContaining('http-server: not started, SutazAI is not running')]);
    } finally {
      await offline.close();
    }
  });
});

describe('add of a compose file', () => {
  const compose = `
services:
  web:
    image: example/web:\${TAG:-2.0}
    ports: ['127.0.0.1:8080:80/tcp']
    environment: [A=1=2, B]
    volumes: ['./files:/srv/files:ro', 'db:/var/db']
    command: serve --name "two words"
    depends_on: [db]
  db:
    image: example/db:\${RELEASE}
    expose: ['5432']
  built: { build: . }
`;
  const from = (...argv: readonly string[]) => {
    const file = join(platform.home, 'compose.yaml');
    writeFileSync(file, compose);
    return add([file, '--dry-run', ...argv]);
  };

  test('takes one of its services, and tells what it left out', async () => {
    const { code, out, err } = await from('--service', 'web');
    expect([code, err]).toEqual([0, 'depends_on was left out: name what it needs under `needs`\n']);
    expect(parse(out)).toMatchObject({
      id: 'web',
      run: {
        docker: {
          image: 'example/web:2.0',
          port: 80,
          command: ['serve', '--name', 'two words'],
          env: { A: '1=2' },
          volumes: { '{data}/srv-files': '/srv/files', '{data}/var-db': '/var/db' },
        },
      },
    });
  });

  test.each([
    [[], 'Give --service: web, db, built.'],
    [['--service', 'wev'], 'has no service wev. It has web, db, built.'],
    [['--service', 'db'], 'asks for RELEASE: set it'],
    [['--service', 'built'], 'has no image'],
  ])('with %j says what is missing', async (argv, message) => {
    const { code, err } = await from(...argv);
    expect([code, err]).toEqual([2, expect.stringContaining(message)]);
  });
});
