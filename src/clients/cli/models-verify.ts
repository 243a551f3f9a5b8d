import type { ApiVerified } from '#contracts/store-api';
import { defineCommand } from './command.ts';
import { exitCodes } from './failure.ts';
import { storeWork } from './models-work.ts';

export const modelsVerify = defineCommand({
  arguments: '[MODEL...]',
  about:
    "Reads the models' files again, all versions that are kept, and compares them with their digests. A broken one is marked\n" +
    'and left where it is; the next pull fetches it again, and only it. Exits with 1 when something is broken and stays so.',
  options: { repair: { type: 'boolean', help: 'Fetch what is broken again' } },
  examples: ['sutaz models verify', 'sutaz models verify smollm2:135m --repair'],
  async run({ repair = false }, models, context) {
    const result = await storeWork((client, calling) => client.verifyStore({ models, repair }, calling), context);
    const broken = result.files.filter(({ problem, repaired }) => problem !== null && !repaired);
    if (context.json) context.printJson(result);
    else context.out(result.files.length === 0 ? 'No model is here.\n' : result.files.map(verifiedLine).join(''));
    return broken.length > 0 ? exitCodes.failed : exitCodes.ok;
  },
});

function verifiedLine({ models, sha256, problem, repaired, repairFailed }: ApiVerified): string {
  const what = `${models.join(', ')} sha256:${sha256.slice(0, 12)}`;
  if (problem === null) return `${what} is whole\n`;
  if (repaired) return `${what} was damaged (${problem}) and was fetched again\n`;
  const failed = repairFailed === null ? '' : ` It could not be repaired: ${repairFailed}`;
  return `${what} is damaged: ${problem}.${failed}\n`;
}
