import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { engineConformance } from '#contracts/engine.conformance';
import { shape, startEngine, started, traits } from './_engine.ts';
import type { StartedEngine } from './_engine.ts';
import { until } from './_processes.ts';
import { readExchanges, recordingProxy, replayServer, writeExchanges } from './_recording.ts';
import type { Proxy, Recording, Replay } from './_recording.ts';

/*
 * The engine contract, on what real servers answered (fixtures/recordings/, a folder for each). Recorded anew by
 *   npm run record -- ollama-0.17.4 http://127.0.0.1:11434
 * after its about.json was written: the suite then asks that server, and everything that was said becomes the recording.
 */
const folder = join(import.meta.dirname, 'fixtures/recordings');
const recordedAnew = process.env['SUTAZ_RECORD'] ?? '';
const names = (await readdir(folder)).filter((name) => recordedAnew === '' || name === recordedAnew);
if (recordedAnew !== '' && names.length === 0) throw new Error(`${folder} has no ${recordedAnew}/about.json.`);

for (const name of names) {
  const about = JSON.parse(await readFile(join(folder, name, 'about.json'), 'utf8')) as Recording;
  const path = join(folder, name, 'exchanges.jsonl');
  describe(`${about.server}, ${recordedAnew === '' ? 'as it was recorded' : 'while it is recorded'}`, () => {
    let server: Replay | Proxy | undefined;
    let engine: StartedEngine | undefined;
    beforeAll(async () => {
      const url = process.env['SUTAZ_RECORD_URL'] ?? '';
      server = recordedAnew === '' ? await replayServer(await readExchanges(path)) : await recordingProxy(url);
      const remote = { url: server.url, model: about.model };
      engine = await startEngine(about.engine, {
        modelPath: '',
        modelId: about.model,
        ...shape,
        environment: null,
        remote,
      });
    });
    afterAll(async () => {
      await engine?.stop();
      await server?.close();
    });
    const { contextTokens, embeddings, cutsPrompts } = about;
    engineConformance(name, () => ({
      endpoint: started(engine).endpoint,
      traits: { ...traits, contextTokens, embeddings, cutsPrompts },
    }));
    // The last of all: it ends the engine.
    it('is told of all it must know, and was asked nothing that it was not asked before', async () => {
      const { bytes } = (await (await fetch(`${started(engine).endpoint.url}/weight`)).json()) as { bytes: number };
      expect(bytes > 0).toBe(about.engine === 'ollama');
      const replay = started(server);
      if ('open' in replay) await until(() => replay.open() === 0, 'every client that left to be gone from the server');
      await started(engine).end();
      if ('unknown' in replay) {
        expect(replay.unknown).toEqual([]);
        if (about.engine === 'ollama') expect(replay.seen.at(-1)?.body).toMatchObject({ keep_alive: 0 });
      } else await writeExchanges(path, replay.exchanges);
    });
  });
}
