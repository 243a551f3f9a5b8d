import { useState } from 'react';
import { useConsole } from '../store/context.tsx';
import { maxEvents } from '../store/state.ts';
import type { LoggedEvent } from '../store/state.ts';
import { formatClock } from '../ui/format.ts';
import './events.css';

export function EventSection() {
  const events = useConsole((state) => state.events);
  const [held, setHeld] = useState<readonly LoggedEvent[] | null>(null);
  const shown = held ?? events;

  return (
    <section id="events" className="panel events" aria-labelledby="events-title">
      <div className="panel-head">
        <h2 id="events-title">Events</h2>
        {held && <span className="muted">{unseen(held, events)} new</span>}
        <button
          type="button"
          className="quiet"
          aria-pressed={held !== null}
          data-testid="events-pause"
          onClick={() => setHeld(held ? null : events)}
        >
          {held ? 'Resume' : 'Pause'}
        </button>
      </div>
      {/* Not read out as it comes: on a busy machine a screen reader would say nothing else. */}
      <ol
        className="event-list"
        role="log"
        aria-live="off"
        aria-labelledby="events-title"
        tabIndex={0}
        data-testid="events"
      >
        {shown.map((event) => (
          <EventRow key={event.key} event={event} />
        ))}
      </ol>
      {shown.length === 0 && <p className="empty">Nothing has happened since this page was opened.</p>}
    </section>
  );
}

/** How many came since the list was held; once it has been pushed out entirely, all of them. */
function unseen(held: readonly LoggedEvent[], events: readonly LoggedEvent[]): string {
  const newest = held[0]?.key;
  const index = events.findIndex((event) => event.key === newest);
  if (index >= 0) return String(index);
  return events.length < maxEvents ? String(events.length) : `${maxEvents}+`;
}

function EventRow({ event }: { event: LoggedEvent }) {
  return (
    <li>
      <time dateTime={event.at}>{formatClock(event.at)}</time>
      <span className="event-type">{event.type}</span>
      <span className="event-text">
        {event.unit && <code>{event.unit}</code>} {event.message}
      </span>
    </li>
  );
}
