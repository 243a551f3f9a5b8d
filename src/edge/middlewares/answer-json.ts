import type { AnswerFields } from '#config/middlewares';
import { changeFields } from './json-fields.ts';
import type { MakeMiddleware } from './middleware.ts';

/** Fields of the answer, in the API that the client speaks. */
export const answerJson: MakeMiddleware<AnswerFields> = (changes) => ({ answerJson: changeFields(changes) });
