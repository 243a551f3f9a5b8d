import { textAt } from './http.ts';
import type { Session } from './http.ts';

/** Open WebUI lists the models of the door and chats with one, as its page does; whoever comes through the door is signed in. */
export async function askByOpenWebui({ call }: Session, model: string, question: string): Promise<string> {
  await call('POST', '/api/v1/auths/signin', { email: '', password: '' });
  const { data } = (await call('GET', '/api/models')) as { readonly data: readonly { readonly id: string }[] };
  if (!data.some(({ id }) => id === model)) throw new Error(`it does not list ${model}`);
  const body = { model, stream: false, messages: [{ role: 'user', content: question }] };
  return textAt(await call('POST', '/api/chat/completions', body), 'choices', '0', 'message', 'content');
}
