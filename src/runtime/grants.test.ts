import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Grant } from '#catalog/service';
import { createGrants } from './grants.ts';

let folder: string;
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), 'sutaz-grants-'))));
afterAll(() => rm(folder, { recursive: true }));

const never = new AbortController().signal;
const place = () => ({
  ...{ provider: 'store', consumer: 'open-webui', capability: 'db', host: '127.0.0.1', port: 5432 },
  ...{ dataDir: folder, serviceDir: folder, secret: 'own', accountSecret: 'theirs' },
});
const script = (text: string): Grant => ({
  command: ['node', '-e', text],
  env: { OWN: '{secret}', THEIRS: '{account.secret}', WHO: '{account}' },
  values: { url: 'db://{account}:{account.secret}@{host}:{port}/{account}' },
});

it('makes an account with secrets in variables only, and tells the consumer where it is', async () => {
  const grant = script(
    'fs.writeFileSync("made", JSON.stringify([process.env.WHO, process.env.OWN, process.env.THEIRS, process.argv.length, process.env.SUTAZ_HOME ?? null]))',
  );
  expect(await createGrants().make(grant, place(), never)).toEqual({
    'db.url': 'db://open_webui:theirs@127.0.0.1:5432/open_webui',
  });
  expect(JSON.parse(await readFile(join(folder, 'made'), 'utf8'))).toEqual(['open_webui', 'own', 'theirs', 1, null]);
});

it('makes one account for copies that start at the same time', async () => {
  const grants = createGrants();
  const grant = script('fs.appendFileSync("count", "x")');
  await Promise.all([grants.make(grant, place(), never), grants.make(grant, place(), never)]);
  expect(await readFile(join(folder, 'count'), 'utf8')).toBe('x');
});

it('tells what the command says it made', async () => {
  const grant: Grant = { ...script('console.log("database=3")'), values: { number: '{made.database}' } };
  expect(await createGrants().make(grant, place(), never)).toEqual({ 'db.number': '3' });
});

it('makes one account after the other at one provider, whatever became of the one before', async () => {
  const grants = createGrants();
  const grant = script(
    'fs.mkdirSync("busy"); setTimeout(() => { fs.rmdirSync("busy"); process.exit(process.env.WHO === "a" ? 1 : 0) }, 50)',
  );
  const made = ['a', 'b', 'c'].map((consumer) => grants.make(grant, { ...place(), consumer }, never));
  expect((await Promise.allSettled(made)).map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'fulfilled']);
});

it('says with its last words why there is none', async () => {
  const failing = createGrants().make(
    script('console.error("first"); console.error("no disk"); process.exit(3)'),
    place(),
    never,
  );
  await expect(failing).rejects.toMatchObject({
    code: 'START_FAILED',
    message: 'store made no account for open-webui: no disk',
  });
  const missing: Grant = { ...script(''), command: ['no-such-program-here'] };
  await expect(createGrants().make(missing, place(), never)).rejects.toMatchObject({ code: 'START_FAILED' });
});

it('ends one that takes too long, and one that nobody waits for any more', async () => {
  const forever = script('setInterval(() => {}, 1000)');
  await expect(createGrants(50).make(forever, place(), never)).rejects.toMatchObject({
    message: 'store made no account for open-webui: it took longer than 50 ms',
  });
  const abort = new AbortController();
  const left = createGrants().make(forever, place(), abort.signal);
  abort.abort();
  await expect(left).rejects.toThrow();
});

it('never puts a secret into an argument', async () => {
  const grant: Grant = { ...script(''), command: ['node', '-e', '', '{account.secret}'] };
  await expect(createGrants().make(grant, place(), never)).rejects.toThrow(/nothing is known as \{account.secret\}/);
});
