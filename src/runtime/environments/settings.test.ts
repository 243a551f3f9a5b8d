import { dirname } from 'node:path';
import { describe, expect, it } from 'vitest';
import { buildFault, withoutPasswords, words } from './failures.ts';
import { parsePipConfig, pipFromEnvironment, uvSettings } from './pip-config.ts';
import { toolEnvironment } from './tool-env.ts';

describe('what pip was told, for uv', () => {
  const config = [
    `global.index-url='https://pypi.example/simple'`,
    `install.index-url='https://install.example/simple'`,
    `global.extra-index-url='\\nhttps://one.example/simple\\nhttps://two.example/simple'`,
    `:env:.find-links='/opt/wheels /srv/wheels'`,
    `download.cert='/not/for/install.pem'`,
    `global.cert='/etc/ca.pem'`,
    'global.no-index="true"',
    'what is this',
  ];

  it('is read with its levels, the stronger one winning', () => {
    const parsed = parsePipConfig(config);
    expect(parsed['index-url']).toEqual(['https://install.example/simple']);
    expect(parsePipConfig([...config].reverse())).toEqual(parsed);
    expect(uvSettings(parsed, {})).toEqual({
      UV_DEFAULT_INDEX: 'https://install.example/simple',
      UV_INDEX: 'https://one.example/simple https://two.example/simple',
      UV_INDEX_STRATEGY: 'unsafe-best-match',
      UV_FIND_LINKS: '/opt/wheels,/srv/wheels',
      SSL_CERT_FILE: '/etc/ca.pem',
      UV_NO_INDEX: '1',
    });
  });

  it('leaves what is set for uv as it is', () => {
    const env = {
      UV_INDEX_URL: 'https://own.example',
      SSL_CERT_FILE: '/own.pem',
      UV_FIND_LINKS: '/own',
      UV_INDEX: 'a b',
    };
    expect(uvSettings(parsePipConfig(config), env)).toEqual({ UV_NO_INDEX: '1' });
  });

  it('is in the variables where pip itself is missing', () => {
    expect(
      uvSettings(pipFromEnvironment({ PIP_INDEX_URL: 'https://p.example', PIP_NO_INDEX: '0', HOME: '/h' }), {}),
    ).toEqual({
      UV_DEFAULT_INDEX: 'https://p.example',
    });
  });
});

describe('the environment of the tools', () => {
  it('has what they need of ours and nothing else, our Node first', () => {
    const env = toolEnvironment({
      ...{ PATH: '/usr/bin', HOME: '/home/u', https_proxy: 'http://proxy', npm_config_registry: 'https://r.example' },
      ...{ PIP_INDEX_URL: 'https://p.example', UV_OFFLINE: '1', LC_ALL: 'C' },
      ...{ SUTAZ_KEY: 'secret', AWS_SECRET_ACCESS_KEY: 'secret', NODE_OPTIONS: '--inspect', EMPTY: undefined },
      ...{ UV_PYTHON: '3.8', PIP_TARGET: '/elsewhere', npm_config_global: 'true', npm_config_user_agent: 'npm/11' },
    });
    expect(env).toEqual({
      ...{ PATH: `${dirname(process.execPath)}:/usr/bin`, HOME: '/home/u', https_proxy: 'http://proxy' },
      ...{ npm_config_registry: 'https://r.example', PIP_INDEX_URL: 'https://p.example', UV_OFFLINE: '1', LC_ALL: 'C' },
    });
  });
});

describe('the words of a failed build', () => {
  it('carry no passwords, colours or empty lines, and stay short', () => {
    expect(withoutPasswords('GET https://user:pw@r.example/a and git+https://tok@g.example/b')).toBe(
      'GET https://***@r.example/a and git+https://***@g.example/b',
    );
    expect(withoutPasswords('https://r.example/@scope/a@1.0.0')).toBe('https://r.example/@scope/a@1.0.0');
    expect(words(['\u001b[31mERR\u001b[0m\n', '', 'why', '  '])).toBe('ERR\nwhy');
    expect(words([`${'x'.repeat(5_000)} the reason`])).toMatch(/^\.\.\. x+ the reason$/);
    expect(words([`${'x'.repeat(5_000)} the reason`]).length).toBeLessThan(1_600);
  });

  it('are a full disk where they say so', () => {
    expect(buildFault('X', 'OSError: [Errno 28] No space left on device', '', '/h/env').code).toBe('DISK_FULL');
    expect(buildFault('X', 'ENOSPC: no space', '', '/h/env')).toMatchObject({
      code: 'DISK_FULL',
      message: expect.stringMatching(/^The disk of \/h\/env is full: X .*env prune/),
    });
    expect(buildFault('X', '', 'Do this.', '/h/env')).toMatchObject({
      code: 'START_FAILED',
      message: expect.stringContaining('Do this.'),
    });
  });
});
