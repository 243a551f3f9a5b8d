import { defineConfig } from 'vitest/config';

const conditions = ['source', 'node', 'import', 'module', 'default'];
// The tests and what runs before them are two environments; `#folder/file` must be the source in both.
const common = {
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  environments: { ssr: { resolve: { conditions } }, __vitest__: { resolve: { conditions } } },
};

export default defineConfig({
  ...common,
  test: {
    projects: [
      {
        ...common,
        test: {
          name: 'unit',
          include: ['{src,catalog,scripts}/**/*.test.ts', 'console/src/**/*.test.ts'],
          testTimeout: 10_000,
          server: { deps: { inline: [/\/node_modules\/(@modelcontextprotocol|eventsource|eventsource-parser)\//] } },
        },
      },
      {
        ...common,
        test: {
          name: 'integration',
          include: ['test/**/*.test.ts'],
          globalSetup: ['test/_setup.ts'],
          // Real processes and real engines on two cores: one file at a time keeps their timings honest.
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 300_000,
          // Some of the clients' parts have a condition called source too, which leads to TypeScript under node_modules.
          server: {
            deps: {
              inline: [
                /\/node_modules\/(ai|@ai-sdk|@langchain|@modelcontextprotocol|eventsource|eventsource-parser)\//,
              ],
            },
          },
        },
      },
    ],
  },
});
