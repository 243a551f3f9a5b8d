import { parseArgs } from 'node:util';
import { nearest } from '#kernel/nearest';
import { arity, commonOptions } from './command.ts';
import type { Command, CommandTable, Option, Options } from './command.ts';
import { usageError } from './failure.ts';

/** Which command an argument list means, and what is left for it. */
export type Resolved =
  | { readonly kind: 'command'; readonly name: string; readonly rest: readonly string[] }
  /** A word that only groups commands, `models`. `asked` when its help was wanted, not when the rest was forgotten. */
  | { readonly kind: 'group'; readonly name: string; readonly asked: boolean };

const isHelp = (word: string | undefined): boolean => word === '--help' || word === '-h';

export function resolveCommand(argv: readonly string[], commands: CommandTable): Resolved {
  const [first, second] = argv;
  if (first === undefined || isHelp(first)) return { kind: 'command', name: 'help', rest: [] };
  if (first === '--version' || first === '-V') return { kind: 'command', name: 'version', rest: argv.slice(1) };
  if (first.startsWith('-')) throw usageError(`Options come after the command, as in \`sutaz ps ${first}\`.`);
  if (Object.hasOwn(commands, first)) return { kind: 'command', name: first, rest: argv.slice(1) };
  const inside = membersOf(first, commands);
  if (inside.length === 0) {
    const names = [...new Set(Object.keys(commands).flatMap((name) => [name, name.split(' ')[0] as string]))];
    throw usageError(`\`sutaz ${first}\` is not a command.${suggestion(first, names)} See \`sutaz help\`.`);
  }
  if (second === undefined || isHelp(second)) return { kind: 'group', name: first, asked: second !== undefined };
  const name = `${first} ${second}`;
  if (Object.hasOwn(commands, name)) return { kind: 'command', name, rest: argv.slice(2) };
  const found = suggestion(second, inside, `${first} `);
  throw usageError(`\`sutaz ${name}\` is not a command.${found} Known: ${inside.join(', ')}.`);
}

/** The second words of a group's commands. */
export const membersOf = (group: string, commands: CommandTable): string[] =>
  Object.keys(commands)
    .filter((name) => name.startsWith(`${group} `))
    .map((name) => name.slice(group.length + 1));

export interface ParsedArguments {
  readonly values: Readonly<Record<string, boolean | string | undefined>>;
  readonly positionals: readonly string[];
}

/** Reads a command's options and arguments. Anything that is not exactly right is a usage error that says what would be. */
export function parseCommand(name: string, command: Command, rest: readonly string[]): ParsedArguments {
  const options: Options = { ...command.options, ...commonOptions };
  const parse = (args: readonly string[]) => parseWords(args, options);
  const first = command.passesOn ? parse(rest).tokens.find(({ kind }) => kind === 'positional') : undefined;
  const own = first ? rest.slice(0, first.index + 1) : rest;
  const { values, positionals, tokens } = parse(own);
  for (const token of tokens) if (token.kind === 'option') checkOption(name, options, token);
  const help = values.help === true;
  const all = [...positionals, ...rest.slice(own.length)];
  if (!help) checkPositionals(name, command, all);
  return { values: values as ParsedArguments['values'], positionals: all };
}

const parseWords = (args: readonly string[], options: Options) =>
  parseArgs({
    args: [...args],
    // `parseArgs` takes no undefined for `short`, and knows nothing of our other fields.
    options: Object.fromEntries(
      Object.entries(options).map(([key, { type, short }]) => [key, short === undefined ? { type } : { type, short }]),
    ),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });

interface OptionToken {
  readonly name: string;
  readonly rawName: string;
  readonly value?: string | undefined;
  readonly inlineValue?: boolean | undefined;
}

function checkOption(command: string, options: Options, { name, rawName, value, inlineValue }: OptionToken): void {
  const option: Option | undefined = Object.hasOwn(options, name) ? options[name] : undefined;
  if (!option) {
    const known = Object.keys(options).filter((key) => options[key]?.help !== undefined);
    const found = rawName.startsWith('--') ? suggestion(name, known, '--') : '';
    throw usageError(`\`sutaz ${command}\` has no option ${rawName}.${found} See \`sutaz ${command} --help\`.`);
  }
  if (option.type === 'boolean' && value !== undefined) throw usageError(`${rawName} takes no value.`);
  // `--port --json`: the next option is not the value that was forgotten.
  const missing = value === undefined || value === '' || (!inlineValue && /^-./.test(value) && !/^-\d/.test(value));
  if (option.type === 'string' && missing) {
    throw usageError(`${rawName} needs a value: ${rawName} ${option.value ?? 'VALUE'}.`);
  }
}

function checkPositionals(name: string, command: Command, positionals: readonly string[]): void {
  const { min, max } = arity(command.arguments);
  const usage = `Usage: sutaz ${name}${command.arguments ? ` ${command.arguments}` : ''}`;
  if (positionals.length < min) {
    const words = command.arguments.split(' ').filter((word) => !word.startsWith('['));
    throw usageError(`\`sutaz ${name}\` needs ${words.slice(positionals.length).join(' and ')}. ${usage}`);
  }
  if (positionals.length > max) throw usageError(`Too many arguments: ${positionals.slice(max).join(' ')}. ${usage}`);
}

function suggestion(wrong: string, names: readonly string[], prefix = ''): string {
  const found = nearest(wrong, names).map((name) => prefix + name);
  return found.length === 0 ? '' : ` Did you mean ${found.join(', ')}?`;
}
