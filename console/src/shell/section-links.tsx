const sections = [
  ['memory', 'Memory'],
  ['units', 'Services'],
  ['chat', 'Chat'],
  ['events', 'Events'],
  ['wiring', 'Wiring'],
] as const;

/** On a narrow screen the parts lie below each other, and fifty services are a long way to scroll. */
export function SectionLinks() {
  return (
    <nav className="section-links" aria-label="Parts of the page">
      {sections.map(([id, title]) => (
        <a key={id} href={`#${id}`}>
          {title}
        </a>
      ))}
    </nav>
  );
}
