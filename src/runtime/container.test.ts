import { mkdtemp, rm, stat, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { DockerRun } from '#catalog/service';
import { containerSpec, valuesInside } from './container.ts';

const run: DockerRun = {
  ...{ image: 'a/b:1', port: 8000, volumes: { '{data}/db': '/db' }, env: {}, readOnly: true, init: true, limits: {} },
};
const outside = { host: '127.0.0.1', port: '4001', key: 'k', data: '/home/x', service: '/s', home: '/h' };

describe('placeholders inside a container', () => {
  it('are its own port and every address; this machine has another name', () => {
    const url = 'http://127.0.0.1:8080/v1';
    expect(valuesInside(run, { ...outside, 'openai.url': url })).toEqual({
      ...{ host: '0.0.0.0', port: '8000', key: 'k', 'openai.url': 'http://host.docker.internal:8080/v1' },
    });
  });

  it('are the places of what is mounted', () => {
    const mounted = { ...run, volumes: { '{data}': '/data', '{service}': '/opt/own' } };
    expect(valuesInside(mounted, outside)).toMatchObject({ data: '/data', service: '/opt/own' });
  });
});

describe('the container of an instance', () => {
  it('mounts folders that are made, and the files of its definition only to be read', async () => {
    const data = await mkdtemp(join(tmpdir(), 'sutaz-container-'));
    onTestFinished(() => rm(data, { recursive: true }));
    const mixed = { ...run, volumes: { '{data}/db': '/db', '{service}': '/own' } };
    const made = await containerSpec(mixed, { host: '127.0.0.1', port: 4001 }, { ...outside, data }, [], 'x');
    expect(made).toEqual({
      ...{ image: 'a/b:1', readOnly: true, init: true, limits: {} },
      publish: { inside: 8000, host: '127.0.0.1', port: 4001 },
      mounts: [
        { source: join(data, 'db'), target: '/db', readOnly: false },
        { source: '/s', target: '/own', readOnly: true },
      ],
    });
    expect((await stat(join(data, 'db'))).mode & 0o777).toBe(0o700);
  });

  it('is not given what a link of its data leads to', async () => {
    const data = await mkdtemp(join(tmpdir(), 'sutaz-container-'));
    onTestFinished(() => rm(data, { recursive: true }));
    await symlink('/etc', join(data, 'db'));
    const at = { host: '127.0.0.1', port: 4001 };
    const making = containerSpec({ ...run, volumes: { '{data}/db': '/db' } }, at, { ...outside, data }, [], 'x');
    await expect(making).rejects.toMatchObject({ code: 'START_FAILED', message: expect.stringContaining('by a link') });
  });

  it('reaches the ports that it is told of where a text of its names this machine', async () => {
    const at = { host: '127.0.0.1', port: 1 };
    const told = { ...outside, 'openai.url': 'http://127.0.0.1:8080/v1', 'sql.url': 'sql://a:b@127.0.0.1:5432/a' };
    const asking = ['http://host.docker.internal:8080/v1'];
    const made = await containerSpec({ ...run, volumes: {} }, at, told, asking, 'x');
    expect(made.reaches).toEqual([5432, 8080]);
    expect(await containerSpec({ ...run, volumes: {} }, at, told, [], 'x')).not.toHaveProperty('reaches');
  });
});
