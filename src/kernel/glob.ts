/**
 * Whether a text fits a pattern in which `*` stands for any text. Without a regular expression: with several `*` one takes a
 * time without bounds for a text that was made for it.
 */
export function globOf(written: string): (text: string) => boolean {
  const [head = '', ...pieces] = written.split('*');
  const tail = pieces.pop();
  if (tail === undefined) return (text) => text === written;
  return (text) => {
    if (!text.startsWith(head)) return false;
    let at = head.length;
    for (const piece of pieces) {
      const found = text.indexOf(piece, at);
      if (found < 0) return false;
      at = found + piece.length;
    }
    return text.length - tail.length >= at && text.endsWith(tail);
  };
}
