import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect } from 'node:net';

// In a container: does what its path says with what it was told in its variables, and answers with what it got.
const { OPENAI_URL, OPENAI_KEY, REDIS_URL } = process.env;

async function redis(command) {
  const { hostname, port, username, password } = new URL(REDIS_URL);
  const socket = connect(Number(port), hostname);
  socket.end(`AUTH ${username} ${password}\r\n${command}\r\n`);
  let said = '';
  for await (const piece of socket) said += piece;
  return said;
}

async function chat(key = OPENAI_KEY) {
  const answer = await fetch(`${OPENAI_URL}/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'smollm2', max_tokens: 4, messages: [{ role: 'user', content: 'Hi' }] }),
  });
  return `${answer.status} ${await answer.text()}`;
}

async function reach(at) {
  const [host, port] = at.split(':');
  const socket = connect(Number(port), host).setTimeout(2_000, () => socket.destroy());
  const got = await Promise.race([once(socket, 'data'), once(socket, 'close')]).catch(() => null);
  return Buffer.isBuffer(got?.[0]) ? 'answered' : 'closed';
}

const acts = {
  '/chat': () => chat(),
  '/wrong-key': () => chat('sutaz-nobody'),
  '/ping': () => redis('PING'),
  '/reach': (at) => reach(at),
  '/told': async () => OPENAI_URL,
};
createServer(async (req, res) => {
  const { pathname, searchParams } = new URL(req.url ?? '/', 'http://here');
  const act = acts[pathname] ?? (async () => 'well');
  res.end(await act(searchParams.get('at')).catch((error) => `failed: ${error.cause ?? error}`));
}).listen(Number(process.argv[2]), '0.0.0.0');
