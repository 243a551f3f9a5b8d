import { z } from 'zod';
import { environmentValue } from '#config/fields';

const text = z.string().min(1).describe('What stands in the answer.');
const path = z.string().startsWith('/', 'must be a path that starts with /');

const call = z.strictObject({
  path: path.describe('Below /services/{id}; of an engine a path of the door, as in /v1/chat/completions.'),
  method: z.enum(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']).exactOptional().describe('GET, with a body POST.'),
  headers: z.record(z.string(), z.string()).exactOptional(),
  body: z
    .union([z.string(), z.record(z.string(), z.json()), z.array(z.json())])
    .exactOptional()
    .describe('Text is sent as it is, anything else as JSON.'),
  status: z.number().int().min(100).max(599).exactOptional().describe('200 without it.'),
  text: text.exactOptional(),
  json: z
    .string()
    .min(1)
    .exactOptional()
    .describe('A place in the answer, as in data[0].id, that must be there and not null.'),
});

const run = z.strictObject({
  args: z.array(z.string()).describe('Jobs: the arguments of one run.'),
  files: z
    .record(z.string().regex(/^[^/]+$/, 'must be a name without a path'), z.string())
    .exactOptional()
    .describe('What stands in the folder that it works in, by names. Without it that is an empty one.'),
  text: text.exactOptional(),
});

const beside = z.strictObject({
  command: z
    .array(z.string().min(1))
    .min(1)
    .describe('What speaks no HTTP: a program that asks it, run in the environment of its process.'),
  env: z.record(z.string(), environmentValue).exactOptional().describe('More variables: secrets are not arguments.'),
  text: text.exactOptional(),
});

/** How `npm run test:fleet` sees that it really works, with what it says for itself. */
export const verify = z
  .union([call, run, beside])
  .describe('One real use of it, made by npm run test:fleet: a call through the door, a run, or a program beside it.');

export type Verify = z.output<typeof verify>;
export type VerifyCall = z.output<typeof call>;

/** Why a service of this kind cannot be verified so; null where it can. */
export function whyNotVerified(kind: 'server' | 'job' | 'engine', how: Verify): string | null {
  if (kind === 'job') return 'args' in how ? null : 'a job is verified by a run: args';
  if ('args' in how) return 'only a job is run with args: a service is asked by path, or by command';
  if (kind === 'server' || ('path' in how && modelOf(how) !== null)) return null;
  return 'an engine is asked through the door: path, and a body that names a model of the catalogue';
}

/** The model that a call of an engine asks for. */
export function modelOf({ body }: VerifyCall): string | null {
  const named = typeof body === 'object' && !Array.isArray(body) ? body.model : null;
  return typeof named === 'string' ? named : null;
}
