import type { Shape } from './contract.ts';
import { apiError } from './errors.ts';
import type { Grammar, Llama } from './llama-cpp.ts';

/** @throws a 400 that names the schema where no grammar can be made of it: of a definition that is only itself, say. */
export async function grammarFor(llama: Llama, shape: Shape): Promise<Grammar | undefined> {
  if (shape.kind === 'text') return undefined;
  if (shape.kind === 'json') return llama.getGrammarFor('json');
  if (shape.kind === 'choice') return llama.createGrammar({ grammar: choiceGrammar(shape.options) });
  try {
    return await llama.createGrammarForJsonSchema(shape.schema);
  } catch (error) {
    const { param } = shape;
    const why = error instanceof Error ? error.message : 'no reason given';
    const message = `Invalid schema: no grammar can be made of '${param}': ${why}`;
    throw apiError(400, message, { param, code: 'unsupported_schema' });
  }
}

/** JSON's quotes and escapes are GBNF's too. */
const choiceGrammar = (options: readonly string[]): string =>
  `root ::= ${options.map((option) => JSON.stringify(option)).join(' | ')}`;
