import { describe, expect, it } from 'vitest';
import type { Progress } from '#contracts/models';
import { createPnpmProgress } from './node.ts';
import { createUvProgress, parseStep } from './python.ts';

const collect = () => {
  const seen: Progress[] = [];
  return { seen, onProgress: (progress: Progress) => void seen.push(progress) };
};

describe('the progress of pnpm', () => {
  it('counts resolved, fetched and linked packages, and knows the total once all are resolved', () => {
    const { seen, onProgress } = collect();
    const tell = createPnpmProgress(onProgress);
    const progress = (status: string, packageId?: string) =>
      tell({ name: 'pnpm:progress', status, ...(packageId !== undefined && { packageId }) });
    progress('resolved', 'a@1');
    progress('resolved', 'b@1');
    tell({ name: 'pnpm:stage', stage: 'resolution_done' });
    progress('fetched', 'a@1');
    progress('found_in_store', 'b@1');
    progress('imported');
    progress('imported');
    tell({ name: 'pnpm:link' });
    expect(seen.map(({ done, total }) => [done, total])).toEqual([
      ...[1, 2].map((done) => [done, undefined]),
      ...[3, 4, 5, 6].map((done) => [done, 6]),
    ]);
    expect(seen[0]).toEqual({ phase: 'installing', what: 'a@1', done: 1, unit: 'steps' });
  });
});

describe('a registry that does not answer', () => {
  it('is told by its host alone, with when it is asked again', () => {
    const { seen, onProgress } = collect();
    const tell = createPnpmProgress(onProgress);
    const url = 'https://user:secret@r.example/a';
    tell({ name: 'pnpm:request-retry', url, error: { code: 'ECONNREFUSED' }, timeout: 6_000 });
    expect(seen.map(({ what }) => what)).toEqual(['r.example does not answer (ECONNREFUSED): again in 6 s']);
  });
});

describe('the progress of uv', () => {
  it('goes forward only, to its total', () => {
    const { seen, onProgress } = collect();
    const tell = createUvProgress('x==1', onProgress);
    const lines = [
      'Using Python 3.11.7',
      'Resolved 3 packages in 1.1s',
      'Downloading numpy (16.0MiB)',
      ' Downloaded numpy',
    ];
    for (const line of [...lines, 'Prepared 3 packages in 2s', 'Installed 3 packages in 9ms', ' + numpy==2.1'])
      tell(line);
    expect(seen.map(({ what, done, total }) => [what, done, total])).toEqual([
      ['x==1', 0, 6],
      ['numpy', 0, 6],
      ['numpy', 1, 6],
      ['x==1', 3, 6],
      ['x==1', 6, 6],
    ]);
  });

  it('takes one package for what it is, and other lines for none', () => {
    expect(parseStep('Resolved 1 package in 3ms')).toEqual({ kind: 'resolved', subject: '1' });
    expect(parseStep('warning: Resolved nothing')).toBeNull();
  });
});
