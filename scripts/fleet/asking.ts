/** Which services ask a model of ours by themselves, and what the door saw of it. */
import type { ServiceDefinition } from '#catalog/service';
import { createClient } from '#clients/sdk';
import type { TestPlatform } from '../../test/_platform.ts';
import { askByAutogenStudio } from './askers/autogen-studio.ts';
import { askByFlowise } from './askers/flowise.ts';
import { askByLangflow } from './askers/langflow.ts';
import { askByN8n } from './askers/n8n.ts';
import { askByOpenWebui } from './askers/open-webui.ts';
import { createSession } from './askers/http.ts';
import type { Session } from './askers/http.ts';

/** By the service's own means of asking a model; gives what the model said. */
type Asker = (session: Session, model: string, question: string) => Promise<string>;

const askers: Readonly<Record<string, Asker>> = {
  'autogen-studio': askByAutogenStudio,
  flowise: askByFlowise,
  langflow: askByLangflow,
  n8n: askByN8n,
  'open-webui': askByOpenWebui,
};

const model = 'smollm2:135m';
const rule = 'asked';

/** In `sutaz.yaml`, so that the door keeps an account of who asks which model. */
export const accounts = {
  rules: [{ name: rule, for: { model: '*' }, each: ['principal', 'model'], requests: '1M/day' }],
};

/** What the model said to it; null where it has no way of its own that is known here. */
export async function askedByItself(
  { id }: ServiceDefinition,
  { url, key }: Pick<TestPlatform, 'url' | 'key'>,
  signal: AbortSignal,
): Promise<string | null> {
  const asker = askers[id];
  if (!asker) return null;
  const said = await asker(
    createSession(`${url}/services/${id}`, key, signal),
    model,
    'What is the capital of France?',
  );
  if (said.trim() === '') throw new Error(`${model} said nothing to it`);
  return said;
}

export interface Asked {
  readonly model: string;
  readonly requests: number;
}

/** The models that the instance, or the run of a job, asked with its own key, by the accounts of the door. */
export async function modelsAskedBy(
  { id, kind }: ServiceDefinition,
  { url, key }: Pick<TestPlatform, 'url' | 'key'>,
  signal: AbortSignal,
): Promise<Asked[]> {
  const { limits } = await createClient({ url, key }).readLimits({ signal });
  const own = limits.find(({ name }) => name === rule)?.accounts ?? [];
  return own.flatMap(({ subject, quotas }) => {
    const [principal, asked] = subject.split(' ');
    return principal === `${kind === 'job' ? 'job' : 'service'}/${id}` && asked !== undefined
      ? [{ model: asked, requests: quotas[0]?.used ?? 0 }]
      : [];
  });
}
