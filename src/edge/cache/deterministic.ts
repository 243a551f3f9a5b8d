import { isRecord } from '#kernel/json';

/**
 * Why an answer to this question in OpenAI's API may not stand for the next answer to it; null when it may. Then the same is
 * asked for again on purpose: nothing is drawn by chance, or by a seed that the caller gave.
 */
export function whyNotKept(path: string, question: Readonly<Record<string, unknown>>): string | null {
  if (path === '/v1/embeddings' || path === '/v1/rerank') return null;
  if (path !== '/v1/chat/completions' && path !== '/v1/completions') return 'other-call';
  if (question.store === true || isRecord(question.web_search_options)) return 'effects';
  if (hasHostedTool(question.tools)) return 'effects';
  if (looksElsewhere(question.messages)) return 'address';
  return question.temperature === 0 || Number.isInteger(question.seed) ? null : 'not-deterministic';
}

/** A function is the caller's to run; any other tool looks at the world before the answer is there. */
const hasHostedTool = (tools: unknown): boolean =>
  Array.isArray(tools) && tools.some((tool: unknown) => !isRecord(tool) || tool.type !== 'function');

/** What is at an address may be something else tomorrow. */
const looksElsewhere = (messages: unknown): boolean =>
  Array.isArray(messages) &&
  messages.some((message: unknown) => {
    const content: unknown = isRecord(message) ? message.content : null;
    return Array.isArray(content) && content.some(isAtAddress);
  });

function isAtAddress(part: unknown): boolean {
  const image: unknown = isRecord(part) ? part.image_url : null;
  const url: unknown = isRecord(image) ? image.url : image;
  return typeof url === 'string' && !url.startsWith('data:');
}
