import type { Context } from './context.ts';

export interface Option {
  readonly type: 'boolean' | 'string';
  readonly short?: string;
  /** What stands for the value in the help: `SIZE`. */
  readonly value?: string;
  /** Left out, the option is not shown: it is for the CLI itself. */
  readonly help?: string;
}

export type Options = Readonly<Record<string, Option>>;

/** What was given for each option; an option that was not given is undefined. */
export type Values<O extends Options> = {
  readonly [K in keyof O]:
    (O[K]['type'] extends 'boolean' ? boolean : O[K]['type'] extends 'string' ? string : boolean | string) | undefined;
};

export interface Command<O extends Options = Options> {
  /** As the usage line shows them: `NAME`, `[FILE...]`, nothing. How many may be given follows from it. */
  readonly arguments: string;
  /** What it does, for its help: a few sentences. */
  readonly about: string;
  readonly options: O;
  /** What stands behind its first argument is not its own: it is handed on as it is. */
  readonly passesOn?: true;
  readonly examples: readonly [string, ...string[]];
  // A method, so that a command with its own options is still a Command.
  run(values: Values<O>, positionals: readonly string[], context: Context): Promise<number | void>;
}

export interface CommandEntry {
  /** One line of the list of commands. */
  readonly summary: string;
  /** Imported when it is the one that was asked for: starting costs what one command costs. */
  load(): Promise<Command>;
}

/** By name; two words are a command of a group. */
export type CommandTable = Readonly<Record<string, CommandEntry>>;

export const defineCommand = <const O extends Options>(command: Command<O>): Command<O> => command;

/** Every command has these; the CLI itself looks after them. */
export const commonOptions = {
  home: {
    type: 'string',
    value: 'DIR',
    help: 'The home folder (otherwise $SUTAZ_HOME, or the data folder of this user)',
  },
  json: { type: 'boolean', help: 'Print JSON, for programs' },
  help: { type: 'boolean', short: 'h', help: 'Show this help' },
} as const satisfies Options;

/** How many positionals a usage such as `NAME [FILE...]` allows. */
export function arity(usage: string): { readonly min: number; readonly max: number } {
  const words = usage.split(' ').filter(Boolean);
  return {
    min: words.filter((word) => !word.startsWith('[')).length,
    max: words.some((word) => word.includes('...')) ? Infinity : words.length,
  };
}
