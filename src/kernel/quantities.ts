const binary: ReadonlyMap<string, number> = new Map(
  Object.entries({
    b: 1,
    k: 2 ** 10,
    kib: 2 ** 10,
    m: 2 ** 20,
    mib: 2 ** 20,
    g: 2 ** 30,
    gib: 2 ** 30,
    t: 2 ** 40,
    tib: 2 ** 40,
    kb: 1e3,
    mb: 1e6,
    gb: 1e9,
    tb: 1e12,
  }),
);
const millis: ReadonlyMap<string, number> = new Map(
  Object.entries({ ms: 1, s: 1e3, m: 60e3, h: 3_600e3, d: 86_400e3 }),
);

/** Past what a number holds exactly, a quantity is a mistake rather than a size. */
const exact = (value: number): number | null => (Number.isSafeInteger(value) ? value : null);

/** Bytes of `256MiB`, `4g`, `1.5GB` (IEC units are powers of 1024, SI units of 1000; a bare letter is IEC). Null when it is neither. */
export function parseBytes(text: string): number | null {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*$/.exec(text);
  const unit = match && binary.get((match[2] || 'b').toLowerCase());
  return unit ? exact(Math.round(Number(match[1]) * unit)) : null;
}

/** Milliseconds of `500ms`, `30s`, `10m`, `2h`, `1d`. Null when it is none of them. */
export function parseDuration(text: string): number | null {
  const match = /^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*$/.exec(text);
  const unit = match && millis.get(match[2] as string);
  return unit ? exact(Math.round(Number(match[1]) * unit)) : null;
}

/** Three digits that matter, without zeros that say nothing: `1.5`, `340`, `12`. */
const short = (value: number): string => {
  const size = Math.abs(value);
  return String(Number(value.toFixed(size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2)));
};

const byteUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** Bytes as people read them, in IEC units: `1.5 GiB`. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  // What would be rounded up to 1024 of one unit is 1 of the next.
  while (Math.abs(value) >= 1023.5 && unit < byteUnits.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? Math.round(value) : short(value)} ${byteUnits[unit]}`;
}

/** Milliseconds as people read them: `340 ms`, `1.2 s`, `12 s`, `3 min`, `2.5 h`. */
export function formatDuration(ms: number): string {
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 59_500) return `${Number((ms / 1_000).toFixed(ms < 9_950 ? 1 : 0))} s`;
  if (ms < 3_570_000) return `${Math.round(ms / 60_000)} min`;
  return `${Number((ms / 3_600_000).toFixed(1))} h`;
}
