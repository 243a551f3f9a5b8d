import { describe, expect, it } from 'vitest';
import type { ContainerSpec, InstanceSpec } from '#contracts/runtime';
import { Fault } from '#kernel/faults';
import { newInstanceId, unitId } from '#kernel/ids';
import {
  containerOptions,
  handleFromLabels,
  handleOf,
  programPaths,
  reachesOf,
  readState,
  splitTag,
} from './_docker-container.ts';
import { engineFault, findSocket, whyNoEngine } from './_docker-engine.ts';
import { againAfter, instanceIn } from './_docker-events.ts';
import { createFrames, nanoseconds } from './_docker-frames.ts';
import { sumOfLayers } from './_docker-images.ts';
import { exitStatus } from './_docker-burials.ts';
import { networkName } from './_docker-networks.ts';
import { numbersOf } from './_docker-owners.ts';
import { pullFault } from './_docker-pull-fault.ts';

const container: ContainerSpec = {
  ...{ image: 'a/b:1', mounts: [], readOnly: false, init: true, limits: {} },
  publish: { inside: 8000, host: '127.0.0.1', port: 4001 },
};
const spec: InstanceSpec & { readonly container: ContainerSpec } = {
  ...{ id: newInstanceId(), unit: unitId('service', 'chroma'), argv: [], env: { A: '1' }, cwd: '/', container },
  ...{ logFile: '/logs/chroma.log', memoryBytes: 0 },
};
const made = { owner: 'o1', network: 'sutaz-o1', digest: 'sha256:d', imageId: 'sha256:i', hostAddress: null };

describe('the container that an engine is asked for', () => {
  it('is published on the loopback address, cannot gain privileges and is started by nobody else', () => {
    const options = containerOptions(spec, made);
    expect(options.HostConfig).toMatchObject({
      ...{ PortBindings: { '8000/tcp': [{ HostIp: '127.0.0.1', HostPort: '4001' }] }, Init: true, PidsLimit: 4096 },
      ...{ SecurityOpt: ['no-new-privileges'], RestartPolicy: { Name: '' }, NetworkMode: 'sutaz-o1' },
    });
    expect(options.HostConfig).not.toHaveProperty('Memory');
    expect(options).not.toHaveProperty('Cmd');
    expect(options.Env).toEqual(['A=1']);
  });

  it('takes limits in the units of the engine, swap counted in', () => {
    const limited = { ...spec, container: { ...container, limits: { memory: 2 ** 20, cpu: 1.5, pids: 9 } } };
    expect(containerOptions(limited, made).HostConfig).toMatchObject({
      ...{ Memory: 2 ** 20, MemorySwap: 2 ** 20, NanoCpus: 1_500_000_000, PidsLimit: 9 },
    });
  });

  it('has scratch room where its root cannot be written', () => {
    const closed = { ...spec, container: { ...container, readOnly: true } };
    expect(containerOptions(closed, made).HostConfig).toMatchObject({
      ReadonlyRootfs: true,
      Tmpfs: { '/tmp': expect.any(String) },
    });
  });

  it('knows this machine only where it is to reach something of it, and carries in its labels what', () => {
    expect(containerOptions(spec, made).HostConfig).not.toHaveProperty('ExtraHosts');
    const asking = { ...spec, container: { ...container, reaches: [8080, 5432] } };
    const { HostConfig, Labels } = containerOptions(asking, { ...made, hostAddress: '172.18.0.1' });
    expect(HostConfig?.ExtraHosts).toEqual(['host.docker.internal:172.18.0.1']);
    expect(reachesOf(Labels ?? {})).toEqual([8080, 5432]);
    expect(reachesOf({})).toEqual([]);
  });

  it('carries in its labels what its handle says', () => {
    const handle = handleOf(spec.id, spec.unit, { container: 'c1', logFile: spec.logFile, digest: 'sha256:d' });
    expect(handleFromLabels('c1', containerOptions(spec, made).Labels ?? {})).toEqual(handle);
    expect(handleFromLabels('c1', { maintainer: 'someone' })).toBeNull();
  });
});

describe('a handle', () => {
  it('of another driver is refused', () => {
    const handle = { driver: 'runtime.process', version: 1, id: spec.id, unit: spec.unit, state: { pid: 1 } };
    expect(() => readState(handle)).toThrow(/not one of runtime\.docker/);
  });
});

describe('the name of an image', () => {
  it.each([
    ['chroma', 'chroma', null],
    ['chromadb/chroma:1.0.20', 'chromadb/chroma', '1.0.20'],
    ['localhost:5000/a', 'localhost:5000/a', null],
    ['localhost:5000/a:b', 'localhost:5000/a', 'b'],
  ])('%s is %s and %s', (image, name, tag) => expect(splitTag(image)).toEqual({ name, tag }));
});

describe('the program of a command', () => {
  it('is looked for as a shell would, unless the image begins it itself', () => {
    const image = { entrypoint: false, path: '/bin::/usr/bin' };
    expect(programPaths(['run', 'x'], image)).toEqual(['/bin/run', '/usr/bin/run']);
    expect(programPaths(['/opt/run'], image)).toEqual(['/opt/run']);
    expect(programPaths(['serve'], { ...image, entrypoint: true })).toEqual([]);
    expect(programPaths([], image)).toEqual([]);
  });
});

describe('an end', () => {
  const end = (ExitCode: number, OOMKilled = false, killed = false) =>
    exitStatus({ ExitCode, OOMKilled }, killed, 1_000);

  it('has a code, or the signal that a shell makes a code of', () => {
    expect(end(3)).toEqual({ state: 'exited', code: 3, signal: null, oomKilled: false });
    expect(end(139)).toMatchObject({ code: null, signal: 'SIGSEGV' });
    expect(end(143)).toMatchObject({ code: 143, signal: null });
  });

  it('is for want of memory when the engine says so, and it was neither our kill nor an end in peace', () => {
    expect(end(137, true)).toEqual({
      state: 'exited',
      code: null,
      signal: 'SIGKILL',
      oomKilled: true,
      limitBytes: 1_000,
    });
    expect(end(137, true, true)).toMatchObject({ oomKilled: false });
    expect(end(0, true)).toMatchObject({ code: 0, oomKilled: false });
    expect(exitStatus({ ExitCode: 137, OOMKilled: true }, false, 0)).not.toHaveProperty('limitBytes');
  });
});

describe('what the engine sends of an output', () => {
  const frame = (text: string) => {
    const body = Buffer.from(text);
    const header = Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]);
    header.writeUInt32BE(body.length, 4);
    return Buffer.concat([header, body]);
  };

  it('is the same in pieces of any size', () => {
    const whole = Buffer.concat([
      frame('2026-01-01T00:00:00.5Z one\n'),
      frame('2026-01-01T00:00:01Z two\n'),
      frame(''),
    ]);
    for (let size = 1; size <= whole.length; size++) {
      const frames = createFrames();
      const found = [];
      for (let at = 0; at < whole.length; at += size) found.push(...frames(whole.subarray(at, at + size)));
      expect(found.map(({ text }) => text.toString())).toEqual(['one\n', 'two\n', '']);
      expect(found.map(({ at }) => at)).toEqual([1_767_225_600_500_000_000n, 1_767_225_601_000_000_000n, 0n]);
    }
  });

  it('has times in nanoseconds', () => {
    expect(nanoseconds('2026-11-25T02:35:32.520772673Z')).toBe(1_795_574_132_520_772_673n);
    expect(nanoseconds('yesterday')).toBeNull();
  });
});

describe('an event', () => {
  it('names the instance that ended', () => {
    expect(instanceIn('{"Actor":{"Attributes":{"ai.sutaz.instance":"i-1"}}}')).toBe('i-1');
    expect(instanceIn('{"Actor":{}}')).toBeNull();
    expect(instanceIn('half a li')).toBeNull();
  });
});

describe('an engine that is away', () => {
  it('is asked again after growing waits, which have a bound', () => {
    expect([1, 2, 3, 4, 40].map(againAfter)).toEqual([250, 500, 1_000, 2_000, 10_000]);
  });
});

describe('the progress of a pull', () => {
  it('is the sum of its layers', () => {
    const told: string[] = [];
    const add = sumOfLayers('a:1', ({ done, total }) => told.push(`${done}/${total}`));
    add({ status: 'Pulling from a', id: '1' });
    add({ status: 'Downloading', id: 'x', progressDetail: { current: 5, total: 10 } });
    add({ status: 'Downloading', id: 'y', progressDetail: { current: 1, total: 20 } });
    add({ status: 'Download complete', id: 'x' });
    add({ status: 'Extracting', id: 'y', progressDetail: { current: 2, total: 20 } });
    expect(told).toEqual(['5/10', '6/30', '11/30', '30/30']);
  });
});

describe('the engine', () => {
  it('must be one of this machine', () => {
    expect(findSocket({ DOCKER_HOST: 'unix:///run/x.sock' })).toBe('/run/x.sock');
    expect(() => findSocket({ DOCKER_HOST: 'tcp://192.0.2.1:2375' })).toThrow(/an engine of this machine/);
    expect(whyNoEngine({ DOCKER_HOST: 'unix:///nowhere/x.sock' })).toMatch(
      /no socket at \/nowhere\/x\.sock\): start one/,
    );
  });

  it('that does not answer is told with what to do', () => {
    const refused = Object.assign(new Error('connect'), { code: 'ECONNREFUSED' });
    expect(engineFault(refused, '/x.sock').message).toMatch(/no Docker engine answers at \/x\.sock .* run: process/);
    const denied = Object.assign(new Error('connect'), { code: 'EACCES' });
    expect(engineFault(denied, '/x.sock').message).toMatch(/may not be opened: add the platform's user to its group/);
    const ours = new Fault('CONFLICT', 'taken');
    expect(engineFault(ours, '/x.sock')).toBe(ours);
  });
});

describe('a network', () => {
  it('of a group is never the one of those without', () => {
    expect(networkName('o1', undefined)).not.toBe(networkName('o1', ''));
    expect(networkName('o1', 'friends')).toBe('sutaz-o1-friends');
  });
});

describe('who a container runs as', () => {
  const files: Readonly<Record<string, string>> = {
    '/etc/passwd': 'root:x:0:0::/root:/bin/sh\nnode:x:1000:1001::/home/node:/bin/sh\n',
    '/etc/group': 'root:x:0:\nstaff:x:50:\n',
  };
  it.each([
    ['', { uid: 0, gid: 0 }],
    ['1234', { uid: 1234, gid: 1234 }],
    ['1234:5', { uid: 1234, gid: 5 }],
    ['node', { uid: 1000, gid: 1001 }],
    ['node:staff', { uid: 1000, gid: 50 }],
    ['node:7', { uid: 1000, gid: 7 }],
    ['nobody-here', null],
  ])('%j is %j', async (user, numbers) => {
    expect(await numbersOf(user, async (path) => files[path] ?? '')).toEqual(numbers);
  });
});

describe('a pull that failed', () => {
  it.each([
    ['write /var/lib/docker/tmp/GetImageBlob1: no space left on device', 'DISK_FULL', /docker image prune/],
    [
      "pull access denied for a/b, repository does not exist or may require 'docker login'",
      'NOT_FOUND',
      /docker login/,
    ],
    ['Head "http://r/v2/a/manifests/1": no basic auth credentials', 'UPSTREAM_FAILED', /who asks/],
    ['manifest for a/b:9 not found: manifest unknown: manifest unknown', 'NOT_FOUND', /its tag/],
    ['http: server gave HTTP response to HTTPS client', 'UPSTREAM_FAILED', /insecure-registries/],
    ['dial tcp 127.0.0.1:1: connect: connection refused', 'UPSTREAM_FAILED', /out of reach/],
  ])('with %j says what can be done', (words, code, remedy) => {
    expect(pullFault('a/b:1', words)).toMatchObject({ code, message: expect.stringMatching(remedy) });
  });
});
