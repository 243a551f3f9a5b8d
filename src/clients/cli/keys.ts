import type { ApiKey, ApiMadeKey } from '#contracts/security-api';
import { defineCommand } from './command.ts';
import type { Context } from './context.ts';
import { painter } from './style.ts';
import { renderTable } from './table.ts';
import type { Column } from './table.ts';

const minute = (at: string | null): string => (at === null ? '-' : at.slice(0, 16).replace('T', ' '));

const stateOf = ({ expired, replacedBy, expiresAt }: ApiKey): string => {
  if (expired) return 'expired';
  if (replacedBy !== null) return `until ${minute(expiresAt)}`;
  return expiresAt === null ? 'good' : `good until ${minute(expiresAt)}`;
};

const columns: readonly Column<ApiKey>[] = [
  { title: 'ID', value: ({ keyId }) => keyId },
  { title: 'KEY', value: ({ prefix }) => `${prefix}...` },
  { title: 'NAME', value: ({ name }) => name },
  { title: 'PRINCIPAL', value: ({ principal }) => principal },
  { title: 'STATE', value: stateOf, colour: ({ expired }) => (expired ? 'red' : undefined) },
  { title: 'LAST USED', value: ({ lastUsedAt }) => minute(lastUsedAt) },
  { title: 'MAY', value: ({ roles, scopes }) => [...roles, ...scopes].join(', ') || 'nothing' },
];

export const keysLs = defineCommand({
  arguments: '',
  about:
    'Lists the keys: whose they are, what they may, and when they were used last. No key is shown, only how it begins.',
  options: {},
  examples: ['sutaz keys ls'],
  async run(_values, _words, context) {
    const client = await context.connect();
    const list = await client.listKeys();
    if (context.json) return context.printJson(list);
    const width = context.outTty ? context.columns() : Infinity;
    context.out(renderTable(columns, list.keys, { width, paint: painter(context.outTty, context.env) }));
  },
});

const words = (text: string | undefined): string[] | undefined => text?.split(',').map((word) => word.trim());

export const keysCreate = defineCommand({
  arguments: 'NAME',
  about:
    'Makes a key and prints it, this once: only its hash is kept. Without a role or a scope it is of the role user. Roles are\n' +
    'admin, operator, user, service, and those of sutaz.yaml; scopes are listed in docs/security.md.',
  options: {
    role: { type: 'string', value: 'ROLES', help: 'What it may do, by roles, with commas between' },
    scope: { type: 'string', value: 'SCOPES', help: 'What it may do beside that: models:use:smollm2:*' },
    principal: { type: 'string', value: 'WHO', help: 'Whom it speaks for (otherwise its name): limits go by it' },
    expires: { type: 'string', value: 'TIME', help: 'How long it is good: 12h, 90d (otherwise for good)' },
  },
  examples: [
    'sutaz keys create notebook',
    'sutaz keys create ci --role service --expires 90d',
    "sutaz keys create guest --scope 'models:use:smollm2:*,services:use:chroma'",
  ],
  async run({ role, scope, principal, expires }, [name = ''], context) {
    const client = await context.connect();
    const [roles, scopes] = [words(role), words(scope)];
    const ask = {
      name,
      ...(principal === undefined ? {} : { principal }),
      ...(roles ? { roles } : {}),
      ...(scopes ? { scopes } : {}),
      ...(expires === undefined ? {} : { expiresIn: expires }),
    };
    tell(await client.createKey(ask), context);
  },
});

export const keysRotate = defineCommand({
  arguments: 'ID',
  about:
    'Makes a key in the place of another and prints it, this once. Both are good until the overlap is over. The key of the\n' +
    'owner (`sutaz key`) is written to its file as well.',
  options: {
    overlap: { type: 'string', value: 'TIME', help: 'How long the old one goes on (otherwise 1h); 0s ends it at once' },
  },
  examples: ['sutaz keys rotate key-3f2a9c01b7de', 'sutaz keys rotate key-3f2a9c01b7de --overlap 7d'],
  async run({ overlap }, [id = ''], context) {
    const client = await context.connect();
    tell(await client.rotateKey(id, overlap === undefined ? {} : { overlap }), context);
  },
});

export const keysRevoke = defineCommand({
  arguments: 'ID',
  about: 'Ends a key at once, and every session in a browser that was opened with it.',
  options: {},
  examples: ['sutaz keys revoke key-3f2a9c01b7de'],
  async run(_values, [id = ''], context) {
    const client = await context.connect();
    await client.revokeKey(id);
    if (context.json) context.printJson({ revoked: id });
    else context.out(`${id} is no key any more.\n`);
  },
});

/** The key alone goes to the output, so that it can be handed on; what is to be known of it goes beside. */
function tell(made: ApiMadeKey, context: Context): void {
  if (context.json) return context.printJson(made);
  context.out(`${made.key}\n`);
  context.err(`${made.facts.keyId} for ${made.facts.principal}, ${stateOf(made.facts)}. It is not shown again.\n`);
}
