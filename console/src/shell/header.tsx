import { useState } from 'react';
import { useConsole } from '../store/context.tsx';
import { formatSpan } from '../ui/format.ts';
import { useNow } from '../ui/now.ts';
import { chooseTheme, readTheme, themes } from './theme.ts';

const words = { connecting: 'connecting', live: 'live', lost: 'no connection', 'signed-out': 'signed out' } as const;

export function Header() {
  const platform = useConsole((state) => state.platform);
  const status = useConsole((state) => state.connection.status);
  return (
    <header className="header">
      <h1>
        <Mark />
        SutazAI
      </h1>
      {platform && (
        <p className="header-facts">
          <span>{platform.version}</span>
          <span className="header-home" title={`Home folder ${platform.home}, process ${platform.pid}`}>
            {platform.home}
          </span>
          <Uptime since={platform.startedAt} />
        </p>
      )}
      <span className="connection" data-status={status} role="status">
        {words[status]}
      </span>
      <ThemeButton />
    </header>
  );
}

function Mark() {
  return (
    <svg viewBox="0 0 20 20" width="20" height="20" aria-hidden="true">
      <rect x="0" y="0" width="12" height="20" rx="2.5" fill="var(--tone-ready)" />
      <rect x="14" y="0" width="6" height="9" rx="2" fill="var(--tone-busy)" />
      <rect x="14" y="11" width="6" height="9" rx="2" fill="var(--line-strong)" />
    </svg>
  );
}

function Uptime({ since }: { since: string }) {
  const up = useNow() - new Date(since).getTime();
  return Number.isNaN(up) ? null : <span>up {formatSpan(up)}</span>;
}

function ThemeButton() {
  const [theme, setTheme] = useState(readTheme);
  const next = themes[(themes.indexOf(theme) + 1) % themes.length] ?? 'auto';
  const turn = () => {
    chooseTheme(next);
    setTheme(next);
  };
  return (
    <button type="button" className="quiet" onClick={turn} aria-label={`Colours: ${theme}. Change to ${next}.`}>
      <span aria-hidden="true">◐</span> {theme}
    </button>
  );
}
