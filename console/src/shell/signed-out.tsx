import { useServices } from '../store/context.tsx';

/** In place of the page: without a session there is nothing to show, and no way back but a link from the terminal. */
export function SignedOut() {
  const { live } = useServices();
  return (
    <main className="signed-out" data-testid="signed-out">
      <h1>This page needs a fresh link</h1>
      <p>
        The console opens with a link that works once. Yours was used already, or its session has ended. In a terminal
        on the machine that runs the platform, ask for a new one:
      </p>
      <pre>
        <code>sutaz console</code>
      </pre>
      <p>Open the link it prints in this browser. If you did that in another tab, this one can go on:</p>
      <button type="button" className="primary" onClick={live.retry}>
        Try again
      </button>
    </main>
  );
}
