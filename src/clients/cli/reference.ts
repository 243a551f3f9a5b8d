import type { CommandTable } from './command.ts';
import { exitCodeTexts, renderHelpOf } from './help.ts';

/** What stands around the generated part of docs/cli.md. */
export const referenceMarks = { begin: '<!-- commands: begin -->', end: '<!-- commands: end -->' } as const;

/** The part of docs/cli.md that follows from the table of commands: each one's own help, and the exit codes. */
export async function renderReference(commands: CommandTable): Promise<string> {
  const codes = exitCodeTexts.map(([code, text]) => `| ${code} | ${text} |\n`).join('');
  const sections: string[] = [];
  for (const name of Object.keys(commands)) {
    sections.push(`### ${name}\n\n\`\`\`text\n${await renderHelpOf(name, commands)}\`\`\`\n`);
  }
  return `\n## Exit codes\n\n| code | meaning |\n|---|---|\n${codes}\n## Commands\n\n${sections.join('\n')}\n`;
}

/** The document with its generated part replaced; null when the marks are missing. */
export function withReference(document: string, reference: string): string | null {
  const begin = document.indexOf(referenceMarks.begin);
  const end = document.indexOf(referenceMarks.end);
  if (begin < 0 || end < begin) return null;
  return document.slice(0, begin + referenceMarks.begin.length) + `\n${reference}` + document.slice(end);
}
