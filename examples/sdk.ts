/**
 * Wakes a service, tells how far it is, and says what the platform holds in memory.
 *
 *   SUTAZ_URL=http://127.0.0.1:8080 SUTAZ_KEY=$(sutaz key) node examples/sdk.ts chroma
 */
import { createClient, Fault, finished } from 'sutazai/sdk';

const { SUTAZ_URL: url = 'http://127.0.0.1:8080', SUTAZ_KEY: key = '' } = process.env;
const name = process.argv[2] ?? 'chroma';
const platform = createClient({ url, key });

try {
  const signal = AbortSignal.timeout(60_000);
  const unit = await finished(platform.startUnit(name, { wait: true }, { signal }), ({ phase }) => console.log(phase));
  console.log(`${unit.id} is ${unit.state}`);
  const { ledger } = await platform.readState();
  console.log(`${ledger.reservedBytes} of ${ledger.limitBytes} bytes are reserved`);
} catch (error) {
  if (!(error instanceof Fault)) throw error;
  console.error(`${error.code}: ${error.message}`);
  process.exitCode = 1;
}
