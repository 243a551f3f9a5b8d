export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** One JSON line an event. What a person wrote or a model answered never goes in: logs are kept and passed around. */
export type Log = (event: string, fields?: LogFields) => void;

export const createLog =
  (write: (line: string) => void, now: () => Date): Log =>
  (event, fields = {}) => {
    write(`${JSON.stringify({ time: now().toISOString(), event, ...fields })}\n`);
  };
