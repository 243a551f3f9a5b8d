import { describe, expect, it } from 'vitest';
import { parseChat } from './chat.ts';
import { isApiError } from './errors.ts';
import { historyOf } from './history.ts';
import type { Json, JsonObject } from './json.ts';
import { toolUseOf } from './tools.ts';

function refusal(call: () => unknown) {
  try {
    call();
  } catch (error) {
    if (isApiError(error)) return error.api.body.error;
    throw error;
  }
  throw new Error('nothing was refused');
}

const city = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
const weather = { type: 'function', function: { name: 'weather', description: 'Of a city', parameters: city } };
const time = { type: 'function', function: { name: 'time' } };
const use = (extra: Record<string, Json>) => {
  const { params } = parseChat({ model: 'm', messages: [{ role: 'user', content: 'hi' }], ...extra });
  return toolUseOf(params);
};
const conversation = (...messages: Json[]) => historyOf(parseChat({ model: 'm', messages }).messages);
const call = (id: string, name = 'weather', given = '{"city":"Paris"}') => ({
  id,
  type: 'function',
  function: { name, arguments: given },
});

describe('tools', () => {
  it('offers all of them, and forces one, some or none', () => {
    const tools = [weather, time];
    expect(use({ tools })).toMatchObject({ forced: false, most: 16, tools: [{ name: 'weather' }, { name: 'time' }] });
    expect(use({ tools, tool_choice: 'required', parallel_tool_calls: false })).toMatchObject({
      forced: true,
      most: 1,
    });
    const named = use({ tools, tool_choice: { type: 'function', function: { name: 'time' } } });
    expect(named).toMatchObject({ forced: true, most: 1, tools: [{ name: 'time', grammar: null }] });
    const allowed_tools = { mode: 'auto', tools: [{ type: 'function', function: { name: 'weather' } }] };
    const some = use({ tools, tool_choice: { type: 'allowed_tools', allowed_tools } });
    expect(some?.tools.map(({ name }) => name)).toEqual(['weather']);
    expect(use({ tools, tool_choice: 'none' })).toBeUndefined();
    expect(use({ tools: [] })).toBeUndefined();
  });

  it('holds a strict tool to its schema or refuses it, and any other to its structure', () => {
    const parameters = { ...city, properties: { city: { type: 'string', pattern: '^[A-Z]' } } };
    const strict = { type: 'function', function: { name: 'f', parameters, strict: true } };
    expect(refusal(() => use({ tools: [strict] }))).toMatchObject({
      param: 'tools[0].function.parameters.properties.city.pattern',
      code: 'unsupported_schema',
    });
    const loose = use({ tools: [{ type: 'function', function: { name: 'f', parameters } }] })?.tools[0];
    expect(loose?.grammar).toMatchObject({ properties: { city: { type: 'string' } } });
    const odd = { type: 'object', properties: { x: { not: { type: 'string' } } } };
    const free = use({ tools: [{ type: 'function', function: { name: 'f', parameters: odd } }] })?.tools[0];
    expect(free?.grammar).toEqual({ type: 'object', additionalProperties: true });
  });

  it('regression: the model was not told of a tool what a grammar cannot hold', () => {
    const days = { type: 'integer', minimum: 1, default: 3, 'x-unit': 'day' };
    const parameters = { type: 'object', properties: { days }, required: ['days'], patternProperties: { '^x-': true } };
    const read = use({ tools: [{ type: 'function', function: { name: 'f', parameters } }] })?.tools[0];
    expect(read?.parameters).toEqual(parameters);
    expect(read?.grammar).toMatchObject({ properties: { days: { type: 'integer' } } });
  });

  const grammarOf = (parameters: JsonObject, strict: boolean) =>
    use({ tools: [{ type: 'function', function: { name: 'f', parameters, strict } }] })?.tools[0]?.grammar;
  const held = { type: 'object', properties: { city: { type: 'string' } }, additionalProperties: false };
  const free = { type: 'object', additionalProperties: true };
  const at = 'tools[0].function.parameters';

  it.each([
    {},
    { type: 'object' },
    { type: 'object', properties: null, required: null },
    { type: 'object', properties: {}, required: [], additionalProperties: false },
    { type: 'object', properties: {}, $schema: 's', title: 'T', description: 'd', $defs: { x: city }, definitions: {} },
  ] as readonly JsonObject[])('takes no arguments by %j', (parameters) => {
    expect([grammarOf(parameters, true), grammarOf(parameters, false)]).toEqual([null, null]);
  });

  it.each([true, false])('regression: a root that is a reference took no arguments (strict: %s)', (strict) => {
    const parameters = { $ref: '#/$defs/city', $defs: { city } };
    expect(grammarOf(parameters, strict)).toEqual({ ...held, $defs: { city: held } });
  });

  it.each([
    [{ anyOf: [city, { type: 'object', properties: {} }] }, at],
    [{ allOf: [city] }, at],
    [{ type: 'object', allOf: [city] }, `${at}.allOf`],
    [{ type: 'object', properties: {}, additionalProperties: false, allOf: [city] }, `${at}.allOf`],
    [{ type: 'object', patternProperties: { '^x': { type: 'string' } } }, `${at}.patternProperties`],
    [{ type: 'object', additionalProperties: false, patternProperties: { '^x': {} } }, `${at}.patternProperties`],
    [{ type: 'object', required: ['city'] }, `${at}.required`],
    [{ $ref: '#/definitions/city', definitions: { city } }, `${at}.definitions`],
    [{ $ref: '#/$defs/a', $defs: { a: { $ref: '#/$defs/a' } } }, `${at}.$ref`],
    [{ type: 'string' }, at],
    [{ type: ['object', 'null'], properties: {} }, at],
    [{ type: 'array', items: { type: 'string' } }, at],
  ] as readonly (readonly [JsonObject, string])[])(
    'regression: a schema that says more than its properties took no arguments: %j',
    (parameters, param) => {
      expect(refusal(() => grammarOf(parameters, true))).toMatchObject({ param, code: 'unsupported_schema' });
      expect(grammarOf(parameters, false)).toEqual(free);
    },
  );

  it.each([
    [{ tools: [{ type: 'web_search' }] }, 'tools[0].type'],
    [{ tools: [{ type: 'function' }] }, 'tools[0].function'],
    [{ tools: [{ type: 'function', function: {} }] }, 'tools[0].function.name'],
    [{ tools: [{ type: 'function', function: { name: 'a b' } }] }, 'tools[0].function.name'],
    [{ tools: [time, time] }, 'tools'],
    [{ tools: [time], tool_choice: 'always' }, 'tool_choice'],
    [{ tools: [time], tool_choice: { type: 'function', function: { name: 'tiem' } } }, 'tool_choice'],
    [{ tool_choice: 'required' }, 'tool_choice'],
  ] as const)('names what is wrong in %j', (extra, param) => {
    expect(refusal(() => use(extra as unknown as Record<string, Json>))).toMatchObject({ param });
  });
});

describe('calls in a conversation', () => {
  it('puts a result into its call, and what the assistant says next into the same turn', () => {
    const history = conversation(
      { role: 'user', content: 'Compare them.' },
      { role: 'assistant', content: null, tool_calls: [call('a'), call('b', 'time', '{}')] },
      { role: 'tool', tool_call_id: 'b', content: 'noon' },
      { role: 'tool', tool_call_id: 'a', content: '{"sky":"grey"}' },
      { role: 'assistant', content: 'Grey, at noon.' },
    );
    expect(history[1]).toEqual({
      type: 'model',
      response: [
        {
          type: 'functionCall',
          name: 'weather',
          params: { city: 'Paris' },
          result: { sky: 'grey' },
          startsNewChunk: true,
        },
        { type: 'functionCall', name: 'time', params: {}, result: 'noon', startsNewChunk: false },
        'Grey, at noon.',
      ],
    });
  });

  it('refuses results without a call, calls without a result, and arguments that are no object', () => {
    const asked = { role: 'user', content: 'x' };
    const made = { role: 'assistant', tool_calls: [call('a')] };
    const told = { role: 'tool', tool_call_id: 'a', content: 'x' };
    expect(refusal(() => conversation(asked, told))).toMatchObject({ param: 'messages[1].tool_call_id' });
    expect(refusal(() => conversation(asked, made, told, told)).param).toBe('messages[3].tool_call_id');
    expect(refusal(() => conversation(asked, made)).message).toContain("'tool_call_id'. Missing for: a.");
    expect(refusal(() => conversation(asked, made, asked)).param).toBe('messages[2]');
    expect(refusal(() => conversation(asked, { role: 'assistant', tool_calls: [call('a', 'f', '[1]')] })).param).toBe(
      'messages[1].tool_calls[0].function.arguments',
    );
  });
});
