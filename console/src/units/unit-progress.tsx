import type { Progress } from '../api/types.ts';
import { count } from '../ui/format.ts';
import { useNow } from '../ui/now.ts';
import { ProgressBar } from '../ui/progress-bar.tsx';
import { progressText } from '../ui/progress.ts';

export function UnitProgress(props: { progress: Progress; receivedAt: number; waiters: number }) {
  const { progress, receivedAt, waiters } = props;
  const now = useNow(progress.estimateMs !== undefined);
  const text = progressText(progress, Math.max(0, now - receivedAt));
  return (
    <div className="unit-progress">
      <ProgressBar percent={progress.percent} label={progress.phase} />
      <p>
        {text}
        {waiters > 0 && ` · ${count(waiters, 'request')} waiting`}
      </p>
    </div>
  );
}
