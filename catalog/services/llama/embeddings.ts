import type { Json } from './json.ts';
import { list, number, oneOf, parse, refused, required, text, ignored, type Field } from './params.ts';
import { bodyObject } from './sampling.ts';

export type EmbeddingInput = string | readonly number[];

/** OpenAI's own bound on texts in one request. */
const maxInputs = 2048;
const token = number({ min: 0, integer: true });
const tokens = list(token, { min: 1 });

const one: Field<EmbeddingInput> = (value, param) =>
  Array.isArray(value) ? tokens(value as Json, param) : text(value, param);

const input: Field<readonly EmbeddingInput[]> = (value, param) => {
  if (!Array.isArray(value)) return [text(value, param)];
  if (typeof value[0] === 'number') return [tokens(value as Json, param)];
  return list(one, { min: 1, max: maxInputs })(value, param);
};

const fields = {
  model: text,
  input,
  encoding_format: oneOf('float', 'base64'),
  dimensions: refused("a vector has the model's own length"),
  user: ignored,
} as const;

export function parseEmbeddings(body: Json) {
  const params = parse(bodyObject(body), fields);
  required(params.model, 'model');
  return { inputs: required(params.input, 'input'), encoding: params.encoding_format ?? 'float' };
}

/** The vector with length 1, so that a dot product is the cosine. One of zeros stays as it is. */
export function normalise(vector: readonly number[]): readonly number[] {
  const length = Math.hypot(...vector);
  return length === 0 ? vector : vector.map((value) => value / length);
}

/** OpenAI's base64 form: 32-bit floats, least significant byte first. */
export function toBase64(vector: readonly number[]): string {
  const bytes = Buffer.alloc(vector.length * 4);
  vector.forEach((value, index) => bytes.writeFloatLE(value, index * 4));
  return bytes.toString('base64');
}

export function embeddingsAnswer(
  model: string,
  vectors: readonly (readonly number[])[],
  promptTokens: number,
  encoding: 'float' | 'base64',
) {
  return {
    object: 'list',
    data: vectors.map((vector, index) => ({
      object: 'embedding',
      index,
      embedding: encoding === 'base64' ? toBase64(vector) : vector,
    })),
    model,
    usage: { prompt_tokens: promptTokens, total_tokens: promptTokens },
  };
}
