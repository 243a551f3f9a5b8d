// A command-line tool that needs nothing installed: `node tool.mjs WAY ARGUMENTS`, for test/jobs.test.ts.
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

const [way, ...args] = process.argv.slice(2);
const ways = {
  /** Says what it was told on both streams, and ends with the code. */
  async say() {
    process.stdout.write(`${args[1]}\n`);
    process.stderr.write(`${args[2]}\n`);
    process.exitCode = Number(args[0]);
  },
  async facts() {
    const { OPENAI_API_KEY, OPENAI_BASE_URL, MODEL, HOME } = process.env;
    console.log(
      JSON.stringify({ args, cwd: process.cwd(), key: OPENAI_API_KEY, url: OPENAI_BASE_URL, model: MODEL, home: HOME }),
    );
  },
  async input() {
    let text = '';
    for await (const chunk of process.stdin) text += chunk;
    console.log(text.toUpperCase());
  },
  async write() {
    writeFileSync(args[0], args[1]);
  },
  /** Tries each of `read:PATH`, `write:PATH` and `signal:PID`, and says what came of it. */
  async attempt() {
    const tries = {
      read: (path) => readFileSync(path),
      write: (path) => writeFileSync(path, 'x'),
      signal: (pid) => process.kill(Number(pid), 0),
    };
    const said = args.map((one) => {
      const [what, on] = one.split(':');
      try {
        tries[what](on.replace('$HOME', process.env.HOME).replace('$TMPDIR', process.env.TMPDIR));
        return 'done';
      } catch (error) {
        return error.code;
      }
    });
    console.log(JSON.stringify({ uid: process.getuid(), said }));
  },
  /** Asks what its key may, and says the status of each answer. */
  async ask() {
    const headers = { authorization: `Bearer ${process.env.OPENAI_API_KEY}` };
    for (const path of args) console.log((await fetch(new URL(path, process.env.OPENAI_BASE_URL), { headers })).status);
  },
  /** Does not end when asked to, and has a child that left its group and does not either. */
  async cling() {
    const script = "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000); console.log('child')";
    const child = spawn(process.execPath, ['-e', script], { detached: true, stdio: ['ignore', 'pipe', 'ignore'] });
    process.on('SIGTERM', () => console.log('asked to end'));
    await new Promise((resolve) => child.stdout.once('data', resolve));
    console.log(`pids ${process.pid} ${child.pid} ${process.env.OPENAI_API_KEY}`);
    setInterval(() => {}, 1000);
  },
  async eat() {
    const held = [];
    for (;;) {
      held.push(Buffer.alloc(16 * 2 ** 20, 1));
      await pause(50);
    }
  },
  async gorge() {
    const held = Array.from({ length: 64 }, () => Buffer.alloc(32 * 2 ** 20, 1));
    console.log(held.length);
  },
  async flood() {
    const text = 'x'.repeat(2 ** 20);
    for (;;) if (!process.stdout.write(text)) await new Promise((resolve) => process.stdout.once('drain', resolve));
  },
  async wait() {
    console.log(`pid ${process.pid}`);
    setInterval(() => {}, 1000);
  },
};
await ways[way]();
