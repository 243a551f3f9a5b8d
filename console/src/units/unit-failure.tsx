import type { Failure } from '../api/types.ts';
import { formatSpan } from '../ui/format.ts';
import { useNow } from '../ui/now.ts';

export function UnitFailure({ failure }: { failure: Failure }) {
  return (
    <div className="unit-failure">
      <p>
        {failure.message}
        {failure.retryAt && <Retry at={failure.retryAt} />}
      </p>
      {failure.log.length > 0 && (
        <details>
          <summary>Last log lines</summary>
          <pre tabIndex={0} aria-label="Last log lines">
            {failure.log.join('\n')}
          </pre>
        </details>
      )}
    </div>
  );
}

function Retry({ at }: { at: string }) {
  const left = new Date(at).getTime() - useNow();
  if (Number.isNaN(left)) return null;
  return <span className="retry"> {left < 1000 ? 'Trying again now.' : `Trying again in ${formatSpan(left)}.`}</span>;
}
