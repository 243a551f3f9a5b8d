let due: (() => void)[] = [];

/**
 * Does it when what has come in during this turn of the event loop has been looked at. Whoever is written to on this machine
 * has to be woken for it, which costs more than the writing: of several that are written one after the other, most find their
 * reader awake.
 */
export function atTurnsEnd(act: () => void): void {
  if (due.push(act) === 1) setImmediate(run);
}

function run(): void {
  const now = due;
  due = [];
  for (const act of now) act();
}
