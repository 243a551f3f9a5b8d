import { describe, expect, it } from 'vitest';
import { builtInCatalog } from '../../test/_prepared.ts';
import { modelFor, withOwnModels } from './engines.ts';

describe('engines that are visited by the same model', () => {
  it('have one each, which is the same but for its name', async () => {
    const { services } = await builtInCatalog();
    const chosen = ['chroma', 'llama', 'llama-server', 'transformers'].map((id) => services.get(id)?.definition);
    const { definitions, files } = withOwnModels(
      chosen.filter((one) => one !== undefined),
      (model) => `id: ${model}\naliases: [smollm2]\nengine: llama\n`,
    );
    expect(definitions.map(modelFor)).toEqual([null, 'smollm2:135m', 'smollm2:135m-llama-server', 'all-minilm']);
    expect(files).toEqual({
      'models/smollm2-135m-llama-server.yaml': "id: 'smollm2:135m-llama-server'\nengine: llama\n",
    });
  });
});
