import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import Anthropic from '@anthropic-ai/sdk';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startPlatform } from './_platform.ts';
import type { TestPlatform } from './_platform.ts';

/** One pixel. */
const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=';
const shown = { type: 'image_url', image_url: { url: `data:image/png;base64,${png}` } };
const words = { type: 'text', text: 'What is it?' };

interface Asked {
  readonly messages: readonly { readonly content: unknown }[];
  readonly stream?: boolean;
}

/** A server elsewhere, of which only what it is asked matters: no model that sees is small enough to come with a test. */
const asked: Asked[] = [];
const server: Server = createServer((req, res) => {
  let text = '';
  req.on('data', (chunk: Buffer) => (text += chunk.toString()));
  req.on('end', () => {
    if (req.method === 'GET') return void res.end(JSON.stringify({ data: [{ id: 'eyes' }] }));
    const body = JSON.parse(text) as Asked;
    asked.push(body);
    const usage = { prompt_tokens: 9, completion_tokens: 2 };
    const whole = {
      choices: [{ index: 0, message: { role: 'assistant', content: 'A dot.' }, finish_reason: 'stop' }],
      usage,
    };
    const chunk = { choices: [{ index: 0, delta: { content: 'A dot.' }, finish_reason: 'stop' }], usage };
    res.writeHead(200, { 'content-type': body.stream ? 'text/event-stream' : 'application/json' });
    res.end(body.stream ? `data: ${JSON.stringify(chunk)}\n\ndata: [DONE]\n\n` : JSON.stringify(whole));
  });
});

let platform: TestPlatform;
beforeAll(async () => {
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const definition = (id: string, kinds: string) =>
    `id: ${id}\nname: ${id}\nsummary: Elsewhere\nengine: upstream\nkinds: [${kinds}]\n` +
    `remote: { url: '${url}', model: eyes }\nsize: 1MiB\n`;
  platform = await startPlatform({
    catalog: {
      'models/eyes.yaml': definition('eyes', 'chat, vision'),
      'models/blind.yaml': definition('blind', 'chat'),
    },
  });
});
afterAll(async () => {
  await platform.stop();
  server.closeAllConnections();
  await new Promise((closed) => server.close(closed));
});

const headers = () => ({ authorization: `Bearer ${platform.key}` });
const clients = {
  async openai(model: string) {
    const client = new OpenAI({ baseURL: `${platform.url}/v1`, apiKey: platform.key, maxRetries: 0 });
    const content = [shown, words] as OpenAI.ChatCompletionContentPart[];
    const answer = await client.chat.completions.create({ model, messages: [{ role: 'user', content }] });
    return answer.choices[0]?.message.content;
  },
  async 'openai, responses'(model: string) {
    const client = new OpenAI({ baseURL: `${platform.url}/v1`, apiKey: platform.key, maxRetries: 0 });
    const image = { type: 'input_image' as const, image_url: shown.image_url.url, detail: 'auto' as const };
    const content = [image, { type: 'input_text' as const, text: words.text }];
    return (await client.responses.create({ model, input: [{ role: 'user', content }] })).output_text;
  },
  async anthropic(model: string) {
    const client = new Anthropic({ baseURL: platform.url, apiKey: platform.key, maxRetries: 0 });
    const image = {
      type: 'image' as const,
      source: { type: 'base64' as const, media_type: 'image/png' as const, data: png },
    };
    const content = [image, { type: 'text' as const, text: words.text }];
    const [said] = (await client.messages.create({ model, max_tokens: 9, messages: [{ role: 'user', content }] }))
      .content;
    return said?.type === 'text' ? said.text : '';
  },
  async 'ollama, chat'(model: string) {
    const client = new Ollama({ host: platform.url, headers: headers() });
    // The client encodes bytes by itself.
    const images = [Buffer.from(png, 'base64')];
    return (await client.chat({ model, messages: [{ role: 'user', content: words.text, images }] })).message.content;
  },
  async 'ollama, generate'(model: string) {
    const client = new Ollama({ host: platform.url, headers: headers() });
    return (await client.generate({ model, prompt: words.text, images: [png] })).response;
  },
};

describe.each(Object.entries(clients))('an image by the client of %s', (name, see) => {
  it('reaches a model elsewhere that sees', async () => {
    asked.length = 0;
    expect(await see('eyes')).toBe('A dot.');
    const image =
      name === 'openai, responses' ? { ...shown, image_url: { ...shown.image_url, detail: 'auto' } } : shown;
    expect(asked[0]?.messages.at(-1)?.content).toEqual([image, words]);
  });

  it('is refused for one that does not, which sleeps on', async () => {
    asked.length = 0;
    await expect(see('blind')).rejects.toThrow('is an image, and blind takes only text');
    expect([asked.length, (await platform.unit('blind')).state]).toEqual([0, 'cold']);
  });
});

it('a model that sees is told of as one', async () => {
  const { data } = (await (await platform.fetch('/v1/models')).json()) as {
    data: readonly { readonly id: string; readonly capabilities?: readonly string[] }[];
  };
  const can = (id: string) => data.find((one) => one.id === id)?.capabilities;
  expect(can('eyes')).toEqual(['completion', 'tools', 'vision']);
  expect(can('blind')).toEqual(['completion', 'tools']);
  const client = new Ollama({ host: platform.url, headers: headers() });
  expect((await client.show({ model: 'eyes' })).capabilities).toContain('vision');
});
