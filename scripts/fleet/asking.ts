/** Which services ask a model of ours by themselves, and what the door saw of it. */
import type { ServiceDefinition } from '#catalog/service';
import { createClient } from '#clients/sdk';
import { askByAutogenStudio } from './askers/autogen-studio.ts';
import { askByFlowise } from './askers/flowise.ts';
import { askByLangflow } from './askers/langflow.ts';
import { askByLetta } from './askers/letta.ts';
import { askByN8n } from './askers/n8n.ts';
import { askByOpenWebui } from './askers/open-webui.ts';
import { askByOpenhands } from './askers/openhands.ts';
import { createSession } from './askers/http.ts';
import type { Session } from './askers/http.ts';
import type { Door } from './job.ts';

/** By the service's own means of asking a model; gives what the model said. */
type Asker = (session: Session, model: string, question: string) => Promise<string>;

const askers: Readonly<Record<string, Asker>> = {
  'autogen-studio': askByAutogenStudio,
  flowise: askByFlowise,
  langflow: askByLangflow,
  letta: askByLetta,
  n8n: askByN8n,
  'open-webui': askByOpenWebui,
  openhands: askByOpenhands,
};

const model = 'smollm2:135m';

/** What the model said to it; null where it has no way of its own that is known here. */
export async function askedByItself(
  { id }: ServiceDefinition,
  { url, key }: Door,
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

/** The models that it asked with keys of its own, by the map of who consumes what. */
export async function modelsAskedBy(
  { id, kind }: ServiceDefinition,
  door: Door,
  signal: AbortSignal,
): Promise<Asked[]> {
  const { edges } = await createClient(door).readMap({ signal });
  const own = `${kind === 'job' ? 'job' : 'service'}/${id}`;
  return edges.flatMap(({ from, to, requests }) =>
    from === own && to.startsWith('model/') && requests ? [{ model: to.slice('model/'.length), requests }] : [],
  );
}
