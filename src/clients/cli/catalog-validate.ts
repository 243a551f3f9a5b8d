import { resolve } from 'node:path';
import { problemLine } from './catalog.ts';
import { defineCommand } from './command.ts';
import { exitCodes } from './failure.ts';

export const catalogValidate = defineCommand({
  arguments: '[FILE...]',
  about:
    'Checks definitions without a platform: each against the schema and against the rest of the catalogue. Without files\n' +
    'it checks everything, the definitions of this home included.',
  options: {},
  examples: ['sutaz catalog validate my-service.yaml', 'sutaz catalog validate'],
  async run(_values, files, context) {
    const report = await context.composition.validateCatalog({
      catalog: context.home.catalog,
      files: files.map((file) => resolve(context.cwd, file)),
    });
    const { checked, problems } = report;
    const ok = problems.length === 0;
    const definitions = `${checked} definition${checked === 1 ? '' : 's'}`;
    if (context.json) context.printJson({ ok, ...report });
    else if (ok) context.out(`${definitions} checked, nothing is wrong.\n`);
    else {
      context.out(problems.map(problemLine).join(''));
      context.err(`${definitions} checked, ${problems.length} problem${problems.length === 1 ? '' : 's'}.\n`);
    }
    return ok ? exitCodes.ok : exitCodes.failed;
  },
});
