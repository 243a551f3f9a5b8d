import { readFile } from 'node:fs/promises';
import { ollamaRemote, openaiRemote } from './remote.ts';
import { given, standFor } from './run.ts';

/** From its variable, else from its file; null where the server asks for none. */
async function remoteKey(): Promise<string | null> {
  const file = process.env['SUTAZ_REMOTE_KEY_FILE'] ?? '';
  const key = process.env['SUTAZ_REMOTE_KEY'] ?? (file === '' ? '' : (await readFile(file, 'utf8')).trim());
  return key === '' ? null : key;
}

standFor(async () => {
  const url = (process.env['SUTAZ_REMOTE_URL'] || given('SUTAZ_REMOTE_DEFAULT')).replace(/\/(v1\/?)?$/, '');
  const to = { url, key: await remoteKey(), model: given('SUTAZ_REMOTE_MODEL') };
  return { to, remote: process.env['SUTAZ_REMOTE_KIND'] === 'ollama' ? ollamaRemote(to) : openaiRemote(to) };
});
