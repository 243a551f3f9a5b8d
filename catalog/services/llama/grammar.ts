import type { Shape } from './contract.ts';
import { apiError } from './errors.ts';
import type { Grammar, Llama } from './llama-cpp.ts';

/** @throws a 400 that names the schema where no grammar can be made of it: of a definition that is only itself, say. */
export async function grammarFor(llama: Llama, shape: Shape): Promise<Grammar | undefined> {
  if (shape.kind === 'text') return undefined;
  if (shape.kind === 'json') return llama.getGrammarFor('json');
  if (shape.kind === 'choice') return llama.createGrammar({ grammar: choiceGrammar(shape.options) });
  if (shape.kind === 'callOr') return callOr(llama, shape);
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
const oneOf = (options: readonly string[]): string => options.map((option) => JSON.stringify(option)).join(' | ');

const choiceGrammar = (options: readonly string[]): string => `root ::= ${oneOf(options)}`;

/**
 * The form's own rules, with one before them. What follows an opening is left free: the token that completes it may hold more,
 * and the generation ends there.
 */
async function callOr(llama: Llama, { openings, form }: Extract<Shape, { readonly kind: 'callOr' }>): Promise<Grammar> {
  const held = await grammarFor(llama, form);
  const grammar = `${held?.grammar ?? ''}\nanswer ::= (${oneOf(openings)}) .* | root\n`;
  return llama.createGrammar({ grammar, rootRuleName: 'answer' });
}
