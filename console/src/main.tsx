import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { createClient } from './api/client.ts';
import { App } from './app.tsx';
import { applyTheme, readTheme } from './shell/theme.ts';
import { ServicesContext } from './store/context.tsx';
import { keepLive } from './store/live.ts';
import { createStore } from './store/store.ts';
import './styles/tokens.css';
import './styles/base.css';
import './shell/shell.css';

applyTheme(readTheme());

const store = createStore();
const client = createClient({ onSignedOut: () => live.recheck() });
const live = keepLive(client, store);

// A laptop that was asleep, or a tab that was hidden, should not sit out the wait of a failed attempt.
addEventListener('online', live.retry);
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) live.retry();
});

const root = document.getElementById('root');
if (!root) throw new Error('index.html has no element with the id "root".');
createRoot(root).render(
  <StrictMode>
    <ServicesContext value={{ client, store, live }}>
      <App />
    </ServicesContext>
  </StrictMode>,
);
