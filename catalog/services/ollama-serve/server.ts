import { ollamaRemote } from '../upstream/remote.ts';
import { fail, given, standFor } from '../upstream/run.ts';
import { freePort, ownOllama } from './own.ts';

standFor(async () => {
  const to = { url: `http://127.0.0.1:${String(await freePort())}`, key: null, model: given('SUTAZ_MODEL_ID') };
  // What is not in the view is not to be fetched behind the store's back.
  const remote = ollamaRemote(to, { pulls: false });
  return { to, remote: ownOllama(remote, { url: to.url, env: process.env, onGone: fail }) };
});
