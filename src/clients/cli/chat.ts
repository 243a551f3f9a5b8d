import type { ApiProgress } from '#contracts/api';
import type { Client } from '../http.ts';
import { ask } from './chat-answer.ts';
import type { Answer, Message } from './chat-answer.ts';
import { defineCommand } from './command.ts';
import type { Context } from './context.ts';
import { describeError, systemCodeInside, usageError } from './failure.ts';
import { formatWake, progressLine } from './progress.ts';
import { painter, printable } from './style.ts';

/** What the platform takes for the model that its configuration names as the default one. */
const defaultModel = 'default';

export const chat = defineCommand({
  arguments: '[PROMPT...]',
  about:
    'Asks a model and prints its answer as it comes; a model that sleeps is woken first. The word - stands for the\n' +
    'standard input, which is also read when there is no prompt. On a terminal without a prompt it is a conversation.\n' +
    'Ctrl-C ends the answer, and the work for it.',
  options: {
    model: {
      type: 'string',
      short: 'm',
      value: 'MODEL',
      help: 'Which model (otherwise $SUTAZ_MODEL, or the default one)',
    },
    system: { type: 'string', value: 'TEXT', help: 'What the model is told before' },
  },
  examples: [
    'sutaz chat "Name three uses of a paperclip."',
    'sutaz chat -m qwen3:0.6b "Summarise this:" - < notes.txt',
    'sutaz chat --json "Say hello." | jq -r .text',
  ],
  async run(values, words, context) {
    const model = values.model ?? (context.env.SUTAZ_MODEL || defaultModel);
    const system: Message[] = values.system === undefined ? [] : [{ role: 'system', content: values.system }];
    if (words.length === 0 && context.inTty) {
      if (context.json) throw usageError('`sutaz chat --json` needs a prompt, or one on its standard input.');
      return converse(context, await context.connect(), model, system);
    }
    const content = await readPrompt(words, context);
    const client = await context.connect();
    const answer = await answerTo(context, client, model, [...system, { role: 'user', content }]);
    if (context.json) context.printJson({ text: answer.text, usage: answer.usage, model: answer.model });
  },
});

async function readPrompt(words: readonly string[], { readInput }: Context): Promise<string> {
  const given = words.length === 0 ? ['-'] : words;
  const input = given.includes('-') ? (await readInput()).trim() : '';
  const prompt = given
    .map((word) => (word === '-' ? `\n${input}\n` : word))
    .join(' ')
    .trim();
  if (prompt === '') throw usageError('The prompt is empty. Usage: sutaz chat [PROMPT...]');
  return prompt;
}

/** Streams one answer: the wake to stderr, the text to stdout, unless it is to be JSON. `seen` is told each piece. */
async function answerTo(
  context: Context,
  client: Client,
  model: string,
  messages: readonly Message[],
  seen: (text: string) => void = () => undefined,
): Promise<Answer> {
  const { clock, out, err, json, outTty, drained } = context;
  const line = progressLine(context, clock);
  let last = '';
  const onText = async (text: string) => {
    line.clear();
    last = text;
    seen(text);
    if (json) return;
    out(outTty ? printable(text) : text);
    await drained();
  };
  try {
    const onWake = (progress: ApiProgress) => line.show(formatWake(model, progress), progress.phase);
    const answer = await ask(client, { model, messages }, { onWake, onText }, context.interrupt());
    if (answer.finish === 'length') err('\n(cut off: it reached the limit of tokens)');
    return answer;
  } finally {
    line.clear();
    if (!json && last !== '' && !last.endsWith('\n')) out('\n');
  }
}

/** A conversation on the terminal. Ctrl-C ends an answer; at the prompt it ends the conversation, as Ctrl-D does. */
async function converse(context: Context, client: Client, model: string, system: readonly Message[]): Promise<void> {
  const { err } = context;
  const paint = painter(context.errTty, context.env);
  err(
    paint(
      'dim',
      `Talking to ${model === defaultModel ? 'the default model' : model}. /reset forgets what was said, /exit or Ctrl-D ends.`,
    ) + '\n',
  );
  const next = context.prompt('> ');
  let said: Message[] = [];
  for (let text = await next(); text !== null; text = await next()) {
    const content = text.trim();
    if (content === '/exit' || content === '/quit') return;
    if (content === '/reset') said = [];
    if (content === '' || content === '/reset') continue;
    const asked: Message[] = [...said, { role: 'user', content }];
    let heard = '';
    try {
      await answerTo(context, client, model, [...system, ...asked], (part) => (heard += part));
    } catch (error) {
      if (systemCodeInside(error) === 'ECONNREFUSED') throw error;
      err(`${paint('red', describeError(error) ?? '(interrupted)')}\n`);
    }
    // A question that got no word of an answer is as if never asked; half an answer was read, and stays.
    if (heard !== '') said = [...asked, { role: 'assistant', content: heard }];
  }
  err('\n');
}
