import { commonOptions, defineCommand } from './command.ts';
import type { Command, CommandTable, Options } from './command.ts';
import { exitCodes } from './failure.ts';
import { membersOf, resolveCommand } from './parse.ts';
import type { Resolved } from './parse.ts';

export const help = defineCommand({
  arguments: '[COMMAND...]',
  about: 'Shows the commands, or one of them with its options.',
  options: {},
  examples: ['sutaz help models pull', "sutaz help --json | jq -r '.commands[].name'"],
  async run(_values, words, { out, commands, json, printJson }) {
    const resolved = words.length === 0 ? null : resolveCommand(words, commands);
    if (json) return printJson(await factsOf(resolved, commands));
    if (!resolved) return out(renderOverview(commands));
    out(resolved.kind === 'group' ? renderGroup(resolved.name, commands) : await renderHelpOf(resolved.name, commands));
  },
});

/** For programs: the commands, those of a group, or one of them with its options. */
async function factsOf(resolved: Resolved | null, commands: CommandTable): Promise<unknown> {
  if (resolved?.kind === 'command') {
    const { arguments: words, about, options = {}, examples } = (await commands[resolved.name]?.load()) ?? {};
    const shown = Object.entries({ ...options, ...commonOptions }).filter(([, { help: text }]) => text !== undefined);
    return { name: resolved.name, arguments: words, about, options: Object.fromEntries(shown), examples };
  }
  const all = Object.entries(commands).map(([name, { summary }]) => ({ name, summary }));
  const inGroup = ({ name }: { readonly name: string }) => !resolved || name.startsWith(`${resolved.name} `);
  return { commands: all.filter(inGroup), exitCodes: Object.fromEntries(exitCodeTexts) };
}

export async function renderHelpOf(name: string, commands: CommandTable): Promise<string> {
  const entry = commands[name];
  if (!entry) throw new Error(`the command ${name} is not in the table`);
  return renderHelp(name, await entry.load());
}

/** The exit codes as the help and docs/cli.md say them. */
export const exitCodeTexts: readonly (readonly [number, string])[] = [
  [exitCodes.ok, 'done'],
  [exitCodes.failed, 'failed; the reason is on standard error'],
  [exitCodes.usage, 'wrong usage: an unknown command, option or value'],
  [exitCodes.notRunning, 'the platform is not running'],
  [exitCodes.conflict, 'conflict: it runs already, or the thing is in use'],
  [exitCodes.inTurns, '`plan` only: they do not fit together, but can take turns'],
  [exitCodes.interrupted, 'interrupted with Ctrl-C'],
  [124, '`run` only: it took longer than its limit'],
  [137, '`run` only: it weighed more than its limit'],
];

export function renderOverview(commands: CommandTable): string {
  const names = Object.keys(commands);
  return [
    'SutazAI runs AI services and models on one small machine.\n',
    'Usage: sutaz COMMAND [ARGUMENTS] [OPTIONS]\n',
    'Commands:',
    ...aligned(names.map((name) => [name, commands[name]?.summary ?? ''])),
    '\nEvery command has --help with an example, --json and --home DIR.\n',
    'Exit codes:',
    ...aligned(exitCodeTexts.map(([code, text]) => [String(code), text])),
    '',
  ].join('\n');
}

export function renderGroup(group: string, commands: CommandTable): string {
  const rows = membersOf(group, commands).map(
    (name) => [`${group} ${name}`, commands[`${group} ${name}`]?.summary ?? ''] as const,
  );
  return [`Usage: sutaz ${group} COMMAND\n`, 'Commands:', ...aligned(rows), ''].join('\n');
}

export function renderHelp(name: string, command: Command): string {
  const usage = ['Usage: sutaz', name, command.arguments, '[OPTIONS]'].filter(Boolean).join(' ');
  return [
    `${usage}\n`,
    `${command.about}\n`,
    'Options:',
    ...aligned(optionRows({ ...command.options, ...commonOptions })),
    `\nExample${command.examples.length > 1 ? 's' : ''}:`,
    ...command.examples.map((example) => `  ${example}`),
    '',
  ].join('\n');
}

const optionRows = (options: Options): (readonly [string, string])[] =>
  Object.entries(options).flatMap(([name, { short, value, help: text }]) => {
    if (text === undefined) return [];
    const long = `--${name}${value === undefined ? '' : ` ${value}`}`;
    return [[short === undefined ? `    ${long}` : `-${short}, ${long}`, text] as const];
  });

function aligned(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
}
