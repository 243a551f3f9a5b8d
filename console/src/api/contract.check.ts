/**
 * Compiles only while what the platform's contract says can be read as what this page's types say. Types only: nothing
 * imports this file, and nothing of the platform reaches the page.
 */
import type { ApiEvent, ApiLedger, ApiProgress, ApiState, ApiUnit } from '../../../src/contracts/api.ts';
import type { ApiMap } from '../../../src/contracts/map-api.ts';
import type { Ledger, LogEntry, Platform, Progress, Tier, Unit, WiringMap } from './types.ts';

type Covers<Wire extends Page, Page> = Wire;

export type Checked = [
  // The contract leaves the tier open; the decoder narrows it.
  Covers<Omit<ApiUnit, 'tier'> & { tier: Tier }, Unit>,
  Covers<ApiLedger, Ledger>,
  Covers<ApiProgress, Progress>,
  Covers<ApiEvent, LogEntry>,
  Covers<ApiMap, WiringMap>,
  Covers<ApiState['platform'], Platform>,
];
