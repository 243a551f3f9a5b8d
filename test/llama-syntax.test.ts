import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { callSyntax } from '../catalog/services/llama/call-syntax.ts';
import type { Llama, Model, NodeLlamaCpp } from '../catalog/services/llama/llama-cpp.ts';
import { missing, model as path } from './_llama-host.ts';

/** How models of the Qwen and Hermes families write calls, cut to what matters here. */
const hermes = `
{%- if tools %}{{- '<|im_start|>system\\n# Tools\\n' }}{%- for tool in tools %}{{- tool | tojson }}{%- endfor %}
{{- '\\nAnswer with <tool_call>\\n{"name": <name>, "arguments": <object>}\\n</tool_call><|im_end|>\\n' }}{%- endif %}
{%- for message in messages %}
{%- if message.role == "user" or message.role == "system" %}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- elif message.role == "assistant" %}{{- '<|im_start|>assistant\\n' + (message.content or '') }}
{%- for call in message.tool_calls or [] %}{%- if not loop.first %}{{- '\\n' }}{%- endif %}
{{- '<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}{{- call.function.arguments | tojson }}
{{- '}\\n</tool_call>' }}{%- endfor %}{{- '<|im_end|>\\n' }}
{%- elif message.role == "tool" %}{{- '<|im_start|>user\\n<tool_response>\\n' + message.content + '\\n</tool_response><|im_end|>\\n' }}
{%- endif %}{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}`;

describe.skipIf(missing.length > 0)('calls of tools in a template of their own', () => {
  let library: NodeLlamaCpp;
  let llama: Llama;
  let model: Model;
  beforeAll(async () => {
    const resolve = createRequire(join(process.env['SUTAZ_TEST_LLAMA_ENV'] ?? '', 'package.json')).resolve;
    library = (await import(pathToFileURL(resolve('node-llama-cpp')).href)) as NodeLlamaCpp;
    const quiet = { logLevel: 'warn', logger: () => undefined, progressLogs: false } as const;
    llama = await library.getLlama({ gpu: false, build: 'never', skipDownload: true, maxThreads: 1, ...quiet });
    const plain = { gpuLayers: 0, useMmap: true, useMlock: false, useDirectIo: false, lazyMode: false } as const;
    model = await llama.loadModel({
      ...{ ...plain, modelPath: path ?? '', checkTensors: false, ignoreMemorySafetyChecks: true },
      onLoadProgress: () => undefined,
    });
  });
  afterAll(async () => {
    await model.dispose();
    await llama.dispose();
  });

  it('are begun, named and closed as the template writes them in a conversation', () => {
    const wrapper = new library.JinjaTemplateChatWrapper({ template: hermes, tokenizer: model.tokenizer });
    const syntax = callSyntax(library, model, wrapper);
    expect(syntax.marker).toBe('<tool_call>');
    const textOf = (tokens: readonly number[]) => model.detokenize(tokens, true);
    const call = { name: 'weather', json: '{"city": "Rome"}' };
    expect(textOf(syntax.tokens({ text: 'Well. ', calls: [], open: '' }))).toBe('Well. <tool_call>\n{"name": "');
    expect(textOf(syntax.tokens({ text: '', calls: [call], open: 'time' }))).toBe(
      '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call>\n' +
        '<tool_call>\n{"name": "time", "arguments": ',
    );
    const told = wrapper.generateContextState({
      chatHistory: [
        { type: 'user', text: 'Weather?' },
        {
          type: 'model',
          response: [
            { type: 'functionCall', name: 'weather', params: { city: 'Rome' }, result: 'Sunny', startsNewChunk: true },
            '',
          ],
        },
      ],
      availableFunctions: { weather: { params: { type: 'object' } } },
    });
    // What was generated is what the next turn begins with: so it is found in the cache.
    expect(told.contextText.toString()).toContain(textOf(syntax.tokens({ text: '', calls: [call] })));
  });

  it('are written in the library’s form where the template knows none', () => {
    const template = model.fileInfo.metadata.tokenizer?.chat_template ?? '';
    const wrapper = new library.JinjaTemplateChatWrapper({ template, tokenizer: model.tokenizer });
    const syntax = callSyntax(library, model, wrapper);
    expect(syntax.marker).toBe('||call:');
    const tokens = syntax.tokens({ text: '', calls: [{ name: 'f', json: '{}' }] });
    expect(model.detokenize(tokens, true)).toBe('||call: f({})');
  });
});
