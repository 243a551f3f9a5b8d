// A service for the tests: starts late when told to, answers with what it was asked, streams, waits, echoes WebSockets.
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';

const [port, delayMs] = process.argv.slice(2).map(Number);
let closed = 0;
/** Ends the streams that go on until they are let go. */
const held = new Set();

const server = createServer((req, res) => {
  const url = new URL(req.url ?? '/', 'http://x');
  if (url.pathname === '/health') return res.end('ok');
  if (url.pathname === '/closed') return res.end(String(closed));
  if (url.pathname === '/crash') process.exit(3);
  if (url.pathname === '/redirect') return res.writeHead(302, { location: '/landed' }).end();
  if (url.pathname === '/sse') return stream(url, res);
  if (url.pathname === '/let-go') return res.end(String(letGo()));
  if (url.pathname === '/page')
    return res.writeHead(200, { 'content-type': 'text/html' }).end('<h1>the real page</h1>');
  res.on('close', () => {
    if (!res.writableFinished) closed++;
  });
  if (url.pathname === '/slow') return slow(url, res);
  const chunks = [];
  req.on('data', (chunk) => chunks.push(chunk));
  req.on('end', () => {
    const body = Buffer.concat(chunks);
    res.setHeader('content-type', 'application/json');
    res.end(
      JSON.stringify({
        method: req.method,
        url: req.url,
        headers: req.headers,
        bytes: body.byteLength,
        body: body.toString('utf8').slice(0, 1000),
        pid: process.pid,
        env: Object.keys(process.env),
      }),
    );
  });
});

function slow(url, res) {
  console.log(`slow in ${process.pid}`);
  res.setHeader('x-pid', process.pid);
  setTimeout(() => res.end('late'), Number(url.searchParams.get('ms') ?? 1000));
}

function letGo() {
  const count = held.size;
  for (const end of held) end();
  held.clear();
  return count;
}

/** So many events; with `held` as many as there are time for until all such streams are let go: the last one says how many. */
function stream(url, res) {
  const isHeld = url.searchParams.has('held');
  const count = isHeld ? Infinity : Number(url.searchParams.get('count') ?? 3);
  const everyMs = Number(url.searchParams.get('every') ?? 10);
  const breakAt = Number(url.searchParams.get('break') ?? -1);
  res.writeHead(200, { 'content-type': 'text/event-stream' });
  let i = 0;
  const timer = setInterval(() => {
    if (i === breakAt) return res.destroy();
    if (i >= count) {
      clearInterval(timer);
      return res.end();
    }
    res.write(`data: ${i++}\n\n`);
  }, everyMs);
  const end = () => {
    clearInterval(timer);
    res.end(`data: ${i} in all\n\n`);
  };
  if (isHeld) held.add(end);
  res.on('close', () => {
    clearInterval(timer);
    held.delete(end);
    if (!res.writableFinished) closed++;
  });
}

server.on('upgrade', (req, socket) => {
  const accept = createHash('sha1')
    .update(`${req.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest('base64');
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ${accept}\r\n\r\n`,
  );
  socket.on('data', (frame) => echoFrame(socket, frame));
  socket.on('error', () => undefined);
});

/** Unmasks one short text frame and sends it back. */
function echoFrame(socket, frame) {
  if ((frame[0] & 0x0f) !== 1) return socket.end();
  const length = frame[1] & 0x7f;
  const mask = frame.subarray(2, 6);
  const text = Buffer.from(frame.subarray(6, 6 + length).map((byte, i) => byte ^ mask[i % 4]));
  socket.write(Buffer.concat([Buffer.from([0x81, length]), text]));
}

process.on('SIGTERM', () => process.exit(0));
setTimeout(() => server.listen(port, '127.0.0.1'), delayMs);
