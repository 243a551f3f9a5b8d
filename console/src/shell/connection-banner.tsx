import { useConsole, useServices } from '../store/context.tsx';
import { formatSpan } from '../ui/format.ts';
import { useNow } from '../ui/now.ts';

/** Says that what is shown may be old. The rest of the page stays as it was. */
export function ConnectionBanner() {
  const { live } = useServices();
  const connection = useConsole((state) => state.connection);
  const now = useNow(connection.status === 'lost');
  if (connection.status !== 'lost') return null;
  const left = connection.retryAt - now;
  return (
    <div className="banner" data-testid="connection-banner">
      <p role="alert">
        <b>Connection lost.</b> {connection.reason} What is shown may be old.
      </p>
      <span className="muted">{left > 1000 ? `Trying again in ${formatSpan(left)}` : 'Trying again'}</span>
      <button type="button" onClick={live.retry}>
        Try now
      </button>
    </div>
  );
}
