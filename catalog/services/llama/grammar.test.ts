import { describe, expect, it } from 'vitest';
import { parseChat } from './chat.ts';
import type { Shape } from './contract.ts';
import { grammarFor } from './grammar.ts';
import type { Json } from './json.ts';
import type { Grammar, Llama } from './llama-cpp.ts';

const unused = () => Promise.reject(new Error('not asked for'));
const llamaOf = (made: Partial<Llama>): Llama => ({
  gpu: false,
  loadModel: unused,
  createGrammarForJsonSchema: unused,
  createGrammar: unused,
  getGrammarFor: unused,
  getLlamaMemoryUsage: unused,
  dispose: unused,
  ...made,
});

const schema: Json = { type: 'object', properties: { a: { $ref: '#/$defs/A' } }, $defs: { A: { $ref: '#/$defs/A' } } };
const parsed = (extra: Record<string, Json>) =>
  parseChat({ model: 'm', messages: [{ role: 'user', content: 'hi' }], ...extra });

describe('the grammar of a shape', () => {
  it('is none for text, and one of the names for a choice', async () => {
    const llama = llamaOf({ createGrammar: ({ grammar }) => Promise.resolve({ grammar }) });
    expect(await grammarFor(llama, { kind: 'text' })).toBeUndefined();
    const choice = await grammarFor(llama, { kind: 'choice', options: ['a', 'b"'] });
    expect(choice).toEqual<Grammar>({ grammar: 'root ::= "a" | "b\\""' });
  });

  it('is the form or an opening of a call, whichever rules the form has', async () => {
    const made: object[] = [];
    const llama = llamaOf({
      getGrammarFor: () => Promise.resolve({ grammar: 'root ::= object' }),
      createGrammar: (options) => {
        made.push(options);
        return Promise.resolve(options);
      },
    });
    await grammarFor(llama, { kind: 'callOr', openings: ['<call>', '{"name": "f'], form: { kind: 'json' } });
    const grammar = 'root ::= object\nanswer ::= ("<call>" | "{\\"name\\": \\"f") .* | root\n';
    expect(made).toEqual([{ grammar, rootRuleName: 'answer' }]);
  });

  it('regression: that of a tool which cannot be made was blamed on response_format', async () => {
    const llama = llamaOf({ createGrammarForJsonSchema: () => Promise.reject(new Error('Failed to parse grammar')) });
    const blamed = (shape: Shape) => grammarFor(llama, shape).catch((error: unknown) => (error as { api: object }).api);
    const { params } = parsed({ tools: [{ type: 'function', function: { name: 'f', parameters: schema } }] });
    const [tool] = params.tools ?? [];
    const ofTool: Shape = { kind: 'schema', schema: tool?.grammar ?? {}, param: tool?.param ?? '' };
    expect(await blamed(ofTool)).toMatchObject({
      status: 400,
      body: { error: { param: 'tools[0].function.parameters', code: 'unsupported_schema' } },
    });
    const { shape } = parsed({ response_format: { type: 'json_schema', json_schema: { name: 'n', schema } } });
    expect(await blamed(shape)).toMatchObject({
      status: 400,
      body: { error: { param: 'response_format.json_schema.schema', code: 'unsupported_schema' } },
    });
  });
});
