import type { ApiProgress } from '#contracts/api';
import { formatDuration } from '#kernel/quantities';

const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};
export const escapeHtml = (text: string): string => text.replaceAll(/[&<>"']/g, (char) => escapes[char] ?? char);

export interface Waiting {
  readonly title: string;
  readonly progress: ApiProgress;
  readonly why: string;
}

/**
 * What a browser sees while a service wakes. It asks again each second by itself, without a script, so that it works
 * under any content policy; when the service is ready, the same address shows it.
 */
export function waitingPage({ title, progress, why }: Waiting): string {
  const facts = [
    progress.what,
    progress.position === undefined ? undefined : `place ${progress.position} in the queue`,
    progress.estimateMs === undefined ? undefined : `about ${formatDuration(progress.estimateMs)} left`,
  ].filter((fact) => fact !== undefined);
  const bar =
    progress.percent === undefined
      ? '<progress aria-label="Waking"></progress>'
      : `<progress aria-label="Waking" max="100" value="${Math.round(progress.percent)}"></progress>`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="1">
<title>${escapeHtml(title)} is waking</title>
<style>
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { min-height: 100vh; margin: 0; display: grid; place-items: center; }
main { width: min(26rem, 90vw); }
h1 { font-size: 1.4rem; font-weight: 600; margin: 0 0 .75rem; }
progress { width: 100%; height: .6rem; accent-color: #3b6fd4; }
p { margin: .5rem 0 0; opacity: .75; }
</style>
</head>
<body>
<main>
<h1>${escapeHtml(title)} is waking</h1>
${bar}
<p><strong>${escapeHtml(progress.phase)}</strong>${facts.length > 0 ? `: ${escapeHtml(facts.join(', '))}` : ''}</p>
<p>${escapeHtml(why)}</p>
</main>
</body>
</html>
`;
}

/** What a browser sees when it cannot be let in, or the service cannot be shown. */
export function plainPage(title: string, detail: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { min-height: 100vh; margin: 0; display: grid; place-items: center; }
main { width: min(30rem, 90vw); }
h1 { font-size: 1.4rem; font-weight: 600; margin: 0 0 .75rem; }
</style>
</head>
<body><main><h1>${escapeHtml(title)}</h1><p>${escapeHtml(detail)}</p></main></body>
</html>
`;
}
