/** Edits (insert, drop, replace, swap two neighbours) between two words: the optimal string alignment distance. */
function distance(from: string, to: string): number {
  let older: number[] = [];
  let row = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let line = 1; line <= from.length; line++) {
    const next = [line];
    for (let column = 1; column <= to.length; column++) {
      const same = from[line - 1] === to[column - 1] ? 0 : 1;
      let least = Math.min((row[column] ?? 0) + 1, (next[column - 1] ?? 0) + 1, (row[column - 1] ?? 0) + same);
      const swapped = from[line - 1] === to[column - 2] && from[line - 2] === to[column - 1];
      if (line > 1 && column > 1 && swapped) least = Math.min(least, (older[column - 2] ?? 0) + 1);
      next.push(least);
    }
    older = row;
    row = next;
  }
  return row[to.length] ?? 0;
}

/** The known name that `word` was probably meant to be, or undefined where none is near: a wild guess misleads. */
export function nearest(word: string, names: readonly string[]): string | undefined {
  // The word comes from outside: an overlong one isn't worth the square of its length.
  if (word.length > 64) return undefined;
  const lower = word.toLowerCase();
  const ranked = names
    .map((name) => ({ name, edits: distance(lower, name.toLowerCase()) }))
    .filter(({ name, edits }) => edits <= Math.max(1, Math.floor(name.length / 3)))
    .sort((a, b) => a.edits - b.edits);
  return ranked[0]?.name;
}
