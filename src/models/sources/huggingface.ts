import { basename } from 'node:path';
import type { ModelSource } from '#contracts/models';
import { Fault } from '#kernel/faults';
import { download } from '../download.ts';
import { shown } from '../http.ts';
import type { HttpReply } from '../http.ts';
import { isSha256 } from '../names.ts';
import type { FetchSource, SourceContext } from './context.ts';
import { deadlined } from './deadline.ts';

const hub = 'https://huggingface.co';

/**
 * A file of the Hugging Face hub, or of a mirror that `HF_ENDPOINT` names. The hub's own answer, before it redirects to
 * its storage, carries the SHA-256 and size of large files (`X-Linked-Etag`, `X-Linked-Size`:
 * https://huggingface.co/docs/huggingface_hub/package_reference/file_download). `HF_TOKEN` is sent to the hub alone.
 */
export const fetchHuggingFace: FetchSource<Extract<ModelSource, { kind: 'huggingface' }>> = async (source, context) => {
  const url = fileUrl(source, context.env['HF_ENDPOINT'] || hub);
  const token = context.env['HF_TOKEN'];
  const authorization = token ? `Bearer ${token}` : undefined;
  const what = basename(source.file);
  context.onProgress({ phase: 'resolving', what, done: 0, unit: 'bytes' });
  const facts = await resolve(url, authorization, context);
  if (source.sha256 && facts.sha256 && facts.sha256 !== source.sha256) {
    throw new Fault(
      'UPSTREAM_FAILED',
      `${shown(url)} is another file now: its SHA-256 is ${facts.sha256} and the model's definition says ${source.sha256}.`,
      { source: 'upstream', details: { expected: source.sha256, actual: facts.sha256 } },
    );
  }
  const sha256 = source.sha256 ?? facts.sha256;
  return download(
    {
      url,
      what,
      ...(authorization !== undefined && { authorization }),
      ...(sha256 !== undefined && { sha256 }),
      ...(facts.bytes !== undefined && { bytes: facts.bytes }),
    },
    context,
  );
};

function fileUrl({ repo, revision, file }: Extract<ModelSource, { kind: 'huggingface' }>, endpoint: string): URL {
  const base = URL.parse(endpoint);
  if (!base || !['http:', 'https:'].includes(base.protocol)) {
    throw new Fault('BAD_REQUEST', 'HF_ENDPOINT must be an address that begins with http:// or https://.');
  }
  const path = file.split('/').map(encodeURIComponent).join('/');
  const root = base.href.endsWith('/') ? base.href : `${base.href}/`;
  return new URL(`${repo}/resolve/${encodeURIComponent(revision)}/${path}`, root);
}

interface HubFacts {
  readonly sha256?: string;
  readonly bytes?: number;
}

async function resolve(url: URL, authorization: string | undefined, context: SourceContext): Promise<HubFacts> {
  return deadlined(context, `${url.host} did not answer`, async (signal) => {
    const reply = await context.http.ask(url, {
      method: 'HEAD',
      signal,
      // A renamed repository redirects within the hub; the storage's answer would not carry the hub's headers.
      follow: (answer, to) => to.origin === answer.url.origin && answer.header('x-linked-etag') === undefined,
      ...(authorization !== undefined && { authorization }),
    });
    reply.discard();
    if (reply.status >= 400) throw refusal(reply, url, authorization !== undefined);
    return factsOf(reply);
  });
}

/** The ETag is a SHA-256 for files in large-file storage alone; for others it is git's own digest, of no use here. */
function factsOf(reply: HttpReply): HubFacts {
  const etag = reply.header('x-linked-etag')?.replace(/^(?:W\/)?"?|"$/g, '');
  const size = Number(reply.header('x-linked-size') ?? Number.NaN);
  return {
    ...(etag !== undefined && isSha256(etag) && { sha256: etag }),
    ...(Number.isSafeInteger(size) && { bytes: size }),
  };
}

function refusal({ status }: HttpReply, url: URL, identified: boolean): Fault {
  const options = { source: 'upstream' } as const;
  if (status === 404) return new Fault('NOT_FOUND', `${shown(url)} does not exist (404).`, options);
  if (status !== 401 && status !== 403)
    return new Fault('UPSTREAM_FAILED', `${shown(url)} answers ${status}.`, options);
  // The hub answers so for private and for missing repositories alike, to whoever has no right to know.
  const help = identified
    ? 'The token in HF_TOKEN may not read it: accept its terms on its page, or use another token.'
    : 'It does not exist, or needs a token: accept its terms on its page and set HF_TOKEN.';
  return new Fault('FORBIDDEN', `${shown(url)} answers ${status}. ${help}`, options);
}
