import { nodePackages } from '#catalog/service';
import { Fault } from '#kernel/faults';
import { join } from 'node:path';
import { createSingleFlight } from '#kernel/single-flight';
import type { Plan } from './builder.ts';
import { digest, type ReadyMarker } from './folders.ts';
import { buildNode, nodeWish } from './node.ts';
import { buildPython, choosePython, pythonWish } from './python.ts';
import type { BuildContext, NodeSpec, PythonSpec } from './types.ts';
import { findUv, type Uv } from './uv.ts';

/** A kind of environment, for one wish: how it is known, and how its building is planned. */
export interface Recipe extends Pick<ReadyMarker, 'wish'> {
  plan(context: BuildContext): Promise<Plan>;
}

export function nodeRecipe(written: NodeSpec): Recipe {
  const spec = forThisMachine(written);
  const wish = digest(nodeWish(spec));
  return {
    wish,
    plan: async (context) => ({
      ...{ kind: 'node', packages: spec.packages, wish, content: wish, interpreter: process.versions.node },
      async fill(path, signal) {
        await buildNode(path, spec, { ...context, signal });
        return join(path, 'node_modules');
      },
    }),
  };
}

/** The packages for every machine and those for this one, as one list. */
function forThisMachine(spec: NodeSpec): NodeSpec {
  const packages = nodePackages(spec);
  if (packages) return { ...spec, packages: [...packages] };
  const named = Object.keys(spec.platforms ?? {}).join(', ');
  throw new Fault(
    'NOT_SUPPORTED',
    `There are no packages for ${process.platform}-${process.arch}: the definition has ${named}.`,
  );
}

/** Python's content depends on which interpreter is found, which takes asking some: only when it must be built. */
export function createPythonRecipes(preferred: string | undefined): (spec: PythonSpec) => Recipe {
  const uvs = createSingleFlight<Uv>();
  return (spec) => {
    const wish = digest({ ...pythonWish(spec), range: spec.version });
    return {
      wish,
      async plan(context) {
        const source = await choosePython(spec, preferred, context);
        return {
          ...{ kind: 'python', packages: spec.packages, wish, interpreter: source.version },
          content: digest({ ...pythonWish(spec), interpreter: source.version }),
          async fill(path, signal) {
            const uv = await uvs.run('uv', signal, (signal) => findUv({ ...context, signal }, preferred));
            await buildPython(path, spec, source, uv, { ...context, signal });
            // A link to the interpreter: it leads nowhere once the user has uninstalled that.
            return join(path, 'venv', 'bin', 'python');
          },
        };
      },
    };
  };
}
