import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fakePlatform, stream } from './platform.fake.ts';
import type { FakePlatform } from './platform.fake.ts';

let platform: FakePlatform;
beforeEach(async () => {
  platform = await fakePlatform();
});
afterEach(() => platform.close());

describe('logs', () => {
  test('passes lines on however they are cut', async () => {
    platform.routes['GET /sutaz/v1/units/chroma/logs'] = stream('one\ntw', 'o\nthree');
    expect((await platform.run(['logs', 'chroma', '-fn', '3'])).out).toBe('one\ntwo\nthree\n');
    expect(platform.asked[0]?.path).toBe('/sutaz/v1/units/chroma/logs?lines=3&follow=true');
  });

  test('colours a terminal, and does nothing else to it', async () => {
    platform.routes['GET /sutaz/v1/units/chroma/logs'] = stream('\x1b[32mup\x1b[0m \x1b]0;title\x07\x1b[2Jdown\n');
    const { out } = await platform.run(['logs', 'chroma'], { io: { outTty: true } });
    expect(out).toBe('\x1b[32mup\x1b[0m down\x1b[0m\n');
    // Somebody else reads it then, who may want every byte.
    expect((await platform.run(['logs', 'chroma'])).out).toContain('\x1b]0;title');
  });

  test('says so when there is nothing', async () => {
    platform.routes['GET /sutaz/v1/units/chroma/logs'] = stream('');
    expect(await platform.run(['logs', 'chroma'])).toEqual({
      code: 0,
      out: '',
      err: 'chroma has written nothing yet.\n',
    });
  });

  test('--json is one object a line', async () => {
    platform.routes['GET /sutaz/v1/units/chroma/logs'] = stream('say "x"\n');
    expect((await platform.run(['logs', 'chroma', '--json'])).out).toBe('{"line":"say \\"x\\""}\n');
  });
});
