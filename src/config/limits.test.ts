import { describe, expect, it } from 'vitest';
import { configSchema } from './static.ts';
import { formatProblem, parseStrict } from './strict.ts';

const parse = (text: string) => parseStrict(text, 'sutaz.yaml', configSchema);
const rulesOf = (text: string) => {
  const parsed = parse(text);
  if (!parsed.ok) throw new Error(parsed.problems.map(formatProblem).join('\n'));
  return parsed.value.limits.rules;
};
const problems = (text: string) => {
  const parsed = parse(text);
  return parsed.ok ? [] : parsed.problems.map(formatProblem);
};

describe('rules of limits', () => {
  it('are read in their short form and in their long one', () => {
    const text = `limits:
  rules:
    - { each: key, requests: 100/minute, tokens: 200k/day, concurrent: 4 }
    - name: ada
      for: { key: ada, model: [qwen*, small] }
      each: [principal, model]
      requests: [5/second, 1000/day]
      bytes: 1.5MiB/hour
`;
    expect(rulesOf(text)).toEqual([
      {
        ...{ for: {}, each: ['key'], concurrent: 4 },
        requests: [{ limit: 100, per: 'minute' }],
        tokens: [{ limit: 200_000, per: 'day' }],
      },
      {
        ...{ name: 'ada', for: { key: ['ada'], model: ['qwen*', 'small'] }, each: ['principal', 'model'] },
        requests: [
          { limit: 5, per: 'second' },
          { limit: 1_000, per: 'day' },
        ],
        bytes: [{ limit: 1.5 * 2 ** 20, per: 'hour' }],
      },
    ]);
  });

  it.each([
    [
      '{ each: key, requests: 100/minit }',
      '"minit" is not a period. Did you mean minute? A rate is per second, minute',
    ],
    ['{ requests: 100 }', 'must be a rate such as 100/minute or 200k/day, or a list of them'],
    ['{ requests: many/day }', '"many/day" is not a rate. Write it as 100/minute or 200k/day.'],
    ['{ requests: 0/day }', '"0/day" is not a rate.'],
    ['{ bytes: 10XB/day }', '"10XB/day" is not a rate. Write it as 100MiB/hour.'],
    ['{ requests: [1/day, 2/day] }', 'names a period twice'],
    ['{ each: keys, requests: 1/day }', 'must be one or several of key, principal, service, model. Did you mean key?'],
    ['{ for: { modell: x }, requests: 1/day }', 'unknown key. Did you mean model?'],
    ['{ request: 1/day }', 'unknown key. Did you mean requests?'],
    ['{ each: key }', 'limits nothing: it needs one of requests, tokens, bytes, concurrent'],
    ['{ for: { service: chroma }, tokens: 1/day }', 'counts tokens, which only models have'],
    ['{ for: { service: chroma }, each: model, requests: 1/day }', 'no request is for a model and for a service'],
    ['{ name: "a b", requests: 1/day }', 'a name is letters, digits and . _ -'],
  ])('%s is an error with its place', (rule, message) => {
    const found = problems(`limits:\n  rules:\n    - ${rule}\n`);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(/^sutaz\.yaml:3:\d+: limits\.rules\[0\]/);
    expect(found[0]).toContain(message);
  });

  it('have names that differ', () => {
    const rule = '{ name: a, requests: 1/day }';
    expect(problems(`limits: { rules: [${rule}, ${rule}] }`).join()).toContain('two rules have the same name');
  });
});
