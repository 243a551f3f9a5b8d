import { ChatSection } from './chat/chat-section.tsx';
import { EventSection } from './events/event-section.tsx';
import { MemorySection } from './map/memory-section.tsx';
import { ConnectionBanner } from './shell/connection-banner.tsx';
import { Header } from './shell/header.tsx';
import { SectionLinks } from './shell/section-links.tsx';
import { SignedOut } from './shell/signed-out.tsx';
import { useConsole } from './store/context.tsx';
import { UnitSection } from './units/unit-section.tsx';
import { WiringSection } from './wiring/wiring-section.tsx';

export function App() {
  const signedOut = useConsole((state) => state.connection.status === 'signed-out');
  return (
    <>
      {signedOut && <SignedOut />}
      {/* Hidden, not taken away: a session that ends must not cost the reader the conversation. */}
      <div hidden={signedOut}>
        <Header />
        <SectionLinks />
        <ConnectionBanner />
        <main className="page">
          <MemorySection />
          <UnitSection />
          <aside className="side" aria-label="Chat, events and wiring">
            <ChatSection />
            <EventSection />
            <WiringSection />
          </aside>
        </main>
      </div>
    </>
  );
}
