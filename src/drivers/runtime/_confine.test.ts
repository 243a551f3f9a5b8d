import { expect, it } from 'vitest';
import { wrapperFor } from './_confine.ts';

const limits = { memoryBytes: 2 ** 20, processes: 8, cpuWeight: 100 };
const files = { hidden: '/home/ada/sutaz', readable: ['/opt'], writable: ['/srv/a', '/srv/b'], required: false };
const landlock = { perl: '/usr/bin/perl' };
const none = new Set<never>();

it('has the files bounded last, by whoever the instance runs as', () => {
  const user = { uid: 70_001, gid: 70_001, groups: [70_000] };
  const wrapper = wrapperFor({ user, limits, files }, [], none, landlock);
  expect(wrapper.indexOf('--reuid=70001')).toBeLessThan(wrapper.indexOf(landlock.perl));
  expect(wrapper.slice(-6)).toEqual(['/home/ada/sutaz', '1', '/opt', '2', '/srv/a', '/srv/b']);
  expect(wrapper.join(' ')).not.toContain('--bounding-set');
});

it('goes on without where files cannot be bounded, unless that is required', () => {
  expect(wrapperFor({ limits, files }, [], none, null).join(' ')).not.toContain('perl');
  expect(() => wrapperFor({ limits, files: { ...files, required: true } }, [], none, null)).toThrow(
    'takes Linux 5.19 with Landlock',
  );
});
