import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fleet } from './machines.fake.ts';
import { arrivalParser, formatArrival, readTrace } from './trace.ts';

const { units } = fleet(100, [{ id: 'alpha' }, { id: 'service/beta' }]);
const parseAll = (...lines: readonly string[]) => lines.map(arrivalParser('T.jsonl', units));
const line = (more: object) => JSON.stringify({ t: 5, unit: 'alpha', serviceMs: 10, ...more });

describe('T.jsonl', () => {
  it('has defaults for principal, class and deadline', () => {
    expect(parseAll(line({}))).toEqual([
      { t: 5, unit: 'alpha', serviceMs: 10, principal: 'anyone', class: 'default', deadlineMs: Infinity },
    ]);
  });

  it('takes 0 for a time, a service and a deadline', () => {
    expect(parseAll(line({ t: 0, serviceMs: 0, deadlineMs: 0 }))).toMatchObject([
      { t: 0, serviceMs: 0, deadlineMs: 0 },
    ]);
  });

  it('writes what it reads', () => {
    const full = line({ principal: 'ada', class: 'batch', deadlineMs: 7 });
    for (const text of [line({}), full]) {
      const [arrival] = parseAll(text);
      expect(arrival && formatArrival(arrival)).toBe(text);
    }
  });

  it('passes over empty lines, and counts them', () => {
    expect(() => parseAll('', '  ', line({ unit: 'alpa' }))).toThrow('T.jsonl:3: unit "alpa"');
  });

  it('knows a model by its full name too', () => {
    expect(parseAll(line({ unit: 'model/alpha' }), line({ unit: 'service/beta' }))).toMatchObject([
      { unit: 'alpha' },
      { unit: 'service/beta' },
    ]);
  });

  it.each([
    [line({ unit: 'alhpa' }), 'T.jsonl:1: unit "alhpa" is not among the units. Did you mean alpha?'],
    [line({ t: -1 }), 'T.jsonl:1: t must be at least 0, not -1.'],
    [line({ serviceMs: -1 }), 'T.jsonl:1: serviceMs must be at least 0, not -1.'],
    [line({ serviceMs: undefined }), 'T.jsonl:1: serviceMs is missing.'],
    [line({ class: 'interactiv' }), 'T.jsonl:1: class must be one of interactive, default, batch'],
    [line({ deadline: 5 }), 'T.jsonl:1: deadline is no field. Did you mean deadlineMs'],
    [line({ principal: 7 }), 'T.jsonl:1: principal must be a text, not 7.'],
    ['{"t": 1', 'T.jsonl:1: no JSON: '],
  ])('says what is wrong: %s', (text, message) => {
    expect(() => parseAll(text)).toThrow(message);
  });

  it('wants the lines in order of time, equal times included', () => {
    expect(parseAll(line({ t: 5 }), line({ t: 5 }))).toHaveLength(2);
    expect(() => parseAll(line({ t: 5 }), line({ t: 4 }))).toThrow(
      'T.jsonl:2: t is 4, before the 5 of an earlier line.',
    );
  });
});

describe('a trace file', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'simulator-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('is read line by line, with either line end', async () => {
    const file = join(folder, 'T.jsonl');
    await writeFile(file, `${line({ t: 1 })}\r\n\n${line({ t: 2 })}`);
    expect((await readTrace(file, units)).map(({ t }) => t)).toEqual([1, 2]);
  });

  it('says which line of which file is wrong', async () => {
    const file = join(folder, 'wrong.jsonl');
    await writeFile(file, `${line({ t: 1 })}\n{}\n`);
    await expect(readTrace(file, units)).rejects.toThrow(`${file}:2: t is missing.`);
  });

  it('that is not there is an error with its code', async () => {
    await expect(readTrace(join(folder, 'none'), units)).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
