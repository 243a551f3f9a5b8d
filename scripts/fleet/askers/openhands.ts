import { textAt } from './http.ts';
import type { Session } from './http.ts';

/** What of a conversation's events is looked at. */
interface Event {
  readonly kind: string;
  readonly source: string;
  readonly llm_message?: unknown;
}

/**
 * OpenHands asks in a conversation: an agent is made with it, here without tools, whose address and key are those of the environment
 * where it is told none. Its events come over a WebSocket.
 */
export async function askByOpenhands({ call, connect }: Session, model: string, question: string): Promise<string> {
  // It would ask for hard thinking, which a model that does not think refuses.
  const llm = { model: `openai/${model}`, usage_id: 'agent', reasoning_effort: null };
  const message = { role: 'user', content: [{ type: 'text', text: question }], run: true };
  const made = await call('POST', '/api/conversations', {
    agent: { kind: 'Agent', llm, tools: [], include_default_tools: [] },
    workspace: { kind: 'LocalWorkspace', working_dir: 'workspace/ask' },
    ...{ autotitle: false, initial_message: message },
  });
  const socket = connect(`/sockets/events/${textAt(made, 'id')}?resend_all=true`);
  try {
    return await new Promise((resolve, reject) => {
      socket.addEventListener('close', () => reject(new Error('it hung up before it answered')));
      socket.addEventListener('message', ({ data }) => {
        const { kind, source, llm_message } = JSON.parse(String(data)) as Event;
        if (kind === 'MessageEvent' && source === 'agent') resolve(textAt(llm_message, 'content', '0', 'text'));
        else if (kind.endsWith('ErrorEvent')) reject(new Error(String(data)));
      });
    });
  } finally {
    socket.close();
  }
}
