import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { expect, it } from 'vitest';
import { controlBase, operations } from '#contracts/operations';
import type { Operation } from '#contracts/operations';
import { openapiText } from './openapi-document.ts';

interface Described {
  readonly paths: Readonly<Record<string, Readonly<Record<string, { readonly operationId: string }>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, { readonly examples?: readonly unknown[] }>> };
}
const written = readFileSync(join(import.meta.dirname, '..', 'docs', 'openapi.json'), 'utf8');
const document = JSON.parse(written) as Described;
const ajv = new Ajv2020({ strict: false, allErrors: true });
ajv.addSchema(document, 'openapi');
const errorsOf = (name: string, value: unknown) => {
  const check = ajv.compile({ $ref: `openapi#/components/schemas/${name}` });
  return check(value) ? [] : check.errors;
};

it('docs/openapi.json is up to date: run `npm run schema`', () => {
  expect(written).toBe(openapiText());
}, 60_000);

it('is OpenAPI 3.1', async () => {
  const result = await new Validator().validate(structuredClone(document) as unknown as Record<string, unknown>);
  expect(result).toMatchObject({ valid: true });
});

it('has every call that is declared, and no other', () => {
  const described = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { operationId }]) => `${operationId}: ${method.toUpperCase()} ${path}`),
  );
  const declared = Object.entries<Operation>(operations).map(
    ([id, { method, path }]) => `${id}: ${method} ${controlBase}${path}`,
  );
  expect(described.sort()).toEqual(declared.sort());
});

it('has examples that are what it says they are', () => {
  const shown = Object.entries(document.components.schemas).flatMap(([name, { examples = [] }]) =>
    examples.map((example) => [name, errorsOf(name, example)] as const),
  );
  expect(shown.length).toBeGreaterThan(5);
  for (const [name, errors] of shown) expect(errors, name).toEqual([]);
  for (const [id, { body, example }] of Object.entries<Operation>(operations)) {
    if (body) expect(errorsOf(body, example?.body), id).toEqual([]);
  }
});

it('shows how each call is made that takes something', () => {
  const bare = Object.entries<Operation>(operations).filter(
    ([, { path, body, query = {}, example }]) =>
      (path.includes('{') && !example?.segments) ||
      (body && example?.body === undefined) ||
      (Object.values(query).some(({ required }) => required) && !example?.query),
  );
  expect(bare.map(([id]) => id)).toEqual([]);
});
