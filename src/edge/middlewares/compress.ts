import type { Packing } from '#config/middlewares';
import type { MakeMiddleware } from './middleware.ts';

/** What the client gets is packed in a coding that it takes. */
export const compress: MakeMiddleware<Packing> = (packing) => ({ packing });
