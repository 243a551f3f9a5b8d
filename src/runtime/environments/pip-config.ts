/**
 * What the user has told pip about indexes and certificates, for uv, which reads none of pip's files.
 *
 * | pip | uv |
 * |---|---|
 * | index-url | UV_DEFAULT_INDEX |
 * | extra-index-url | UV_INDEX, with UV_INDEX_STRATEGY=unsafe-best-match, because pip takes the best of all of them |
 * | find-links | UV_FIND_LINKS |
 * | no-index | UV_NO_INDEX |
 * | cert | SSL_CERT_FILE |
 * | trusted-host | UV_INSECURE_HOST |
 *
 * What is set for uv already is left as it is.
 */
export function uvSettings(
  pip: Readonly<Record<string, readonly string[]>>,
  env: Readonly<Record<string, string>>,
): Record<string, string> {
  const settings: Record<string, string> = {};
  const give = (
    name: string,
    values: readonly string[] | undefined,
    separator: string,
    unless: readonly string[] = [],
  ) => {
    const isSet = [name, ...unless].some((other) => env[other]);
    if (values && values.length > 0 && !isSet) settings[name] = values.join(separator);
  };
  give('UV_DEFAULT_INDEX', pip['index-url']?.slice(0, 1), ' ', ['UV_INDEX_URL']);
  give('UV_INDEX', pip['extra-index-url'], ' ', ['UV_EXTRA_INDEX_URL']);
  if (settings['UV_INDEX']) give('UV_INDEX_STRATEGY', ['unsafe-best-match'], ' ');
  give('UV_FIND_LINKS', pip['find-links'], ',');
  give('UV_INSECURE_HOST', pip['trusted-host'], ' ');
  give('SSL_CERT_FILE', pip['cert']?.slice(0, 1), ' ');
  if (/^(1|true|yes|on)$/i.test(pip['no-index']?.[0] ?? '')) give('UV_NO_INDEX', ['1'], ' ');
  return settings;
}

/** The options of `PIP_*` variables, which is all there is when pip itself isn't installed. */
export function pipFromEnvironment(env: Readonly<Record<string, string>>): Record<string, string[]> {
  const found: Record<string, string[]> = {};
  for (const [name, value] of Object.entries(env)) {
    if (name.startsWith('PIP_')) found[name.slice(4).toLowerCase().replaceAll('_', '-')] = split(value);
  }
  return found;
}

/**
 * The output of `pip config list`: `global.index-url='https://...'` a line, of every level in no useful order. The
 * stronger level wins: the environment, then `install.`, then `global.`.
 */
export function parsePipConfig(lines: readonly string[]): Record<string, string[]> {
  const found = new Map<string, { readonly rank: number; readonly values: string[] }>();
  for (const line of lines) {
    const match = /^(:env:|install|global)\.([a-z-]+)=(['"])(.*)\3$/.exec(line.trim());
    if (!match) continue;
    const [, level = '', name = '', , value = ''] = match;
    const rank = level === ':env:' ? 2 : level === 'install' ? 1 : 0;
    if (rank >= (found.get(name)?.rank ?? 0)) found.set(name, { rank, values: split(value.replaceAll('\\n', ' ')) });
  }
  return Object.fromEntries([...found].map(([name, { values }]) => [name, values]));
}

const split = (value: string): string[] => value.split(/\s+/).filter((part) => part !== '');
