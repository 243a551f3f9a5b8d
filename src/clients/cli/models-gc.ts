import type { ApiGarbage } from '#contracts/store-api';
import { formatBytes } from '#kernel/quantities';
import { defineCommand } from './command.ts';

/** Milliseconds: files of many GiB take a while to go. */
const patienceMs = 10 * 60_000;

export const modelsGc = defineCommand({
  arguments: '',
  about:
    'Removes the files of the model store that nothing needs: those no name has, and what was left half-made. Never what a\n' +
    'model keeps, an engine has open or a pull works on.',
  options: {
    'dry-run': { type: 'boolean', help: 'Only say what would go' },
    downloads: { type: 'boolean', help: 'Also what cut downloads left, which a pull could go on from' },
  },
  examples: ['sutaz models gc --dry-run'],
  async run({ 'dry-run': dryRun = false, downloads = false }, _words, context) {
    const client = await context.connect();
    const body = { dryRun, downloads };
    const result = await client.collectStore(body, { timeoutMs: patienceMs });
    if (context.json) return context.printJson(result);
    const line = (verb: string) => (one: ApiGarbage) => `${verb} ${one.path} (${formatBytes(one.bytes)}): ${one.why}\n`;
    context.out(result.removed.map(line(dryRun ? 'would remove' : 'removed')).join(''));
    context.out(result.kept.map(line('kept')).join(''));
    const freed = formatBytes(result.freed);
    context.out(
      result.removed.length === 0 ? 'Nothing to remove.\n' : `${freed} ${dryRun ? 'would be' : 'are'} free.\n`,
    );
  },
});
