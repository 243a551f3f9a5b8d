import { useState } from 'react';
import type { FormEvent, KeyboardEvent } from 'react';

interface Props {
  readonly busy: boolean;
  readonly onSend: (question: string) => void;
  readonly onStop: () => void;
}

export function Composer({ busy, onSend, onStop }: Props) {
  const [text, setText] = useState('');
  const ready = !busy && text.trim() !== '';

  const send = (event: FormEvent | KeyboardEvent) => {
    event.preventDefault();
    if (!ready) return;
    onSend(text.trim());
    setText('');
  };

  const onKeyDown = (event: KeyboardEvent) => {
    // While an input method composes, Enter accepts its word.
    if (event.key === 'Enter' && !event.shiftKey && !event.nativeEvent.isComposing) send(event);
  };

  return (
    <form className="composer" onSubmit={send}>
      <textarea
        rows={2}
        value={text}
        placeholder="Message"
        aria-label="Message. Enter sends, Shift and Enter makes a new line."
        data-testid="chat-input"
        onChange={(event) => setText(event.target.value)}
        onKeyDown={onKeyDown}
      />
      {busy ? (
        <button type="button" className="primary" data-testid="chat-stop" onClick={onStop}>
          Stop
        </button>
      ) : (
        <button type="submit" className="primary" data-testid="chat-send" disabled={!ready}>
          Send
        </button>
      )}
    </form>
  );
}
