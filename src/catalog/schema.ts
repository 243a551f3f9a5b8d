import { z } from 'zod';
import { configSchema } from '#config/static';
import { modelSchema } from './model.ts';
import { serviceSchema } from './service.ts';

/** The files of `catalog/schema/`, by name: JSON Schemas by which editors complete and check what people write. */
export function jsonSchemas(): Readonly<Record<string, string>> {
  return {
    'service.json': write('service.json', "A service's definition", serviceSchema),
    'model.json': write('model.json', "A model's definition", modelSchema),
    'sutaz.json': write('sutaz.json', 'sutaz.yaml', configSchema, true),
  };
}

/** `emptyIsAbsent` as in `parseStrict`: a section with nothing behind it is right too. */
function write(file: string, title: string, schema: z.ZodType, emptyIsAbsent = false): string {
  const body = z.toJSONSchema(schema, {
    io: 'input',
    // What only the platform can check (a transform, a refinement) is left out rather than refused.
    unrepresentable: 'any',
    override({ jsonSchema }) {
      if (emptyIsAbsent && jsonSchema.type === 'object') jsonSchema.type = ['object', 'null'] as never;
    },
  });
  const { $schema, ...rest } = body;
  return `${JSON.stringify({ $schema, $id: file, title, ...rest }, null, 2)}\n`;
}
