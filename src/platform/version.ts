import { readFileSync } from 'node:fs';

/** The package's own version; the file stands two folders up from here in a checkout, three in the published package. */
export const version: string = (() => {
  for (const path of ['../../package.json', '../../../package.json']) {
    try {
      const { name, version: found } = JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')) as {
        name?: string;
        version?: string;
      };
      if (name === 'sutazai' && found) return found;
    } catch {
      // Not this one.
    }
  }
  return '0.0.0';
})();
