import { basename } from 'node:path';
import type { ModelSource } from '#contracts/models';
import { Fault } from '#kernel/faults';
import { download } from '../download.ts';
import type { FetchSource } from './context.ts';

/** A file at a plain address. `user:password@` in it is sent as Basic authorization, to its own origin alone. */
export const fetchUrl: FetchSource<Extract<ModelSource, { kind: 'url' }>> = (source, context) => {
  const url = URL.parse(source.url);
  if (!url || !['http:', 'https:'].includes(url.protocol)) {
    throw new Fault('BAD_REQUEST', 'The address of a model must begin with http:// or https://.');
  }
  return download(
    {
      url,
      what: decodeURIComponent(basename(url.pathname)) || url.host,
      ...(source.sha256 !== undefined && { sha256: source.sha256 }),
    },
    context,
  );
};
