export interface FolderNamed {
  /** As it was written; null when none was. */
  readonly folder: string | null;
  /** What is left for the tool. */
  readonly args: readonly string[];
}

/** Takes the option by which people name a folder out of a tool's arguments. Behind `--` everything is the tool's own. */
export function takeFolder(args: readonly string[], option: string | undefined): FolderNamed {
  const end = args.indexOf('--');
  const own = end < 0 ? args : args.slice(0, end);
  const at = option === undefined ? -1 : own.findIndex((one) => one === option || one.startsWith(`${option}=`));
  const found = own[at];
  if (found === undefined || option === undefined) return { folder: null, args };
  if (found !== option) return { folder: found.slice(option.length + 1), args: args.toSpliced(at, 1) };
  const folder = own[at + 1];
  // Without its value it is the tool's to complain about.
  return folder === undefined ? { folder: null, args } : { folder, args: args.toSpliced(at, 2) };
}
