import { resolve } from 'node:path';
import type { ApiImport, ApiImportAsk } from '#contracts/store-api';
import { formatBytes } from '#kernel/quantities';
import { defineCommand } from './command.ts';
import { exitCodes, usageError } from './failure.ts';
import { storeWork } from './models-work.ts';

export const modelsImport = defineCommand({
  arguments: '[PATH]',
  about:
    'Takes models that are on this machine already: of an Ollama store, a Hugging Face cache, a folder of GGUF files, or one\n' +
    'file. They are hard links: no space is taken twice, and the originals stay as they are. Each gets a definition in the\n' +
    "home's catalog/ and can be used at once. Done again, it changes nothing.",
  options: {
    ollama: { type: 'boolean', help: "Ollama's own store ($OLLAMA_MODELS, ~/.ollama/models)" },
    huggingface: { type: 'boolean', help: 'The cache of the Hugging Face hub ($HF_HOME, ~/.cache/huggingface)' },
    name: { type: 'string', value: 'NAME', help: 'What it is to be called, where one model is found' },
    copy: { type: 'boolean', help: 'Make a copy where no hard link can be made, as across file systems' },
  },
  examples: [
    'sutaz models import --ollama',
    'sutaz models import ~/models',
    'sutaz models import x.gguf --name mine:7b',
  ],
  async run({ ollama = false, huggingface = false, name, copy = false }, [path], context) {
    if ([ollama, huggingface, path !== undefined].filter(Boolean).length !== 1) {
      throw usageError('Say what to import: a PATH, --ollama or --huggingface. One of them.');
    }
    const place =
      path === undefined ? { from: ollama ? 'ollama' : 'huggingface' } : { path: resolve(context.cwd, path) };
    const ask = { ...place, copy, ...(name !== undefined && { name }) } as ApiImportAsk;
    const result = await storeWork((client, calling) => client.importModels(ask, calling), context);
    if (context.json) context.printJson(result);
    else context.out(importText(result));
    return result.imported.length === 0 ? exitCodes.failed : exitCodes.ok;
  },
});

const layouts: Readonly<Record<ApiImport['layout'], string>> = {
  ollama: 'an Ollama store',
  huggingface: 'a Hugging Face cache',
  folder: 'a folder',
  file: 'a file',
};

function importText({ root, layout, imported, skipped }: ApiImport): string {
  const found = imported.length + skipped.length;
  return [
    `${root} is ${layouts[layout]}; ${found === 0 ? 'no model was found there' : `${found} found`}.\n`,
    ...imported.map(
      ({ id, title, bytes, how }) =>
        `${id}: ${how === 'known' ? 'here already' : how}, ${formatBytes(bytes)} (${title})\n`,
    ),
    ...skipped.map(({ title, why }) => `not taken: ${title}: ${why}\n`),
  ].join('');
}
