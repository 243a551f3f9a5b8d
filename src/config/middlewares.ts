import { z } from 'zod';
import { bytes } from './fields.ts';

/** Headers that the door answers for itself, or that speak of one connection or of the length of a body. */
const kept: ReadonlySet<string> = new Set([
  ...['host', 'authorization', 'x-api-key', 'x-sutaz-key', 'x-sutaz-console', 'x-sutaz-trace-id', 'traceparent'],
  ...['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'expect'],
  ...['content-length', 'content-encoding', 'set-cookie'],
]);

/** Somebody's word on the way of the request, for which the door says its own. */
const ofTheWay = /^(?:x[-_]forwarded[-_]|x[-_]real[-_]ip$|forwarded$)/;

/** Whether no middleware may touch a header, which is given in lower case. */
export const isKeptHeader = (name: string): boolean => kept.has(name) || ofTheWay.test(name);

const headerName = z
  .string()
  .regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/, 'not a name of a header')
  .refine((name) => !isKeptHeader(name.toLowerCase()), "this header is the door's own: no middleware may change it");

const headerValue = z
  .union([z.string(), z.number(), z.boolean()], { error: 'must be text, a number, or true or false' })
  .transform(String)
  .refine((text) => !/[^\t\x20-\x7e\x80-\xff]/.test(text), 'has a character that no header may have');

const headers = z
  .strictObject({
    rename: z.record(headerName, headerName).exactOptional().describe('Old names with their new ones.'),
    remove: z.array(headerName).min(1).exactOptional().describe('Names.'),
    set: z.record(headerName, headerValue).exactOptional().describe('Names with values, in place of what is there.'),
  })
  .refine((given) => Object.keys(given).length > 0, 'changes nothing: it needs one of set, remove, rename');

const forbiddenKeys = new Set(['__proto__', 'constructor', 'prototype']);

const isFieldPath = (text: string): boolean => {
  const parts = text.split('.');
  return parts.every((part) => part !== '' && !forbiddenKeys.has(part)) && parts.at(-1) !== '*';
};
const fieldPath = z
  .string()
  .refine(isFieldPath, 'must be a field such as stream_options.include_usage or choices.*.logprobs');
const fieldName = z
  .string()
  .min(1)
  .refine((name) => !name.includes('.') && name !== '*' && !forbiddenKeys.has(name), 'must be the name of one field');

const fieldChanges = {
  rename: z.record(fieldPath, fieldName).exactOptional().describe('Fields with the new name of their last part.'),
  remove: z.array(fieldPath).min(1).exactOptional().describe('Fields.'),
  set: z.record(fieldPath, z.json()).exactOptional().describe('Fields with values, in place of what is there.'),
};
const bounds = z.record(fieldPath, z.number());

/** The options of each middleware, by its name. What they do is in `src/edge/middlewares/`, one file each. */
export const middlewareOptions = {
  stripPrefix: z
    .string()
    .regex(/^(\/[^/?#*]+)+$/, 'must be a path such as /manual')
    .describe('Takes the beginning of the path away.'),
  addPrefix: z
    .string()
    .regex(/^(\/[^/?#*]+)+$/, 'must be a path such as /api')
    .describe('Puts something before the path.'),
  requestHeaders: headers.describe('Headers of the request.'),
  responseHeaders: headers.describe('Headers of the answer.'),
  requestJson: z
    .strictObject({
      ...fieldChanges,
      defaults: z.record(fieldPath, z.json()).exactOptional().describe('Fields with values where there are none.'),
      max: bounds.exactOptional().describe('Numbers that are brought down to this.'),
      min: bounds.exactOptional().describe('Numbers that are brought up to this.'),
    })
    .refine((given) => Object.keys(given).length > 0, 'changes nothing')
    .describe('Fields of the request, which must be a JSON object.'),
  answerJson: z
    .strictObject(fieldChanges)
    .refine((given) => Object.keys(given).length > 0, 'changes nothing')
    .describe('Fields of an answer in JSON; of a stream, of each event in JSON.'),
  compress: z
    .strictObject({
      minimum: bytes.prefault('1KiB').describe('What is known to be shorter goes as it is.'),
      codings: z
        .array(z.enum(['zstd', 'br', 'gzip']))
        .min(1)
        .default(['zstd', 'br', 'gzip'])
        .describe('Among what a client likes as well, the first.'),
    })
    .describe('Packs the answer as the client takes it.'),
  httpCache: z
    .strictObject({
      memory: bytes.prefault('16MiB').describe('How much is kept.'),
      shared: z.boolean().default(false).describe('Whether an answer to one caller may be given to another.'),
    })
    .describe('Keeps answers of a service as long as it declares.'),
} as const;

export type MiddlewareName = keyof typeof middlewareOptions;
export type MiddlewareOptions = { readonly [N in MiddlewareName]: z.output<(typeof middlewareOptions)[N]> };
export type HeaderChanges = MiddlewareOptions['requestHeaders'];
export type RequestFields = MiddlewareOptions['requestJson'];
export type Packing = MiddlewareOptions['compress'];
export type AnswerFields = MiddlewareOptions['answerJson'];

const { stripPrefix, addPrefix, requestHeaders, responseHeaders, requestJson, answerJson, compress, httpCache } =
  middlewareOptions;

/** One middleware with its options. */
export const step = z
  .strictObject({
    stripPrefix: stripPrefix.exactOptional(),
    addPrefix: addPrefix.exactOptional(),
    requestHeaders: requestHeaders.exactOptional(),
    responseHeaders: responseHeaders.exactOptional(),
    requestJson: requestJson.exactOptional(),
    answerJson: answerJson.exactOptional(),
    compress: compress.exactOptional(),
    httpCache: httpCache.exactOptional(),
  })
  .refine(
    (given) => Object.keys(given).length === 1,
    'must be one middleware: what comes after it is an entry of its own',
  );

export type Step = z.output<typeof step>;
