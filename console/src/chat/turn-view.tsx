import { memo } from 'react';
import { count } from '../ui/format.ts';
import { ProgressBar } from '../ui/progress-bar.tsx';
import { progressText } from '../ui/progress.ts';
import { isOpen, speed } from './conversation.ts';
import type { Turn } from './conversation.ts';

export const TurnView = memo(function TurnView({ turn, last }: { turn: Turn; last: boolean }) {
  return (
    <article className="turn" aria-label={`Question ${turn.id + 1}`}>
      <p className="question">
        <span className="sr-only">You: </span>
        {turn.question}
      </p>
      {/* Busy while it streams: a screen reader then reads the whole answer once instead of every piece. */}
      <div className="answer" aria-live="polite" aria-busy={isOpen(turn)} data-status={turn.status}>
        <span className="sr-only">{turn.model}: </span>
        {turn.status === 'waiting' && <Waiting turn={turn} />}
        <p className="answer-text" {...(last && { 'data-testid': 'chat-answer' })}>
          {turn.answer}
        </p>
        {turn.problem && (
          <div className="answer-problem" role="alert" data-testid="chat-error">
            <p>{turn.problem.message}</p>
            <p className="muted">
              {turn.problem.code}
              {turn.problem.traceId && ` · trace ${turn.problem.traceId}`}
            </p>
          </div>
        )}
        {!isOpen(turn) && <p className="answer-foot">{foot(turn)}</p>}
      </div>
    </article>
  );
});

function Waiting({ turn }: { turn: Turn }) {
  if (!turn.progress) return <p className="waiting-dots">Waiting for {turn.model}</p>;
  return (
    <div className="waiting" data-testid="chat-progress">
      <p>{progressText(turn.progress, 0)}</p>
      <ProgressBar percent={turn.progress.percent} label={`Waking ${turn.model}`} />
    </div>
  );
}

/** `smollm2:135m · 40 tokens · first after 0.4 s · 22 tokens/s`, with only what is known. */
function foot(turn: Turn): string {
  const took = speed(turn);
  return [
    turn.model,
    turn.status === 'stopped' ? 'stopped' : '',
    turn.finishReason === 'length' ? 'cut at the length limit' : '',
    turn.usage ? count(turn.usage.completionTokens, 'token') : '',
    took ? `first after ${(took.firstTextMs / 1000).toFixed(1)} s` : '',
    took?.tokensPerSecond ? `${took.tokensPerSecond.toFixed(0)} tokens/s` : '',
  ]
    .filter(Boolean)
    .join(' · ');
}
