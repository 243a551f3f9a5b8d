import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';

// Counts what it is asked in a file of its data that nobody else may read; `/hold` answers never.
const [port, data, answer] = process.argv.slice(2);
const file = join(data, 'count');
const before = () => {
  try {
    return Number(readFileSync(file, 'utf8'));
  } catch (error) {
    if (error.code === 'ENOENT') return 0;
    throw error;
  }
};
if (answer === 'fail') {
  console.log('this way is closed');
  process.exit(3);
}
createServer((req, res) => {
  if (req.url === '/hold') return void res.writeHead(200).write('held');
  if (req.url !== '/count') return void res.end('well');
  const count = before() + 1;
  writeFileSync(file, String(count), { mode: 0o600 });
  res.end(JSON.stringify({ count, uid: process.getuid() }));
}).listen(Number(port), '0.0.0.0');
