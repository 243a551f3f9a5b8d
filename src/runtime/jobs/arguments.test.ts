import { expect, it } from 'vitest';
import { takeFolder } from './arguments.ts';

it.each([
  [['--repo', '.', '--message', 'x'], '.', ['--message', 'x']],
  [['--message', 'x', '--repo=../a b'], '../a b', ['--message', 'x']],
  [['--repository', '.'], null, ['--repository', '.']],
  [['x', '--', '--repo', '.'], null, ['x', '--', '--repo', '.']],
  [['--repo'], null, ['--repo']],
  [['--repo', '--', 'x'], null, ['--repo', '--', 'x']],
  [[], null, []],
])('of %j the folder is %j', (args, folder, rest) => {
  expect(takeFolder(args, '--repo')).toEqual({ folder, args: rest });
});

it('takes nothing where a tool has no such option', () => {
  expect(takeFolder(['--repo', '.'], undefined)).toEqual({ folder: null, args: ['--repo', '.'] });
});
