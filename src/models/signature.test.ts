import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openBench } from './pull.fake.ts';
import { checkSignature } from './signature.ts';

// Made with minisign 0.11: `minisign -G -W`, `minisign -S -t 'model 1'`, and the same with -l.
const weights = 'weights of a signed model\n';
const key = 'RWTx6UBLaQvZsJGQkvWanOwOoMaW+GV5bvbibHxnkmCi1j2vvcwZw7wt';
const minisign = `untrusted comment: signature from minisign secret key
RUTx6UBLaQvZsHxeNFFjt6NXblTrLz9wN49vdk81Enw7QEEtnOkSB5WUtC+T3x32zTuxa4E6yT7jOUBvSOMtwpgNkilnTaxGlg0=
trusted comment: model 1
000yO71YDr89dkNlIM5uwz8V8sDhKOlDebs5AUWHeQe7xincU7B3eW9i15J5qzEX5PC464uavhX6uiZXIIiXCw==
`;
const legacy = `untrusted comment: signature from minisign secret key
RWTx6UBLaQvZsBSg8HwqtrC8/d0MImBJaldwqiR70/sTmBUPn83vXamUTaHYdZO13ZoLNl978LZiiXhfWaSr5+QUmiDxeenO5Ag=
trusted comment: model 1
+TjmHQRdIuZxo9SbOIpmQ2ZGnZlDGguKaVEjqXtz0sTLw9UoTO25Pyc1v/UmzVJs+VatEK3aF2f2PUmLdc+kCQ==
`;
/** Another name, eight bytes of the key's, with the same key. */
const otherKey = `RWTx6UBLaQvZ${'t'}${key.slice(13)}`;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'signature-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const check = async (content: string, signature = minisign, trusted = key) => {
  const path = join(folder, 'm');
  await writeFile(path, content);
  const work = { signal: new AbortController().signal, onProgress: () => undefined };
  return checkSignature(path, 'm.gguf', { key: trusted, minisign: signature }, work);
};

describe('a minisign signature', () => {
  it('is right for the file that was signed', async () => {
    await check(weights);
    await check(weights, minisign.replaceAll('\n', '\r\n'));
  });

  it.each([
    [
      'another file',
      'Weights of a signed model\n',
      minisign,
      key,
      'FORBIDDEN',
      /not the file that the key B0D90B694B40E9F1/,
    ],
    ['an altered comment', weights, minisign.replace('model 1', 'model 2'), key, 'FORBIDDEN', /comment .* was altered/],
    ['another key', weights, minisign, otherKey, 'FORBIDDEN', /the definition trusts/],
    ['the legacy kind', weights, legacy, key, 'BAD_REQUEST', /legacy kind/],
    [
      'a cut signature',
      weights,
      minisign.replace('ZTuxa4E6yT7jOUBv', '').replace('RUTx6UBL', 'RUTx'),
      key,
      'BAD_REQUEST',
      /cut or altered/,
    ],
    ['something else', weights, 'BEGIN PGP', key, 'BAD_REQUEST', /not the text of a \.minisig/],
    ['no key', weights, minisign, 'RWTx', 'BAD_REQUEST', /no minisign key/],
  ])('refuses %s', async (_, content, signature, trusted, code, message) => {
    const refused = expect.objectContaining({ code, message: expect.stringMatching(message) as string }) as Error;
    await expect(check(content, signature, trusted)).rejects.toEqual(refused);
  });

  it('is asked for by a pull, of whichever source', async () => {
    const bench = await openBench();
    try {
      const signature = { key, minisign };
      const source = async (name: string, content: string) => {
        await writeFile(join(folder, name), content);
        return { kind: 'file', path: join(folder, name), signature } as const;
      };
      const signal = new AbortController().signal;
      const [forged, genuine] = [await source('forged', 'other'), await source('genuine', weights)];
      await expect(bench.puller().pull('m', [forged], { signal })).rejects.toThrow(/not the file that the key/);
      expect(bench.store.list()).toEqual([]);
      const { source: came } = await bench.puller().pull('m', [forged, genuine], { signal });
      expect(came).toBe(`file ${genuine.path}`);
    } finally {
      await bench.close();
    }
  });
});
