import { isRecord } from '#kernel/json';
import { bad, given, oneOf, read, required, text } from './fields.ts';
import type { Field } from './fields.ts';
import type { ModelChoice } from './models.ts';

/** What somebody says: a text, or an image. */
export type SaidPart =
  | { readonly kind: 'text'; readonly text: string }
  /** `at`: where the client has it, for an error to name. */
  | { readonly kind: 'image'; readonly url: string; readonly detail?: string | undefined; readonly at: string };

/** What is said as the content of a message in OpenAI's chat API: a text wherever it is nothing else. */
export function contentOf(parts: readonly SaidPart[]): string | Record<string, unknown>[] {
  if (!parts.some(({ kind }) => kind === 'image'))
    return parts.map((part) => (part.kind === 'text' ? part.text : '')).join('');
  return parts.map((part) =>
    part.kind === 'text'
      ? { type: 'text', text: part.text }
      : { type: 'image_url', image_url: given({ url: part.url, detail: part.detail }) },
  );
}

/** Where the first image is; undefined when there is none. */
export const firstImage = (parts: readonly SaidPart[]): string | undefined =>
  parts.find((part) => part.kind === 'image')?.at;

/** The formats that every API takes, by what their files begin with, in base64. */
const beginnings: Readonly<Record<string, string>> = {
  'image/png': 'iVBORw0KGgo',
  'image/jpeg': '/9j/',
  'image/gif': 'R0lGOD',
  'image/webp': 'UklGR',
};

const formats = Object.keys(beginnings);

/** An image in base64 that does not say of what format it is, as an address that holds it. */
export const base64Image: Field<string> = (value, param) => {
  // Encoders may break it into lines.
  const data = text(value, param).replace(/[\r\n]/g, '');
  const format = formats.find((name) => data.startsWith(beginnings[name] ?? ''));
  if (format === undefined) throw bad(param, `${param} is no image in base64, of the formats ${formats.join(', ')}.`);
  return dataUrl(format, data, param);
};

function dataUrl(format: string, data: string, param: string): string {
  // Without a look at each group of four: that is for whoever decodes it.
  if (data.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(data)) throw bad(param, `${param} is not in base64.`);
  return `data:${format};base64,${data}`;
}

const address: Field<string> = (value, param) => {
  const url = text(value, param);
  if (/^https?:\/\/./.test(url)) return url;
  throw bad(param, `${param} must be an address with http or https.`);
};

/** Where an image is that stands with its data or at an address, in Anthropic's form. */
export const imageSource: Field<string> = (value, param) => {
  const fields = { type: oneOf('base64', 'url'), media_type: oneOf(...formats), data: text, url: address };
  const { type, media_type: format, data, url } = read(value, fields, `${param}.`);
  if (required(type, `${param}.type`) === 'url') return required(url, `${param}.url`);
  const at = `${param}.data`;
  return dataUrl(required(format, `${param}.media_type`), required(data, at), at);
};

/** What a model must provide to be shown images. */
const sight = 'openai.vision';

/**
 * Of the models those that can be asked this: where an image is among it (`at`), those that see.
 * Throws BAD_REQUEST that names the image when none does, so that none is woken for it.
 */
export function seeing(choices: readonly ModelChoice[], at: string | undefined): readonly ModelChoice[] {
  if (at === undefined) return choices;
  const able = choices.filter(({ provides }) => provides.includes(sight));
  if (able.length > 0) return able;
  const names = choices.map(({ id }) => id).join(', ');
  throw bad(
    at,
    `${at} is an image, and ${names} takes only text. One that sees has "vision" among its kinds, and an engine that provides ${sight}.`,
  );
}

/** Where the first image is in a request of OpenAI's chat API. What is no request of it has none: its engine says so. */
export function imageIn({ messages }: Readonly<Record<string, unknown>>): string | undefined {
  if (!Array.isArray(messages)) return undefined;
  for (const [index, message] of (messages as unknown[]).entries()) {
    const content: unknown = isRecord(message) ? message.content : undefined;
    const at = Array.isArray(content) ? content.findIndex(isImage) : -1;
    if (at >= 0) return `messages[${index}].content[${at}]`;
  }
  return undefined;
}

const isImage = (part: unknown): boolean => isRecord(part) && part.type === 'image_url';
