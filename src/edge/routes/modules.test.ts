import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Headers } from '../middlewares/middleware.ts';
import { loadModule } from './modules.ts';

let home = '';
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'sutaz-modules-'));
});
afterEach(() => rm(home, { recursive: true, force: true }));

async function load(text: string, file = 'mine.ts') {
  await writeFile(join(home, file), text, { mode: 0o600 });
  return (await loadModule(home, file, undefined)).middleware;
}

describe("a module of the user's own", () => {
  it('may be TypeScript, and does what its functions do', async () => {
    const own = await load(`export default {
      path: (path: string) => path.toUpperCase(),
      request(headers: Record<string, string>) { headers['x-own'] = 'yes'; },
      requestJson(body: { n?: number }) { body.n = 1; },
    };`);
    expect(own.path?.('/a')).toBe('/A');
    const headers: Headers = { 'x-a': 'b' };
    own.request?.(headers);
    expect(headers).toEqual({ 'x-a': 'b', 'x-own': 'yes' });
    const body = {};
    own.requestJson?.(body);
    expect(body).toEqual({ n: 1 });
    expect(own.answerJson).toBeUndefined();
  });

  it("never changes the door's own headers, nor makes wrong ones", async () => {
    const own = await load(
      `export default {
      request(headers) { headers.authorization = 'mine'; headers.host = 'evil'; headers['x-forwarded-for'] = '1'; },
      response(headers) { headers['x-a'] = 'b\\r\\nc: d'; },
    };`,
      'mine.js',
    );
    const headers: Headers = { host: 'localhost' };
    own.request?.(headers);
    expect(headers).toEqual({ host: 'localhost' });
    expect(() => own.response?.({})).toThrow('mine.js set a header "x-a" that is none');
  });

  it('that throws, answers later or gives no path fails its request and is named', async () => {
    const own = await load(`export default {
      path: () => 'nowhere',
      requestJson() { throw new Error('secret'); },
      async answerJson() { throw new Error('later'); },
    };`);
    expect(() => own.path?.('/')).toThrow('The middleware mine.ts gave a path that is none.');
    expect(() => own.requestJson?.({})).toThrow('The middleware mine.ts failed.');
    expect(() => own.answerJson?.({})).toThrow('must not be async');
  });

  it('is loaded anew when its text is another one, and only then', async () => {
    await load('export default { path: () => "/1" };');
    const first = await loadModule(home, 'mine.ts', undefined);
    expect(await loadModule(home, 'mine.ts', first)).toBe(first);
    await load('export default { path: () => "/2" };');
    expect((await loadModule(home, 'mine.ts', first)).middleware.path?.('/')).toBe('/2');
  });

  it.each([
    ['export default { pth: () => "/" };', 'has pth, which is none of path, request'],
    ['export default { path: "/x" };', 'has path, which is no function'],
    ['export const path = 1;', 'must have a default export'],
    ['throw new Error("at its start");', 'cannot be loaded: at its start'],
  ])('is refused where it is %s', (text, message) => expect(load(text)).rejects.toThrow(message));

  it('is refused where it is not there, leads out of the home folder, or others can write it', async () => {
    await expect(loadModule(home, 'none.ts', undefined)).rejects.toThrow('is not there');
    const elsewhere = `${home}-elsewhere`;
    await mkdir(elsewhere);
    await writeFile(join(elsewhere, 'mine.ts'), 'export default {};');
    await symlink(join(elsewhere, 'mine.ts'), join(home, 'link.ts'));
    await expect(loadModule(home, 'link.ts', undefined)).rejects.toThrow('leads out of the home folder');
    await rm(elsewhere, { recursive: true });
    await load('export default {};');
    await chmod(join(home, 'mine.ts'), 0o666);
    await expect(loadModule(home, 'mine.ts', undefined)).rejects.toThrow('can be written by others');
  });
});
