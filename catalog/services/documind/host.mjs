/**
 * Documind over HTTP.
 *
 *     GET  /health                                          {"status": "ok"}
 *     GET  /templates                                       {"templates": ["invoice", ...]}
 *     POST /extract?template=invoice                        a PDF as the body
 *     POST /extract?schema=[...]                            with a schema of Documind's, as JSON
 *                                                           {"success": true, "pages", "data", "fileName"}
 *
 * Errors are {"error": "..."} with 400, 404, 413 or, where the model or the document fails, 422.
 */
import { randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire, registerHooks } from 'node:module';
import { join } from 'node:path';
import { argv } from 'node:process';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { pathToFileURL } from 'node:url';

const [host, port, environment] = argv.slice(2);
const mostBytes = 64 * 2 ** 20;

// The package stands in the environment, not beside this file.
const entry = pathToFileURL(createRequire(join(environment, 'package.json')).resolve('documind'));
// It imports a folder of its own as if it were a package, which only npm lays out for it.
registerHooks({
  resolve: (asked, context, next) =>
    asked === 'core' ? next(new URL('../../core/dist/index.js', entry).href, context) : next(asked, context),
});
// What it logs of a failed request is all of it, its key included.
Object.assign(console, { error: (what, error) => process.stderr.write(`${what} ${error?.message ?? ''}\n`) });
const { extract, templates } = await import(entry.href);

class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const bounded = () => {
  let bytes = 0;
  return new Transform({
    transform(chunk, _encoding, done) {
      bytes += chunk.length;
      done(bytes > mostBytes ? new Refused(413, `a document has ${mostBytes} bytes at most`) : null, chunk);
    },
  });
};

function schemaIn(query) {
  const text = query.get('schema');
  if (text === null) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    throw new Refused(400, 'schema is not JSON');
  }
}

async function extracted(req, query) {
  const [schema, template] = [schemaIn(query), query.get('template') ?? undefined];
  if (schema === undefined && template === undefined) throw new Refused(400, 'schema or template is needed');
  const file = join(process.cwd(), `${randomUUID()}.pdf`);
  try {
    await pipeline(req, bounded(), createWriteStream(file, { mode: 0o600 }));
    return await extract({ file, schema, template, model: query.get('model') ?? 'llava' }).catch((error) => {
      throw new Refused(422, error.message);
    });
  } finally {
    await rm(file, { force: true });
  }
}

async function act(req) {
  const { pathname, searchParams } = new URL(req.url, 'http://documind');
  const asked = `${req.method} ${pathname}`;
  if (asked === 'GET /health') return { status: 'ok' };
  if (asked === 'GET /templates') return { templates: templates.list() };
  if (asked === 'POST /extract') return extracted(req, searchParams);
  throw new Refused(404, `there is no ${asked}`);
}

createServer(async (req, res) => {
  const [status, value] = await act(req).then(
    (answer) => [200, answer],
    (error) => [error.status ?? 500, { error: error.message }],
  );
  if (res.destroyed) return;
  res.writeHead(status, { 'content-type': 'application/json' });
  res.end(JSON.stringify(value));
}).listen(Number(port), host);
