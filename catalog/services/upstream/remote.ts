/** A server elsewhere that has a model. */
export interface Remote {
  /** Resolves when the model can be asked; until then `onProgress` tells how far it is, 0 to 1. */
  open(signal: AbortSignal, onProgress: (done: number) => void): Promise<void>;
  /** After its last answer for now. */
  rested(): Promise<void>;
  /** Bytes that it takes there of this machine's memory. */
  weight(): Promise<number>;
  /** Lets the model go. */
  close(): Promise<void>;
}

export interface RemoteOptions {
  /** `http://127.0.0.1:8000`, without `/v1`. */
  readonly url: string;
  readonly key: string | null;
  readonly model: string;
}

/** Milliseconds for a question that takes no work. */
const askMs = 10_000;

async function ask(url: string, init: RequestInit = {}): Promise<Response> {
  try {
    return await fetch(url, { signal: AbortSignal.timeout(askMs), ...init });
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
    throw new Error(`${new URL(url).origin} cannot be reached: ${cause}`, { cause: error });
  }
}

/** The server's own key, where it asks for one. */
export const bearer = (key: string | null): Record<string, string> =>
  key === null ? {} : { authorization: `Bearer ${key}` };

/** What a server says of a failure: OpenAI's form, and Ollama's. Never the whole body: it may be a page. */
async function reasonOf(response: Response): Promise<string> {
  const text = await response.text().catch(() => '');
  const said = parsed(text)?.error;
  const message = typeof said === 'string' ? said : said?.message;
  return `it answers ${String(response.status)}${message === undefined ? '' : `: ${message.slice(0, 300)}`}`;
}

function parsed(text: string): { readonly error?: string | { readonly message?: string } } | null {
  try {
    return JSON.parse(text) as { readonly error?: string };
  } catch {
    return null;
  }
}

/** Any server with OpenAI's API (vLLM, LM Studio, LocalAI, TGI): its owner loads and unloads. */
export function openaiRemote({ url, key, model }: RemoteOptions): Remote {
  const headers = bearer(key);
  return {
    async open(signal) {
      const response = await ask(`${url}/v1/models`, { headers, signal: AbortSignal.any([signal, timeout()]) });
      if (!response.ok) throw new Error(`${url}/v1/models: ${await reasonOf(response)}`);
      const { data } = (await response.json()) as { data: readonly { readonly id: string }[] };
      const names = data.map(({ id }) => id);
      if (!names.includes(model))
        throw new Error(`${url} has no model ${model}. It has: ${names.join(', ') || 'none'}.`);
    },
    rested: () => Promise.resolve(),
    weight: () => Promise.resolve(0),
    close: () => Promise.resolve(),
  };
}

const timeout = () => AbortSignal.timeout(askMs);

interface PullLine {
  readonly status?: string;
  readonly error?: string;
  readonly total?: number;
  readonly completed?: number;
}

/** Ollama: the model is pulled where it is missing, loaded until it is told otherwise, weighed, and unloaded. */
export function ollamaRemote({ url, key, model }: RemoteOptions, { pulls } = { pulls: true }): Remote {
  const headers = bearer(key);
  const post = (path: string, body: object, signal?: AbortSignal) =>
    ask(`${url}${path}`, {
      ...{ method: 'POST', headers: { ...headers, 'content-type': 'application/json' }, body: JSON.stringify(body) },
      ...(signal && { signal }),
    });
  const has = async () => {
    const response = await ask(`${url}/api/tags`, { headers });
    if (!response.ok) throw new Error(`${url}/api/tags: ${await reasonOf(response)}`);
    const { models } = (await response.json()) as { models: readonly { readonly name: string }[] };
    return models.some(({ name }) => sameModel(name, model));
  };
  /** An empty prompt loads the model, or lets it go when it is not to be kept: -1 is for ever, 0 is at once. */
  const keep = async (keepAlive: number, signal?: AbortSignal) => {
    const response = await post('/api/generate', { model, keep_alive: keepAlive, stream: false }, signal);
    // One that makes vectors only has no generate: it is kept by its embeddings.
    if (response.status === 400) {
      const embedded = await post('/api/embed', { model, input: '', keep_alive: keepAlive }, signal);
      if (!embedded.ok) throw new Error(`${url}: ${model} cannot be loaded: ${await reasonOf(embedded)}`);
    } else if (!response.ok) throw new Error(`${url}: ${model} cannot be loaded: ${await reasonOf(response)}`);
    await response.body?.cancel().catch(() => undefined);
  };
  return {
    async open(signal, onProgress) {
      const isThere = await has();
      if (!isThere && !pulls) throw new Error(`${model} is not in the view that Ollama was given`);
      if (!isThere) await pull(await post('/api/pull', { model, stream: true }, signal), model, onProgress);
      await keep(-1, signal);
    },
    // OpenAI's form of a request has no word for how long to keep the model: each sets it back to Ollama's five minutes.
    rested: () => keep(-1, timeout()),
    async weight() {
      const response = await ask(`${url}/api/ps`, { headers });
      if (!response.ok) throw new Error(`${url}/api/ps: ${await reasonOf(response)}`);
      const { models } = (await response.json()) as {
        models: readonly { readonly name: string; readonly size: number; readonly size_vram?: number }[];
      };
      const found = models.find(({ name }) => sameModel(name, model));
      // What lies on a graphics card takes none of the machine's memory.
      return found ? Math.max(0, found.size - (found.size_vram ?? 0)) : 0;
    },
    close: () => keep(0, timeout()),
  };
}

/** Ollama puts `:latest` behind a name without a tag. */
const sameModel = (a: string, b: string): boolean => tagged(a) === tagged(b);
const tagged = (name: string): string => (name.includes(':') ? name : `${name}:latest`);

async function pull(response: Response, model: string, onProgress: (done: number) => void): Promise<void> {
  if (!response.ok || !response.body) throw new Error(`${model} cannot be pulled: ${await reasonOf(response)}`);
  let rest = '';
  let last: PullLine = {};
  const decoder = new TextDecoder();
  for await (const bytes of response.body) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines.filter((text) => text !== '')) {
      last = JSON.parse(line) as PullLine;
      if (last.error !== undefined) throw new Error(`${model} cannot be pulled: ${last.error}`);
      if (last.total) onProgress((last.completed ?? 0) / last.total);
    }
  }
  if (last.status !== 'success') throw new Error(`${model} cannot be pulled: the answer broke off`);
}
