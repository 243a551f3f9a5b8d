import { useLayoutEffect, useRef, useState } from 'react';
import { Composer } from './composer.tsx';
import { TurnView } from './turn-view.tsx';
import { useChat } from './use-chat.ts';
import { useModels } from './use-models.ts';
import './chat.css';

export function ChatSection() {
  const chat = useChat();
  const models = useModels();
  const [chosen, setChosen] = useState('default');
  const model = models.includes(chosen) ? chosen : 'default';
  const { scroller, onScroll } = useStickToEnd(chat.turns);

  return (
    <section id="chat" className="panel chat" aria-labelledby="chat-title">
      <div className="panel-head">
        <h2 id="chat-title">Chat</h2>
        <select
          aria-label="Model"
          data-testid="chat-model"
          value={model}
          onChange={(event) => setChosen(event.target.value)}
        >
          {models.map((id) => (
            <option key={id}>{id}</option>
          ))}
        </select>
        {chat.turns.length > 0 && (
          <button type="button" className="quiet" onClick={chat.clear}>
            New
          </button>
        )}
      </div>
      <div className="turns" ref={scroller} onScroll={onScroll} tabIndex={0} role="group" aria-label="Conversation">
        {chat.turns.length === 0 && (
          <p className="empty">
            Ask something. A model that is asleep wakes first, and its progress shows here. The conversation stays in
            this page.
          </p>
        )}
        {chat.turns.map((turn, index) => (
          <TurnView key={turn.id} turn={turn} last={index === chat.turns.length - 1} />
        ))}
      </div>
      <Composer busy={chat.busy} onSend={(question) => chat.ask(model, question)} onStop={chat.stop} />
    </section>
  );
}

/** Follows the end as text comes, unless the reader has scrolled away from it. */
function useStickToEnd(content: unknown) {
  const scroller = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);
  useLayoutEffect(() => {
    const element = scroller.current;
    if (element && atEnd.current) element.scrollTop = element.scrollHeight;
  }, [content]);
  const onScroll = () => {
    const element = scroller.current;
    if (element) atEnd.current = element.scrollHeight - element.scrollTop - element.clientHeight < 24;
  };
  return { scroller, onScroll };
}
