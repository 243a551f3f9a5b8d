import type { IncomingMessage, ServerResponse } from 'node:http';

/**
 * Puts `100 Continue` off until somebody reads the body: by then the request is admitted (key, limits, size), and one that
 * is refused never sends it. Node ends the connection after an answer without it: nobody can tell whether what comes next
 * is the body after all (RFC 9110, section 10.1.1).
 */
export function continueWhenRead(req: IncomingMessage, res: ServerResponse): void {
  const read = req._read.bind(req);
  req._read = (size) => {
    req._read = read;
    if (!res.headersSent) res.writeContinue();
    read(size);
  };
}
