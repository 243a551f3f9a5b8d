import { describe, expect, it } from 'vitest';
import { chat, start } from './http.fake.ts';

describe('several answers, and calls', () => {
  it('gives several answers, each with a seed of its own, the prompt counted once', async () => {
    const running = await start();
    const answer = chat(running, { n: 3, seed: 0xffff_ffff });
    const seeds: number[] = [];
    for (const text of ['a', 'b', 'c']) {
      const run = await running.engine.nextRun();
      seeds.push(run.sampling.seed);
      run.token(text);
      run.end();
    }
    const body = (await (await answer).json()) as { choices: object[]; usage: object };
    expect(seeds).toEqual([0xffff_ffff, 0, 1]);
    expect(body.choices).toMatchObject([
      { index: 0, message: { content: 'a' } },
      { index: 1, message: { content: 'b' } },
      { index: 2, message: { content: 'c' } },
    ]);
    expect(body.usage).toMatchObject({ prompt_tokens: 11, completion_tokens: 3 });
  });

  it('tells how likely its text was, whole and streamed, and nothing of a stop string', async () => {
    const running = await start();
    const one = (text: string) => ({ text, logprob: -0.5, top: [{ text: 'é', logprob: -0.1 }] });
    const said = async (extra: object) => {
      const answer = chat(running, { logprobs: true, top_logprobs: 1, stop: 'END', ...extra });
      const run = await running.engine.nextRun();
      expect(run.sampling).toMatchObject({ topK: 0, minP: 0 });
      for (const text of ['a', 'E', 'b', 'EN', 'D']) run.token(text, one(text));
      return answer;
    };
    interface Body {
      readonly choices: readonly {
        readonly logprobs: { readonly content: readonly { readonly token: string }[] } | null;
      }[];
    }
    const { choices } = (await (await said({})).json()) as Body;
    expect(choices[0]?.logprobs?.content.map(({ token }) => token)).toEqual(['a', 'E', 'b']);
    expect(choices[0]?.logprobs).toMatchObject({
      content: [{ logprob: -0.5, bytes: [97], top_logprobs: [{ token: 'é', bytes: [0xc3, 0xa9] }] }, {}, {}],
      refusal: null,
    });
    const events = (await (await said({ stream: true })).text())
      .split('\n\n')
      .filter((event) => event.startsWith('data: {'));
    const streamed = events.flatMap(
      (event) => (JSON.parse(event.slice(6)) as Body).choices[0]?.logprobs?.content ?? [],
    );
    expect(streamed.map(({ token }) => token)).toEqual(['a', 'E', 'b']);
  });

  it('says which stop string ended it, as long as it was the client’s', async () => {
    const running = await start();
    const reasonOf = async (...tokens: string[]) => {
      const answer = chat(running, { stop: ['END', 'x'] });
      const run = await running.engine.nextRun();
      for (const token of tokens) run.token(token);
      run.end();
      return ((await (await answer).json()) as { choices: { stop_reason?: string }[] }).choices[0]?.stop_reason;
    };
    expect(await reasonOf('a E', 'ND')).toBe('END');
    expect(await reasonOf('a <end>')).toBeUndefined();
    expect(await reasonOf('a')).toBeUndefined();
  });

  it('ends all answers of a stream when one fails', async () => {
    const running = await start();
    const response = chat(running, { n: 2, stream: true });
    const first = await running.engine.nextRun();
    const second = await running.engine.nextRun();
    first.token('a');
    second.fail(new Error('broken'));
    await expect((await response).text()).rejects.toThrow();
    expect(first.signal.aborted).toBe(true);
    await expect.poll(running.engine.finished).toBe(2);
  });

  it('calls a tool, whole and streamed, with the same ids in every piece', async () => {
    const running = await start({ contextTokens: 300 });
    const parameters = { type: 'object', properties: { city: { type: 'string' } } };
    const tools = [{ type: 'function', function: { name: 'weather', parameters } }];
    const forced = { tools, tool_choice: 'required', parallel_tool_calls: false };
    const said = async (extra: object) => {
      const answer = chat(running, { ...forced, ...extra });
      const run = await running.engine.nextRun();
      run.token('{"city":');
      run.token('"Rome"}');
      return answer;
    };
    expect(await (await said({})).json()).toMatchObject({
      choices: [
        {
          message: {
            content: null,
            tool_calls: [
              {
                id: 'call_id1_0_0',
                type: 'function',
                function: { name: 'weather', arguments: '{"city":"Rome"}' },
              },
            ],
          },
          finish_reason: 'tool_calls',
        },
      ],
    });
    const events = (await (await said({ stream: true })).text())
      .split('\n\n')
      .filter((event) => event.startsWith('data: {'));
    const deltas = events.map(
      (event) => (JSON.parse(event.slice(6)) as { choices: { delta: object; finish_reason: unknown }[] }).choices[0],
    );
    expect(deltas).toMatchObject([
      { delta: { role: 'assistant' } },
      { delta: { tool_calls: [{ index: 0, id: 'call_id2_0_0', function: { name: 'weather', arguments: '' } }] } },
      { delta: { tool_calls: [{ index: 0, function: { arguments: '{"city":' } }] } },
      { delta: { tool_calls: [{ index: 0, function: { arguments: '"Rome"}' } }] } },
      { delta: {}, finish_reason: 'tool_calls' },
    ]);
  });
});
