/**
 * `flood.ts PORT PER_SECOND SECONDS PATH`: asks with a wrong key each time, from a hundred addresses of this machine. A process of
 * its own, so that who measures meanwhile does not wait for it. Prints how often each status was answered, as JSON.
 */
import { once } from 'node:events';
import { connect } from 'node:net';
import { randomBytes } from 'node:crypto';

const [port = 0, perSecond = 0, seconds = 0] = process.argv.slice(2).map(Number);
const path = process.argv[5] ?? '/';
const addresses = 100;
const tickMs = 10;

const statuses: Record<string, number> = {};
let asked = 0;

async function open(n: number) {
  const socket = connect({ port, host: '127.0.0.1', localAddress: `127.0.0.${n + 2}`, noDelay: true });
  await once(socket, 'connect');
  let rest = '';
  socket.setEncoding('latin1').on('data', (text: string) => {
    const all = rest + text;
    for (const [, status = ''] of all.matchAll(/HTTP\/1\.1 (\d{3}) /g)) statuses[status] = (statuses[status] ?? 0) + 1;
    // A status line may come in two pieces; what is kept is shorter than one, so that none is counted twice.
    rest = all.slice(-12);
  });
  return socket;
}

const sockets = await Promise.all(Array.from({ length: addresses }, (_, n) => open(n)));
const began = performance.now();
for (let passed = 0; passed < seconds * 1_000; passed = performance.now() - began) {
  for (; asked < (passed / 1_000) * perSecond; asked++) {
    const key = `sutaz-${randomBytes(16).toString('hex')}`;
    sockets[asked % addresses]?.write(
      `GET ${path} HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\nauthorization: Bearer ${key}\r\nx-flood: 1\r\n\r\n`,
    );
  }
  await new Promise((resolve) => setTimeout(resolve, tickMs));
}
const answered = () => Object.values(statuses).reduce((sum, count) => sum + count, 0);
for (let i = 0; i < 200 && answered() < asked; i++) await new Promise((resolve) => setTimeout(resolve, tickMs));
console.log(JSON.stringify({ asked, answered: answered(), statuses }));
for (const socket of sockets) socket.destroy();
