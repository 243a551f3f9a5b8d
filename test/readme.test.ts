import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { root, testHome } from './_platform.ts';

const readme = readFileSync(join(root, 'README.md'), 'utf8');
const blocks = [...readme.matchAll(/^```sh\n([\s\S]*?)^```/gm)].map(([, text]) => text as string);

/** The README speaks of port 8080: where another program has it, its commands cannot be run as written. */
const taken = await new Promise<boolean>((resolve) => {
  const probe = createServer().once('error', () => resolve(true));
  probe.listen(8080, '127.0.0.1', () => probe.close(() => resolve(false)));
});
if (taken) console.log('The commands of the README are not run: another program has port 8080.');

describe.skipIf(taken)('the commands of the README, run as written', () => {
  const run = (script: string) =>
    execFileSync('sh', ['-euc', script], {
      cwd: root,
      env: { ...process.env, SUTAZ_HOME: testHome() },
      timeout: 300_000,
    }).toString();
  const block = (start: string) => {
    const found = blocks.find((text) => text.startsWith(start));
    if (!found) throw new Error(`The README has no block that begins with ${start}`);
    return found;
  };

  it('start, chat, wake a service, speak to any client, show and stop', () => {
    try {
      const [up, chat] = block('./sutaz up').trim().split('\n') as [string, string];
      expect(run(up)).toContain('http://127.0.0.1:8080');
      expect(run(chat).trim().length).toBeGreaterThan(10);
      expect(run(block('curl localhost:8080/services/chroma'))).toContain('nanosecond heartbeat');
      const completion = JSON.parse(run(block('curl localhost:8080/v1/chat'))) as {
        choices: { message: { content: string } }[];
      };
      expect(completion.choices[0]?.message.content.length).toBeGreaterThan(0);
      const [ps, down] = block('./sutaz ps').trim().split('\n') as [string, string];
      expect(run(ps)).toMatch(/chroma +ready/);
      const [why, plan, savings] = block('./sutaz why').trim().split('\n') as [string, string, string];
      expect(run(why)).toMatch(/^chroma is ready/);
      expect(run(plan)).toContain('They fit together.');
      expect(run(savings)).toMatch(/used at least once[\s\S]*chroma/);
      expect(run(down)).toContain('has stopped');
    } finally {
      run('./sutaz down || true');
    }
  });
});
