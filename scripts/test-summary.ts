/** `test-summary.ts FOLDER`: adds up Vitest's JSON reports in a folder and prints `N passed, N failed, N skipped`. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** The part of Vitest's JSON report that is read here. */
export interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: readonly { readonly status: string; readonly assertionResults: readonly unknown[] }[];
}

export interface Count {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** A file that could not even be loaded has no test to count, and counts as one that failed. */
export function count(reports: readonly Report[]): Count {
  let [passed, failed, skipped] = [0, 0, 0];
  for (const report of reports) {
    const unloaded = report.testResults.filter(
      (file) => file.status === 'failed' && file.assertionResults.length === 0,
    );
    passed += report.numPassedTests;
    failed += report.numFailedTests + unloaded.length;
    skipped += report.numPendingTests + report.numTodoTests;
  }
  return { passed, failed, skipped };
}

export const formatCount = ({ passed, failed, skipped }: Count): string =>
  `${passed} passed, ${failed} failed, ${skipped} skipped`;

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const folder = process.argv[2] ?? '.';
  const files = readdirSync(folder).filter((name) => name.endsWith('.json'));
  const reports = files.map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as Report);
  const total = count(reports);
  console.log(formatCount(total));
  process.exitCode = total.failed > 0 ? 1 : 0;
}
