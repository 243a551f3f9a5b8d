import { defineCommand } from './command.ts';

export const modelsView = defineCommand({
  arguments: 'KIND [MODEL...]',
  about:
    'Lays models out in the folder of another engine, by hard links to the files of the store: KIND is ollama, huggingface or\n' +
    'folder. All models that are here when none is named. Prints the folder, so that it can be handed on at once.',
  options: {},
  examples: [
    'OLLAMA_MODELS=$(sutaz models view ollama) ollama serve',
    'HF_HUB_OFFLINE=1 HF_HUB_CACHE=$(sutaz models view huggingface) python app.py',
    'sutaz models view folder smollm2:135m',
  ],
  async run(_values, [kind = '', ...models], context) {
    const client = await context.connect();
    const view = await client.makeView(kind, { models });
    if (context.json) return context.printJson(view);
    context.out(`${view.root}\n`);
    const named = view.models.map(({ id, path: file }) => `${id}: ${file}\n`).join('');
    // The folder alone goes to standard output, for $(...).
    if (context.errTty || models.length > 0) context.err(named);
    context.err(view.skipped.map(({ id, why }) => `passed over: ${id}: ${why}\n`).join(''));
  },
});
