import { textAt } from './http.ts';
import type { Session } from './http.ts';

/** AutoGen Studio tries a model client out, as its page does before a team is made of it. The question is its own. */
export async function askByAutogenStudio({ call }: Session, model: string): Promise<string> {
  const component = {
    provider: 'autogen_ext.models.openai.OpenAIChatCompletionClient',
    ...{ component_type: 'model', version: 1, component_version: 1, label: 'ask' },
    // Its address and its key are those of the environment where it is told none.
    config: {
      model,
      model_info: {
        ...{ family: 'unknown', vision: false, function_calling: false },
        ...{ json_output: false, structured_output: false },
      },
    },
  };
  const tried = await call('POST', '/api/validate/test', { component, timeout: 120 });
  return textAt(tried, 'data', 'content');
}
