/** Without a percentage it only says that work goes on. */
export function ProgressBar({ percent, label }: { percent: number | undefined; label: string }) {
  return (
    <div
      className="progress-bar"
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      {...(percent !== undefined && { 'aria-valuenow': Math.round(percent) })}
    >
      <span data-unknown={percent === undefined} style={{ width: percent === undefined ? '30%' : `${percent}%` }} />
    </div>
  );
}
