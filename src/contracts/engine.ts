/**
 * What an engine answers, whatever it is made of: OpenAI's API, at least as much of it as `engine.conformance.ts` asks for.
 * The door sends requests on as they are, so this contract is HTTP and not a class: an engine is a definition of the
 * catalogue (docs/decisions/0009).
 *
 * 1. `GET {health}` is 2xx exactly when the model is loaded; until then a refusal or 503. No key is asked for.
 * 2. `POST /v1/chat/completions`, plain and as a stream that ends with `[DONE]`, with `usage` (in a stream when
 *    `stream_options.include_usage` asks for it), `max_tokens`, `stop`, `temperature` and `seed`.
 * 3. `POST /v1/completions` and `/v1/embeddings` where its traits say so.
 * 4. `GET /v1/models` names the model by the name that requests use.
 * 5. A client that leaves ends its generation, so that its slot is soon free for another.
 * 6. More requests than slots wait and are all answered.
 * 7. Errors are `{"error": {"message"}}` with a 4xx for what the client can mend: no JSON, a wrong type, a prompt longer
 *    than the context, a wrong key (401). None of them costs the engine its life.
 */
export interface EngineEndpoint {
  /** `http://127.0.0.1:41234`, without `/v1`. */
  readonly url: string;
  /** What it is called with; null where it asks for none. */
  readonly key: string | null;
  /** The name requests call the model by. */
  readonly model: string;
}

export interface EngineTraits {
  /** Tokens for each request, prompt and answer together. */
  readonly contextTokens: number;
  /** Requests generated at once. */
  readonly slots: number;
  /** The path that tells whether it is ready. */
  readonly health: string;
  readonly completions: boolean;
  /** It answers a prompt that is longer than its context after cutting it, and does not say so, as Ollama does. Not without need. */
  readonly cutsPrompts?: boolean;
  readonly embeddings: boolean;
}
