import { once } from 'node:events';
import type { WebSocket } from 'undici';
import { textAt } from './http.ts';
import type { Session } from './http.ts';

type Message = Readonly<Record<string, unknown>>;

/** What Letta's own clients speak: requests with an id, and news of the turn between their answers. */
function speak(socket: WebSocket) {
  const answers = new Map<string, (message: Message) => void>();
  const listeners = new Set<(message: Message) => void>();
  socket.addEventListener('message', ({ data }) => {
    const message = JSON.parse(String(data)) as Message;
    answers.get(String(message.request_id))?.(message);
    for (const listen of listeners) listen(message);
  });
  let last = 0;
  return {
    listeners,
    say: (message: Message) => socket.send(JSON.stringify(message)),
    request(type: string, body: Message): Promise<Message> {
      const request_id = `request-${++last}`;
      return new Promise((resolve, reject) => {
        answers.set(request_id, (message) =>
          message.success === false ? reject(new Error(JSON.stringify(message))) : resolve(message),
        );
        socket.addEventListener('close', () => reject(new Error(`it hung up on ${type}`)));
        socket.send(JSON.stringify({ type, request_id, ...body }));
      });
    },
  };
}

/** What an assistant says in one turn, to its end. */
function turnOf({ listeners }: ReturnType<typeof speak>, socket: WebSocket): Promise<string> {
  let said = '';
  return new Promise((resolve, reject) => {
    socket.addEventListener('close', () => reject(new Error(`it hung up after "${said}"`)));
    listeners.add(({ type, delta }) => {
      if (type === 'turn_finished') return resolve(said);
      const { message_type: kind, content, message } = (delta ?? {}) as Message;
      if (kind === 'loop_error' || kind === 'error_message') return reject(new Error(String(message)));
      if (type === 'stream_delta' && kind === 'assistant_message') said += textAt(content, '0', 'text');
    });
  });
}

/**
 * Letta asks as its own clients have it ask. Its instructions and twenty tools are some 25 thousand tokens, more than the smallest
 * model can be given: so a new agent without a personality has one sentence in their place, and its turn no tools.
 */
export async function askByLetta({ connect }: Session, model: string, question: string): Promise<string> {
  const socket = connect('/ws');
  try {
    await once(socket, 'open');
    const talk = speak(socket);
    const made = await talk.request('create_agent', { personality: 'blank', model: `openai-compatible/${model}` });
    const agent_id = textAt(made, 'agent_id');
    await talk.request('agent_update', { agent_id, body: { system: 'Answer in one short sentence.' } });
    const runtime = { agent_id, conversation_id: 'default' };
    await talk.request('runtime_start', runtime);
    const said = turnOf(talk, socket);
    const messages = [{ role: 'user', content: question }];
    talk.say({
      type: 'input',
      runtime,
      payload: { kind: 'create_message', messages, client_toolset: { base: 'none' } },
    });
    return await said;
  } finally {
    socket.close();
  }
}
