import { describe, expect, it } from 'vitest';
import { isApiError } from './errors.ts';
import type { JsonObject } from './json.ts';
import { grammarSchema } from './schema.ts';

function refusedAt(schema: JsonObject): string | null {
  try {
    grammarSchema(schema, 's');
  } catch (error) {
    if (isApiError(error)) return error.api.body.error.param;
    throw error;
  }
  throw new Error('the schema was taken');
}

const of = (property: JsonObject): JsonObject => ({ type: 'object', properties: { a: property } });

describe('schema for a grammar', () => {
  it('drops what only describes', () => {
    expect(grammarSchema({ title: 'T', ...of({ type: 'string', description: 'd' }) }, 's')).toEqual({
      type: 'object',
      properties: { a: { type: 'string' } },
      additionalProperties: false,
    });
  });

  it('turns anyOf and unions of types into alternatives, each with its own keywords', () => {
    const { properties } = grammarSchema(of({ type: ['array', 'null'], items: { type: 'integer' } }), 's');
    expect(properties).toEqual({
      a: { oneOf: [{ type: 'array', items: { type: 'integer' } }, { type: 'null' }] },
    });
    expect(grammarSchema(of({ anyOf: [{ type: 'string' }, { const: 1 }] }), 's')['properties']).toEqual({
      a: { oneOf: [{ type: 'string' }, { const: 1 }] },
    });
  });

  it('keeps references that point to a definition', () => {
    const schema = { ...of({ $ref: '#/$defs/n' }), $defs: { n: { type: 'number' } } };
    expect(grammarSchema(schema, 's')).toMatchObject({
      properties: { a: { $ref: '#/$defs/n' } },
      $defs: { n: { type: 'number' } },
    });
  });

  it('follows a root that is only a reference, which the rest may point to as well', () => {
    const list = { type: 'object', properties: { next: { anyOf: [{ $ref: '#/$defs/list' }, { type: 'null' }] } } };
    const held = {
      type: 'object',
      properties: { next: { oneOf: [{ $ref: '#/$defs/list' }, { type: 'null' }] } },
      additionalProperties: false,
    };
    const schema = { $ref: '#/$defs/name', $defs: { name: { $ref: '#/$defs/list' }, list } };
    expect(grammarSchema(schema, 's')).toEqual({
      ...held,
      $defs: { name: { $ref: '#/$defs/list' }, list: held },
    });
  });

  it.each([
    [of({ type: 'string', pattern: '^a' }), 's.properties.a.pattern'],
    [of({ type: 'integer', minimum: 3 }), 's.properties.a.minimum'],
    [of({ type: 'string', format: 'email' }), 's.properties.a.format'],
    [of({ $ref: '#/$defs/missing' }), 's.properties.a.$ref'],
    [of({ allOf: [{ type: 'string' }] }), 's.properties.a'],
    [of({}), 's.properties.a'],
    [of({ type: 'text' }), 's.properties.a.type'],
    [of({ enum: [] }), 's.properties.a.enum'],
    [of({ type: 'array', minItems: -1 }), 's.properties.a.minItems'],
    [{ ...of({ type: 'string' }), required: ['b'] }, 's.required'],
    [{ type: 'array', items: { type: 'string' } }, 's'],
    [{ $ref: '#/$defs/s', $defs: { s: { type: 'string' } } }, 's'],
    [{ $ref: '#/$defs/a', $defs: { a: { $ref: '#/$defs/b' }, b: { $ref: '#/$defs/a' } } }, 's.$ref'],
    [{ type: 'object', patternProperties: {} }, 's.patternProperties'],
  ] as readonly (readonly [JsonObject, string])[])('refuses what it cannot hold to: %j', (schema, path) => {
    expect(refusedAt(schema)).toBe(path);
  });
});
