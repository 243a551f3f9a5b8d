import tseslint from 'typescript-eslint';
import { layers } from './layers.mjs';

const rule = (regex, message) => ({ regex, message });

const boundaries = Object.entries(layers).map(([self, may]) => ({
  files: [`src/${self}/**/*.ts`],
  rules: {
    'no-restricted-imports': [
      'error',
      {
        patterns: [
          rule(
            `^#(?!(${[self, ...may].join('|')})/)`,
            `${self}/ may import only: ${may.join(', ') || 'nothing of ours'} (layers.mjs).`,
          ),
          rule(
            `^(\\.\\./)+(${Object.keys(layers)
              .filter((name) => name !== self)
              .join('|')})/`,
            'Cross folders as "#folder/file", so that this rule can see it.',
          ),
          ...(self === 'drivers' ? [rule('^(\\.\\./|#drivers/)', 'A driver never imports another driver.')] : []),
          rule('^#.*/_', 'A file that starts with _ is private to its folder.'),
        ],
      },
    ],
  },
}));

export default tseslint.config(
  { ignores: ['dist/', 'console/dist/', 'node_modules/', 'coverage/'] },
  ...tseslint.configs.recommended,
  {
    files: ['**/*.{ts,tsx,mjs}'],
    rules: {
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      'no-console': 'error',
      'max-lines-per-function': ['error', { max: 80, skipBlankLines: true, skipComments: true }],
      'max-lines': ['error', { max: 400, skipBlankLines: true, skipComments: true }],
    },
  },
  {
    files: ['src/**/*.ts', 'catalog/**/*.ts'],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: { attributes: false } }],
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
    },
  },
  {
    // Tests and tools print, and a describe block is as long as its cases.
    files: ['**/*.test.ts', '**/*.conformance.ts', 'test/**', 'bench/**', 'scripts/**', 'examples/**'],
    rules: { 'no-console': 'off', 'max-lines-per-function': 'off' },
  },
  ...boundaries,
);
