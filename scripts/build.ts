/**
 * Builds what is published: the sources compiled into `dist/src`, the catalogue with its hosts compiled into
 * `dist/catalog`, the console into `console/dist`. Node does not strip types below node_modules.
 */
import { execFileSync } from 'node:child_process';
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const run = (command: string, ...args: string[]) =>
  execFileSync(join(root, 'node_modules/.bin', command), args, { cwd: root, stdio: 'inherit' });

await rm(join(root, 'dist'), { recursive: true, force: true });
run('tsc', '-p', 'tsconfig.build.json');
await cp(join(root, 'catalog'), join(root, 'dist/catalog'), {
  recursive: true,
  // Sources are there compiled already; declarations and tests are nobody's business there.
  filter: (path) => !path.endsWith('.ts'),
});
execFileSync('npm', ['run', 'build', '--workspace', 'console'], { cwd: root, stdio: 'inherit' });
