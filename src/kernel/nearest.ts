/** The Damerau-Levenshtein distance (optimal string alignment) between two short names. */
export function distance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  const at = (i: number, j: number): number => rows[i]?.[j] ?? 0;
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    rows.push(row);
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let best = Math.min(at(i - 1, j) + 1, (row[j - 1] ?? 0) + 1, at(i - 1, j - 1) + cost);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) best = Math.min(best, at(i - 2, j - 2) + 1);
      row.push(best);
    }
  }
  return at(a.length, b.length);
}

/**
 * The names nearest to a mistyped one, best first, at most `limit`. A name counts when a third of it or less is wrong,
 * (one letter in any case), or when one contains the other (`smollm` for `smollm2:135m`).
 */
export function nearest(wrong: string, names: Iterable<string>, limit = 3): string[] {
  const asked = wrong.toLowerCase();
  const ranked: { name: string; score: number }[] = [];
  for (const name of names) {
    const candidate = name.toLowerCase();
    const longer = Math.max(asked.length, candidate.length);
    const shorter = Math.min(asked.length, candidate.length);
    const allowed = Math.min(longer - 1, Math.max(1, Math.floor(longer / 3)));
    if (shorter >= 3 && asked !== candidate && (candidate.includes(asked) || asked.includes(candidate))) {
      ranked.push({ name, score: 0.5 });
    } else if (longer - shorter <= allowed) {
      // Names of requests come here too: the lengths are compared first, so that a huge one costs nothing.
      const score = distance(asked, candidate);
      if (score <= allowed) ranked.push({ name, score });
    }
  }
  return ranked
    .sort((a, b) => a.score - b.score || a.name.localeCompare(b.name))
    .slice(0, limit)
    .map(({ name }) => name);
}

/** ` Did you mean a, b?` or an empty string: the end of a sentence about an unknown name. */
export function didYouMean(wrong: string, names: Iterable<string>): string {
  const found = nearest(wrong, names);
  return found.length === 0 ? '' : ` Did you mean ${found.join(', ')}?`;
}
